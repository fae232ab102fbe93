"""What a method is given (a lesson) and what it gives back (a learned prompt)."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from continual.backbone.encoder import Encoder
from continual.seeding import seed_of
from continual.training.checkpoint import Checkpoints
from continual.training.config import TrainingConfig
from continual.training.examples import Examples
from continual.training.loop import FitResult, Objective, fit
from continual.training.model import PromptModel
from continual.training.watch import Watcher
from continual.transfer.metrics import Signature
from continual.transfer.ranking import Ranked, rank
from continual.transfer.signature import Prober
from continual.tuning.base import Tensors, Tuning


@dataclass(frozen=True)
class Source:
    """A stored prompt that was recalled for a lesson.

    Attributes:
        prompt: Its id.
        tensors: The tensors that its tuning trained.
        signature: What transferability metrics compare.
    """

    prompt: str
    tensors: Tensors
    signature: Signature


@dataclass
class Lesson:
    """One task to be learned, with everything that a method may use for it.

    Attributes:
        task: Its name.
        labels: Its label names.
        train: Texts to learn from, with what is known of them without a prompt.
        dev: Texts that choose epochs and sources, likewise.
        encoder: The frozen backbone.
        tuning: What is trained.
        training: How it is trained.
        metric: The transferability metric that ranks.
        sources: The recalled prompts of the pool, of the same tuning, most similar texts first.
        keys: The task's own keys, [keys, width].
        prober: Makes signatures.
        seed: The run's seed.
        checkpoints: Where trainings keep their state.
        watcher: Who is told of their progress.
        stages: The trainings done so far, in order.
    """

    task: str
    labels: tuple[str, ...]
    train: Examples
    dev: Examples
    encoder: Encoder
    tuning: Tuning
    training: TrainingConfig
    metric: str
    sources: list[Source]
    keys: Tensor
    prober: Prober
    seed: int
    checkpoints: Checkpoints
    watcher: Watcher
    stages: list[FitResult] = field(default_factory=list)

    def fresh(self) -> dict[str, Tensor]:
        """The prompt from which every training that transfers nothing starts.

        The randomness is the run's and not the task's: where the kind of prompt allows it, all tasks start from the
        same tensors, so that a difference between two prompts is a difference in what was learned.
        """
        generator = torch.Generator().manual_seed(seed_of(self.seed, "initial prompt"))
        return self.tuning.initial(self.encoder, self.train.view.states, generator)

    def begin(self, tensors: Tensors) -> PromptModel:
        """A model that starts from `tensors` and says nothing yet."""
        return PromptModel.begin(self.encoder, self.tuning, tensors, len(self.labels), self.train.view)

    def fit(self, stage: str, tensors: Tensors, objective: Objective | None = None) -> PromptModel:
        """Trains a prompt from `tensors` and returns the model with the weights that were best on dev."""
        model = self.begin(tensors)
        result = fit(
            model,
            self.train,
            self.dev,
            self.training,
            self._generator(),
            objective,
            stage,
            self.checkpoints,
            self.watcher,
        )
        self.stages.append(result)
        return model

    def rank(self, model: PromptModel) -> list[Ranked]:
        """The recalled sources, most transferable first, judged against a prompt of this task."""
        tensors = {name: value.detach() for name, value in model.prompt.items()}
        target = self.prober.signature(self.tuning, tensors, self.fresh(), self.keys)
        return rank(((source.prompt, source.signature) for source in self.sources), target, self.metric)

    def tensors_of(self, prompt: str) -> Tensors:
        """The tensors of a recalled source."""
        return next(source.tensors for source in self.sources if source.prompt == prompt)

    def _generator(self) -> torch.Generator:
        """Every training of a task draws the same batches, so that methods differ by what they do and not by luck."""
        return torch.Generator().manual_seed(seed_of(self.seed, self.task, "student"))


@dataclass(frozen=True)
class Learned:
    """What a method made of a lesson.

    Attributes:
        model: The prompt and head to be stored.
        stage: The name of the training that made them.
        ranked: All recalled sources with their scores, best first.
        used: Those of them that the prompt was made from.
    """

    model: PromptModel
    stage: str
    ranked: list[Ranked] = field(default_factory=list)
    used: list[Ranked] = field(default_factory=list)


class Method(ABC):
    """A way to learn a task from a pool of prompts."""

    name: ClassVar[str]

    @abstractmethod
    def learn(self, lesson: Lesson) -> Learned:
        """Learns the task of `lesson`."""
