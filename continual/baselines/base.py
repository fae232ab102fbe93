"""What a baseline is given, and what every one of them is."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from continual.errors import BackboneError
from continual.evaluation.kinds import CLASSIFICATION, TRANSLATION
from continual.unread import BUDGET

if TYPE_CHECKING:
    from continual.backbone.encoder import Encoder
    from continual.participant import Participant
    from continual.settings import LearnerSettings
    from streams import StreamManager

FINE_TUNING = (
    *BUDGET,
    *("training.warmup", "training.dropout", "training.clip_norm", "training.label_smoothing"),
    *("training.hype", "training.hype_scale", "decoding"),
)
"""What the trainings of whole models read; the rates are the baseline's own options."""


@dataclass(frozen=True)
class Bench:
    """Where a baseline works.

    Attributes:
        folder: The run's folder.
        encoder: The backbone; a baseline trains copies of it and leaves it as it is.
        settings: The run's settings; those of the pool's prompts are ignored.
        stream: All tasks of the run.
    """

    folder: Path
    encoder: "Encoder"
    settings: "LearnerSettings"
    stream: "StreamManager"

    @property
    def translates(self) -> bool:
        """Whether the stream's tasks are translations."""
        return self.stream.task(self.stream.names[0]).kind == TRANSLATION


class Baseline(ABC):
    """The options of a baseline, checked.

    Attributes:
        name: The name used in configs.
        kinds: The kinds of tasks that it can learn.
        trains_backbone: Whether a copy of the backbone is trained, or the frozen one is enough.
        keeps_states: Whether there is a state on disk after each task, from which the next one starts.
        reads: The settings, or whole sections of them, that can make a difference to it, beside those of
            `unread.ALWAYS`.
    """

    name: ClassVar[str] = ""
    kinds: ClassVar[tuple[str, ...]] = (CLASSIFICATION,)
    trains_backbone: ClassVar[bool] = True
    keeps_states: ClassVar[bool] = True
    reads: ClassVar[tuple[str, ...]] = FINE_TUNING

    @abstractmethod
    def open(self, bench: Bench) -> "Participant":
        """The baseline at work in a run."""

    def takes_more(self, begun: int, tasks: int) -> bool:
        """Whether a stream of so many tasks, of which some were begun, can become longer without another result."""
        return True

    def check_length(self, tasks: int) -> None:  # noqa: B027 - most baselines take every stream
        """Refuses a stream of so many tasks.

        Raises:
            ConfigError: An option does not allow so many.
        """

    def check(self, encoder: "Encoder") -> None:
        """Refuses a backbone that nothing can be learned on.

        Raises:
            BackboneError: Its weights are rounded; or a copy is to be trained and they are partly on disk.
        """
        if not encoder.exact:
            raise BackboneError(
                f"The backbone {encoder.name!r} computes in int8, which cannot be trained; use the original one."
            )
        if self.trains_backbone and any(value.is_meta for value in encoder.model.parameters()):
            raise BackboneError(
                f"The backbone {encoder.name!r} is partly on disk, and method={self.name} needs all of it in memory; "
                "set backbone.memory_mb=null."
            )
