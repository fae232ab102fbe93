"""What a method is given (a lesson) and what it gives back (a learned prompt)."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from continual.backbone.encoder import Encoder
from continual.backbone.readout import Readout
from continual.backbone.texts import join
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
from continual.tuning.dictionary import Dictionary
from continual.tuning.head import Evidence, Head, fit_head, minimise


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
        train: Texts to learn from.
        dev: Texts that choose epochs, penalties and sources.
        encoder: The frozen backbone.
        tuning: What is trained.
        readout: What the head sees.
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
    readout: Readout
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

    @cached_property
    def dictionary(self) -> Dictionary:
        """The terms of the task's training and dev texts; labels play no part in it."""
        return Dictionary.of(join([self.train.view.terms, self.dev.view.terms]), self.readout.terms)

    def begin(self, tensors: Tensors) -> PromptModel:
        """A model that starts from `tensors`, with the best head for the features they give."""
        plain = PromptModel(self.encoder, self.tuning, self.readout, tensors)
        train, dev = (plain.evidence(part.view, self.dictionary) for part in (self.train, self.dev))
        labels = len(self.labels)
        return plain.with_head(fit_head(train, self.train.labels, labels, dev, self.dev.labels, self.dictionary))

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

    def refit(self, model: PromptModel) -> PromptModel:
        """The same prompt with its head fitted again on train and dev together.

        Dev has chosen epoch and penalty and has no other use; the fit is convex, so nothing is left to choose. The
        strength of the penalty for each text stays as it was.
        """
        views = (self.train.view, self.dev.view)
        features = torch.cat([model.standardise(model.raw_features(view)) for view in views])
        bags = self.dictionary.bags(join([view.terms for view in views]))
        labels = torch.cat([self.train.labels, self.dev.labels])
        penalty = model.penalty * len(self.train) / len(labels)
        weights = minimise(Evidence(features, bags), labels, model.head_weights(), penalty)
        return model.with_head(Head(weights, self.dictionary, model.mean, model.scale, penalty))

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
