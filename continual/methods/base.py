"""What a method is given (a lesson) and what it gives back (a learned prompt)."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from continual.backbone.encoder import Encoder
from continual.evaluation.kinds import CLASSIFICATION, TRANSLATION
from continual.pool.prompt import Prompt
from continual.seeding import seed_of
from continual.training.checkpoint import Checkpoints
from continual.training.config import TrainingConfig
from continual.training.examples import Material
from continual.training.loop import FitResult, Objective, Penalty, fit
from continual.training.model import Classifier
from continual.training.steered import SteeredModel
from continual.training.watch import Watcher
from continual.transfer.metrics import Signature
from continual.transfer.ranking import Ranked, rank
from continual.transfer.signature import Prober
from continual.tuning.base import Tensors, Tuning

KEPT = "method."
"""What the names of stored tensors begin with that a method keeps for later tasks; see `Learned.kept`."""

UNRANKED = ("tuning", "readout", "training", "routing", "decoding", "answers")
"""What a method reads that ranks no sources; see `Method.reads`."""

TASKS = "tasks"
"""Where the provenance of a shared prompt keeps the labels of each task that it serves."""


@dataclass(frozen=True)
class Source:
    """A stored prompt that was recalled for a lesson.

    Attributes:
        prompt: Its id.
        tensors: The tensors that its tuning trained.
        signature: What transferability metrics compare.
        train_examples: How many texts its task was learned from.
    """

    prompt: str
    tensors: Tensors
    signature: Signature
    train_examples: int = 0


@dataclass
class Lesson:
    """One task to be learned, with everything that a method may use for it.

    Attributes:
        task: Its name.
        labels: Its label names; none in a translation.
        train: Texts to learn from, with what is known of them without a prompt, or pairs of source and target.
        dev: Texts or pairs that choose epochs and sources, likewise.
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
        earlier: What the method learned before this task, newest first, where it builds on that; see `Method.builds`.
        stages: The trainings done so far, in order.
    """

    task: str
    labels: tuple[str, ...]
    train: Material
    dev: Material
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
    earlier: Sequence[Prompt] = ()
    stages: list[FitResult] = field(default_factory=list)

    def fresh(self, own: bool = False) -> dict[str, Tensor]:
        """The prompt from which every training that transfers nothing starts.

        The randomness is the run's and not the task's: where the kind of prompt allows it, all tasks start from the
        same tensors, so that a difference between two prompts is a difference in what was learned.

        Args:
            own: The task's own randomness instead, for what stands beside the prompts of other tasks in one network:
                a second copy of what is there already would say nothing new.
        """
        shared = torch.Generator().manual_seed(seed_of(self.seed, "initial prompt"))
        generator = self.generator("initial prompt") if own else shared
        return self.tuning.initial(self.encoder, self.train.view.states, generator)

    def generator(self, *purpose: str) -> torch.Generator:
        """Randomness of the task's own for what a method draws beside the prompt."""
        return torch.Generator().manual_seed(seed_of(self.seed, self.task, *purpose))

    def begin(
        self, tensors: Tensors, tuning: Tuning | None = None, classifier: Classifier | None = None
    ) -> SteeredModel:
        """A model that starts from `tensors` and, unless its classifier is given, says nothing yet."""
        tuning = tuning or self.tuning
        return self.train.begin(self.encoder, tuning, tensors, len(self.labels), classifier)

    def fit(
        self,
        stage: str,
        tensors: Tensors,
        objective: Objective | None = None,
        *,
        tuning: Tuning | None = None,
        penalty: Penalty | None = None,
        classifier: Classifier | None = None,
    ) -> SteeredModel:
        """Trains a prompt and returns the model with the weights that were best on dev.

        Args:
            stage: The name of the training, unique within the task.
            tensors: What it starts from.
            objective: The loss of the logits; cross-entropy by default.
            tuning: What is trained; the lesson's tuning by default.
            penalty: A further loss of the tensors.
            classifier: What the classifier starts from, where there is one; one that says nothing by default.
        """
        model = self.begin(tensors, tuning, classifier)
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
            penalty,
        )
        self.stages.append(result)
        return model

    def rank(self, model: SteeredModel) -> list[Ranked]:
        """The recalled sources, most transferable first, judged against a prompt of this task."""
        pairs = ((source.prompt, source.signature) for source in self.sources)
        return rank(pairs, self.signature(model), self.metric)

    def signature(self, model: SteeredModel, origin: Tensors | None = None) -> Signature:
        """What transferability metrics compare of a model: of what it lends to other tasks, if it lends anything.

        Args:
            model: The model.
            origin: What its training started from; `fresh` if None.
        """
        tensors = {name: value.detach() for name, value in model.tensors.items()}
        lent, start = model.tuning.lent(tensors), self.fresh() if origin is None else origin
        return self.prober.signature(model.tuning.base, start if lent is None else lent, start, self.keys)

    def tensors_of(self, prompt: str) -> Tensors:
        """The tensors of a recalled source."""
        return next(source.tensors for source in self.sources if source.prompt == prompt)

    def _generator(self) -> torch.Generator:
        """Every training of a task draws the same batches, so that methods differ by what they do and not by luck."""
        return self.generator("student")


