"""The settings of a learner, typed and checked; their help texts are written here once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from continual.backbone.generation import Decoding
from continual.backbone.readout import Readout
from continual.construction import coerce_fields
from continual.errors import ConfigError
from continual.growth.config import GrowthConfig
from continual.limits import at_least
from continual.training.config import TrainingConfig

ANSWERS = ("head", "label")
"""How a classification may be answered; see `LearnerSettings.answers`."""

RANKED_WHOLE, RECALLED = 1000, 32
"""Closeness of texts is a poor guide to the best sources, so a pool is ranked whole while that takes about a second; in
a larger one, a few near prompts must do (`docs/performance.md`)."""


@dataclass(frozen=True)
class TransferConfig:
    """How sources are found and ranked."""

    metric: str = field(default="panda", metadata={"help": "the transferability metric that ranks recalled prompts"})
    recall: int | None = field(
        default=None,
        metadata={
            "help": "prompts that FAISS recalls by the texts' keys before ranking; null: all of a pool of up to "
            f"{RANKED_WHOLE:,} prompts, {RECALLED} of a larger one"
        },
    )

    def __post_init__(self) -> None:
        coerce_fields(self, "transfer")
        if self.recall is not None and self.recall < 0:
            raise ConfigError(f"transfer.recall is {self.recall}, expected 0 or more, or null.")

    def recalled(self, prompts: int) -> int:
        """How many of a pool's prompts are ranked."""
        if self.recall is not None:
            return self.recall
        return prompts if prompts <= RANKED_WHOLE else RECALLED


@dataclass(frozen=True)
class RoutingConfig:
    """How a text finds its prompt when its task is not told."""

    keys: int = field(default=16, metadata={"help": "keys of a prompt: centroids of its training texts"})
    unknown_quantile: float = field(
        default=0.01,
        metadata={"help": "share of a task's own dev texts that may be taken for texts of no known task"},
    )

    def __post_init__(self) -> None:
        coerce_fields(self, "routing")
        if self.keys < 1:
            raise ConfigError(f"routing.keys is {self.keys}, expected at least 1.")
        if not 0 <= self.unknown_quantile <= 1:
            raise ConfigError(f"routing.unknown_quantile is {self.unknown_quantile}, expected a number in [0, 1].")


@dataclass(frozen=True)
class LearnerSettings:
    """Everything that decides how tasks are learned, apart from the backbone and the pool.

    A section may be given as its class or as a dictionary: `training={"epochs": 4}`.

    Attributes:
        method: `{"name": ..., options}`, or the name alone; see `continual ls methods`.
        tuning: `{"name": ..., options}`, or the name alone; see `continual ls tunings`.
        readout: What the head sees of a text.
        training: How a prompt is trained.
        transfer: How sources are found and ranked.
        routing: How texts find their prompt.
        growth: When and how the backbone grows.
        decoding: How translations are searched for.
        answers: How a classification is answered: by a `head` on the text's vector, or by the `label` whose text a
            generative backbone finds most probable, without head and ground.
        cache_mb: Memory for hidden states that are kept, in megabytes.
        seed: Decides all that is random in learning.
    """

    method: dict[str, Any] = field(default_factory=lambda: {"name": "panda"})
    tuning: dict[str, Any] = field(default_factory=lambda: {"name": "deep", "layer": 4})
    readout: Readout = field(default_factory=Readout)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    transfer: TransferConfig = field(default_factory=TransferConfig)
    routing: RoutingConfig = field(default_factory=RoutingConfig)
    growth: GrowthConfig = field(default_factory=GrowthConfig)
    decoding: Decoding = field(default_factory=Decoding)
    answers: str = "head"
    cache_mb: float = 2048
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("method", "tuning"):
            object.__setattr__(self, name, _named(name, getattr(self, name)))
        coerce_fields(self)
        if self.answers not in ANSWERS:
            raise ConfigError(f"answers is {self.answers!r}, expected one of {', '.join(ANSWERS)}.")
        at_least(0, self.cache_mb, "cache_mb")
        at_least(0, self.seed, "seed")


def checked_settings(settings: object) -> LearnerSettings:
    """The settings, the default ones for None.

    Raises:
        ConfigError: They are something else, such as a dictionary.
    """
    if settings is None:
        return LearnerSettings()
    if not isinstance(settings, LearnerSettings):
        raise ConfigError(
            f"The settings are {str(settings)[:60]!r}, expected LearnerSettings(...), such as "
            "LearnerSettings(method='panda')."
        )
    return settings


def _named(section: str, value: object) -> dict[str, Any]:
    """A section `{"name": ..., options}`, for which the name alone may stand."""
    if isinstance(value, str):
        return {"name": value}
    if not isinstance(value, Mapping):
        raise ConfigError(f"{section} is {value!r}, expected a name or a dictionary with one.")
    return dict(value)
