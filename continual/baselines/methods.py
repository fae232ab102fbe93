"""The options of every baseline. Imports nothing heavy, so that settings can be checked and listed quickly."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from continual.baselines.base import FINE_TUNING, Baseline, Bench
from continual.errors import ConfigError
from continual.evaluation.kinds import CLASSIFICATION, TRANSLATION
from continual.limits import above, at_least

if TYPE_CHECKING:
    from continual.baselines.memories import Memory
    from continual.baselines.translation.memories import TextMemory
    from continual.participant import Participant

EWC_MODES = ("separate", "online")

_BOTH = (CLASSIFICATION, TRANSLATION)


@dataclass(frozen=True)
class Rates:
    """Peak learning rates (AdamW).

    Attributes:
        body: Of the transformer.
        head: Of the classifier.
    """

    body: float
    head: float

    @classmethod
    def of(cls, learning_rate: float, head_learning_rate: float | None) -> "Rates":
        """From the options `learning_rate` and `head_learning_rate`, of which the latter may be null: the same.

        Raises:
            ConfigError: One is not above 0.
        """
        body = above(0, learning_rate, "method.learning_rate")
        head = body if head_learning_rate is None else above(0, head_learning_rate, "method.head_learning_rate")
        return cls(body, head)

    def check_translating(self) -> None:
        """Refuses a rate of a classifier where none is trained.

        Raises:
            ConfigError: There is one.
        """
        if self.head != self.body:
            raise ConfigError(
                f"method.head_learning_rate is {self.head}, but a translation has no classifier; leave it out."
            )


class SharedModel(Baseline):
    """One model for all tasks, trained with all its weights.

    Attributes:
        texts: What is learned from at a task: the texts of the `task`, of all tasks `so far`, or of `all` tasks at
            the last one.
    """

    texts: ClassVar[str] = "task"

    def __init__(self, learning_rate: float = 5e-5, head_learning_rate: float | None = None) -> None:
        self.rates = Rates.of(learning_rate, head_learning_rate)

    def waits(self, position: int, tasks: int) -> bool:
        """Whether nothing is learned at a task: joint training begins when all tasks of the stream are there."""
        return self.texts == "all" and position < tasks - 1

    def places(self, position: int) -> range:
        """The places of the tasks whose texts are learned from at the task at `position`."""
        return range(position, position + 1) if self.texts == "task" else range(position + 1)

    def open(self, bench: Bench) -> "Participant":
        """See `Baseline.open`."""
        if bench.translates:
            from continual.baselines.translation.shared import SharedTranslator

            self.check(bench.encoder)
            self.rates.check_translating()
            return SharedTranslator(self, bench, self.text_memory())
        from continual.baselines.shared import SharedParticipant

        return SharedParticipant(self, bench)

    def memory(self, tasks: int) -> "Memory":
        """What is kept of earlier tasks beside the model, in a stream of so many tasks."""
        from continual.baselines.memories import Memory

        return Memory()

    def text_memory(self) -> "TextMemory":
        """What is kept of earlier tasks beside the model where tasks are translations."""
        from continual.baselines.translation.memories import TextMemory

        return TextMemory()

    def preserved(self, position: int, tasks: int) -> float | None:
        """The share of singular directions that the task at a place of the stream must not change; None: of no matter.

        Args:
            position: The task's place, from 0.
            tasks: How many tasks there are.
        """
        return None


class Naive(SharedModel):
    """Sequential fine-tuning: nothing is done against forgetting.

    Args:
        learning_rate: Peak learning rate of all weights (AdamW).
        head_learning_rate: That of the classifier, which starts from nothing; null for the same.
    """

    name = "naive"
    kinds = _BOTH


class Cumulative(SharedModel):
    """Fine-tuning that keeps all texts: at each task its weights learn on, from the texts of all tasks so far.

    Args:
        learning_rate: Peak learning rate of all weights (AdamW).
        head_learning_rate: That of the classifier, which starts from nothing; null for the same.
    """

    name = "cumulative"
    kinds = _BOTH
    texts = "so far"


class Joint(SharedModel):
    """Fine-tuning once, on all tasks together: no continual learner, but what one would like to reach.

    Only the last row of its matrix is measured; it is the `joint` that the metric `intransigence` asks for.

    Args:
        learning_rate: Peak learning rate of all weights (AdamW).
        head_learning_rate: That of the classifier, which starts from nothing; null for the same.
    """

    name = "joint"
    kinds = _BOTH
    texts = "all"
    keeps_states = False

    def takes_more(self, begun: int, tasks: int) -> bool:
        """See `Baseline.takes_more`: nothing is learned before the last task."""
        return begun < tasks


class Ewc(SharedModel):
    """Elastic weight consolidation (Kirkpatrick et al. 2017, arXiv 1612.00796), by Avalanche's plugin.

    The loss of a batch is `cross-entropy + lambda * sum_i sum_w F_i[w] (w - w_i)^2` over the earlier tasks i, with w_i
    the weights after task i and F_i the mean over batches of the squared gradient of the batch's mean loss (Avalanche's
    reading of the Fisher information; the paper squares the gradient of every example). `online` keeps one penalty:
    the last weights, with `F = decay * F_old + F_new` (Schwarz et al. 2018, arXiv 1805.06370).

    Args:
        learning_rate: Peak learning rate of all weights (AdamW).
        head_learning_rate: That of the classifier, which starts from nothing; null for the same.
        ewc_lambda: Weight of the penalty.
        mode: `separate` keeps a penalty for each earlier task, `online` a single one, which is quicker.
        decay: With `online`, the factor of what was important before.
    """

    name = "ewc"
    kinds = _BOTH

    def __init__(
        self,
        learning_rate: float = 5e-5,
        head_learning_rate: float | None = None,
        ewc_lambda: float = 1000.0,
        mode: str = "separate",
        decay: float = 1.0,
    ) -> None:
        super().__init__(learning_rate, head_learning_rate)
        self.ewc_lambda = at_least(0, ewc_lambda, "method.ewc_lambda")
        if mode not in EWC_MODES:
            raise ConfigError(f"method.mode is {mode!r}, expected one of {', '.join(EWC_MODES)}.")
        self.mode, self.decay = mode, at_least(0, decay, "method.decay")

    def memory(self, tasks: int) -> "Memory":
        """See `SharedModel.memory`."""
        from continual.baselines.memories import EwcMemory

        return EwcMemory(self.ewc_lambda, self.mode, self.decay)

    def text_memory(self) -> "TextMemory":
        """See `SharedModel.text_memory`."""
        from continual.baselines.translation.memories import ImportantWeights

        return ImportantWeights(self.ewc_lambda, self.mode, self.decay)


class Lwf(SharedModel):
    """Learning without forgetting (Li and Hoiem 2016, arXiv 1606.09282), by Avalanche's plugin.

    The loss of a batch is `cross-entropy + alpha * KL(teacher || model)` at a temperature, over the labels that were
    seen before the task; the teacher is the model before the task, without dropout.

    Args:
        learning_rate: Peak learning rate of all weights (AdamW).
        head_learning_rate: That of the classifier, which starts from nothing; null for the same.
        alpha: Weight of the distillation.
        temperature: What logits are divided by in the distillation.
    """

    name = "lwf"

    def __init__(
        self,
        learning_rate: float = 5e-5,
        head_learning_rate: float | None = None,
        alpha: float = 1.0,
        temperature: float = 2.0,
    ) -> None:
        super().__init__(learning_rate, head_learning_rate)
        self.alpha = at_least(0, alpha, "method.alpha")
        self.temperature = above(0, temperature, "method.temperature")

    def memory(self, tasks: int) -> "Memory":
        """See `SharedModel.memory`."""
        from continual.baselines.memories import LwfMemory

        return LwfMemory(self.alpha, self.temperature)


class Replay(SharedModel):
    """Experience replay (Chaudhry et al. 2019, arXiv 1902.10486), by Avalanche's plugin.

    Each batch of the task's texts is joined by as many texts drawn from the memory, so a step costs twice as much.

    Args:
        learning_rate: Peak learning rate of all weights (AdamW).
        head_learning_rate: That of the classifier, which starts from nothing; null for the same.
        memory_per_task: Training texts that are kept of each task, drawn at random.
    """

    name = "replay"
    kinds = _BOTH

    def __init__(
        self, learning_rate: float = 5e-5, head_learning_rate: float | None = None, memory_per_task: int = 50
    ) -> None:
        super().__init__(learning_rate, head_learning_rate)
        self.memory_per_task = at_least(0, memory_per_task, "method.memory_per_task")

    def memory(self, tasks: int) -> "Memory":
        """See `SharedModel.memory`."""
        from continual.baselines.memories import ReplayMemory

        return ReplayMemory(self.memory_per_task, tasks)

    def text_memory(self) -> "TextMemory":
        """See `SharedModel.text_memory`."""
        from continual.baselines.translation.memories import ReplayText

        return ReplayText(self.memory_per_task)


class Agem(SharedModel):
    """Averaged gradient episodic memory (Chaudhry et al. 2019, arXiv 1812.00420), by Avalanche's plugin.

    Where the gradient g of a batch would raise the loss on a sample of kept texts, whose gradient is r, it is replaced
    by its projection `g - (g.r / r.r) r`.

    Args:
        learning_rate: Peak learning rate of all weights (AdamW).
        head_learning_rate: That of the classifier, which starts from nothing; null for the same.
        memory_per_task: Training texts that are kept of each task, drawn at random.
        sample: Kept texts that are looked at in each step, shared out evenly among the earlier tasks.
    """

    name = "agem"

    def __init__(
        self,
        learning_rate: float = 5e-5,
        head_learning_rate: float | None = None,
        memory_per_task: int = 50,
        sample: int = 32,
    ) -> None:
        super().__init__(learning_rate, head_learning_rate)
        self.memory_per_task = at_least(1, memory_per_task, "method.memory_per_task")
        self.sample = at_least(1, sample, "method.sample")

    def check_length(self, tasks: int) -> None:
        """See `Baseline.check_length`."""
        if self.sample < tasks - 1:
            raise ConfigError(
                f"method.sample is {self.sample}, expected at least {tasks - 1}: a text for each earlier task."
            )

    def memory(self, tasks: int) -> "Memory":
        """See `SharedModel.memory`."""
        from continual.baselines.memories import AgemMemory

        self.check_length(tasks)
        return AgemMemory(self.memory_per_task, self.sample)


class Osf(SharedModel):
    """Orthogonal subspace fine-tuning (Nayak et al. 2025, arXiv 2504.07097), by PEFT's `OSFConfig`.

    Before each task every linear layer's weight is decomposed anew, `W = U S V`. Its largest singular directions stay;
    only the others are trained, orthogonally to them, and afterwards the sum is the weight again. Embeddings, biases
    and layer norms stay as they were. PEFT takes one share for all layers; the paper's choice by layer is not in it.

    Args:
        learning_rate: Peak learning rate of the trained directions and the classifier (AdamW).
        head_learning_rate: That of the classifier, which starts from nothing; null for the same.
        preserved: Share of the singular directions that the first task must not change.
        preserved_last: The same for the last task; the share changes evenly in between.
    """

    name = "osf"

    def __init__(
        self,
        learning_rate: float = 5e-5,
        head_learning_rate: float | None = None,
        preserved: float = 0.5,
        preserved_last: float = 0.9,
    ) -> None:
        super().__init__(learning_rate, head_learning_rate)
        for name, value in (("preserved", preserved), ("preserved_last", preserved_last)):
            if not 0 < value < 1:
                raise ConfigError(f"method.{name} is {value}, expected a number above 0 and below 1.")
        self._first, self._last = preserved, preserved_last

    def takes_more(self, begun: int, tasks: int) -> bool:
        """See `Baseline.takes_more`: the share that a task preserves depends on how many there are."""
        return not begun

    def preserved(self, position: int, tasks: int) -> float | None:
        """See `SharedModel.preserved`."""
        return self._first + (self._last - self._first) * (position / (tasks - 1) if tasks > 1 else 0)


class PerTask(Baseline):
    """A copy of the backbone for each task, fine-tuned on it alone: nothing is shared and nothing forgotten.

    A text whose task is not told is routed to one of the models as texts are to prompts of a pool.

    Args:
        learning_rate: Peak learning rate of all weights (AdamW).
        head_learning_rate: That of the classifier, which starts from nothing; null for the same.
    """

    name = "per_task"
    kinds = _BOTH
    reads = (*FINE_TUNING, "routing")

    def __init__(self, learning_rate: float = 5e-5, head_learning_rate: float | None = None) -> None:
        self.rates = Rates.of(learning_rate, head_learning_rate)

    def open(self, bench: Bench) -> "Participant":
        """See `Baseline.open`."""
        if bench.translates:
            from continual.baselines.translation.separate import SeparateTranslators

            self.check(bench.encoder)
            self.rates.check_translating()
            return SeparateTranslators(self, bench)
        from continual.baselines.own_models import FineTunedModels

        return FineTunedModels(self, bench)


class LinearProbe(Baseline):
    """The frozen backbone with a regularised logistic regression on the text's vector for each task.

    It is solved to its optimum, so it has neither rates nor epochs; its penalty is chosen by the log-loss on dev. Where
    the task is not told, texts are routed as by `per_task`.
    """

    name = "linear_probe"
    trains_backbone = False
    reads = ("routing",)

    def open(self, bench: Bench) -> "Participant":
        """See `Baseline.open`."""
        from continual.baselines.own_models import LinearProbes

        return LinearProbes(self, bench)