@dataclass(frozen=True)
class Learned:
    """What a method made of a lesson.

    Attributes:
        model: The prompt, and head where it has one, to be stored.
        stage: The name of the training that made them.
        ranked: All recalled sources with their scores, best first.
        used: Those of them that the prompt was made from.
        kept: Tensors that the method keeps with the prompt for tasks to come, under names of its own.
        shared: Where one model serves all tasks: what it knows of the others.
        revised: New versions of earlier prompts.
        origin: What the prompt that it lends to others started from, where that is not `Lesson.fresh`.
        trained: How many numbers were trained for it, where they are more than the model has.
    """

    model: SteeredModel
    stage: str
    ranked: list[Ranked] = field(default_factory=list)
    used: list[Ranked] = field(default_factory=list)
    kept: dict[str, Tensor] = field(default_factory=dict)
    shared: "Shared | None" = None
    revised: list["Revised"] = field(default_factory=list)
    origin: Tensors | None = None
    trained: int | None = None


@dataclass(frozen=True)
class Shared:
    """What a model that serves all tasks knows beyond the task that it has just learned.

    Attributes:
        tasks: The labels of each task so far, in order.
        labels: All of them, each once, in the order in which they came.
        classifier: A classifier of all labels; None where there are none.
        keys: The keys of all tasks, [keys, width].
    """

    tasks: Mapping[str, tuple[str, ...]]
    labels: tuple[str, ...]
    classifier: Classifier | None
    keys: Tensor


@dataclass(frozen=True)
class Revised:
    """A new version of an earlier prompt, measurably better; the old version stays.

    Attributes:
        prompt: The id of the version that it follows.
        tuning: What `tensors` are of.
        tensors: The tensors of the new version; head, keys and all else are those of the old.
        signature: Of what the new version lends to others.
        evidence: JSON-able facts: by what measure it is better, before and after.
    """

    prompt: str
    tuning: Tuning
    tensors: Tensors
    signature: Signature
    evidence: Mapping[str, float]


def kept_tensors(prompt: Prompt) -> dict[str, Tensor]:
    """What a method has kept with a stored prompt; see `Learned.kept`."""
    return {name.removeprefix(KEPT): value for name, value in prompt.tensors.items() if name.startswith(KEPT)}


class Method(ABC):
    """A way to learn a task from a pool of prompts."""

    name: ClassVar[str] = ""

    kinds: ClassVar[tuple[str, ...]] = (CLASSIFICATION, TRANSLATION)
    """The kinds of tasks that it can learn."""

    grounded: ClassVar[bool] = True
    """Whether prompts of a classification stand on a ground that is laid for it; see `continual/training/ground.py`."""

    shared: ClassVar[bool] = False
    """Whether one model serves all tasks: each prompt that is stored is a later state of it."""

    pairs: ClassVar[bool] = False
    """Whether each text of its tasks must come with a second one."""

    builds: ClassVar[bool] = False
    """Whether it needs what it has learned before, as `Lesson.earlier`."""

    reads: ClassVar[tuple[str, ...]] = (*UNRANKED, "transfer")
    """The settings, or whole sections of them, that can make a difference to it, beside those of `unread.ALWAYS`."""

    def check_tuning(self, tuning: Tuning) -> None:  # noqa: B027 - most methods take every tuning
        """Refuses a tuning that it cannot train, before anything is learned.

        Raises:
            ConfigError: It is such a tuning.
        """

    def composed(self, tuning: Tuning) -> Tuning:
        """What a method with one model for all tasks makes of the tuning of one."""
        return tuning

    @abstractmethod
    def learn(self, lesson: Lesson) -> Learned:
        """Learns the task of `lesson`."""
