"""The settings of growth in a stream; their help texts are written here once."""

from dataclasses import dataclass, field
from typing import Any

from continual.construction import coerce_fields
from continual.errors import ConfigError
from continual.growth.sizes import Amount
from continual.limits import above, at_least, set_otherwise

WHEN = ("never", "schedule", "capacity")


def _setting(default: Any, help: str) -> Any:
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True)
class GrowthConfig:
    """When and how the backbone grows."""

    when: str = _setting(
        "never", "never, schedule (after the tasks of growth.at), or capacity (when a test asks for it)"
    )
    at: tuple[int, ...] = _setting((), "numbers of the tasks after which when=schedule grows, from 1")
    most: int = _setting(1, "growths of a run at most; afterwards nothing is tested")
    how: str = _setting("exact", "the expansion: exact or elle, see `continual ls expansions`")
    layers: int = _setting(2, "layers that a growth adds, to encoder and decoder each")
    width: int = _setting(0, "units that it adds to hidden states; with how=exact a multiple of their number")
    inner: int = _setting(0, "feed-forward units that it adds to each layer beside")
    noise: float = _setting(0.01, "how=elle: deviation of the noise on replicas")
    memory: int = _setting(64, "texts kept of each task, without labels; half teach the grown model, half judge it")
    keep: float = _setting(
        0.98, "share of each task's judging texts whose answers must not change, told or routed; one always may"
    )
    recovery: int = _setting(
        60, "how=elle: steps on the memory alone, in which the grown model becomes the old one again"
    )
    steps: int = _setting(240, "steps in which the grown model learns the task beside the memory; 0 leaves it as it is")
    learning_rate: float = _setting(3e-4, "peak learning rate of both (AdamW)")
    batch_size: int = _setting(16, "texts of the task, and of the memory, in a step")
    margin: float = _setting(0.03, "gain of accuracy below which more capacity is not worth its price")
    confidence: float = _setting(0.95, "how sure the test must be that there is a gain at all")
    probe_rank: int = _setting(8, "rank of the probe: low-rank additions to all linear layers")
    probe_layer: int = _setting(0, "first layer of the probe")
    probe_epochs: int = _setting(
        4, "passes of the probe over the training texts at most, and not more than those of training.epochs"
    )
    probe_learning_rate: float = _setting(1e-3, "peak learning rate of the probe")

    def __post_init__(self) -> None:
        from continual.growth import EXPANSIONS

        coerce_fields(self, "growth")
        if self.when not in WHEN:
            raise ConfigError(f"growth.when is {self.when!r}, expected {', '.join(WHEN[:-1])} or {WHEN[-1]}.")
        EXPANSIONS.entry(self.how)
        if any(number < 1 for number in self.at):
            raise ConfigError(f"growth.at is {list(self.at)}, expected numbers of tasks from 1, such as [3, 6].")
        object.__setattr__(self, "at", tuple(sorted(set(self.at))))
        if self.when == "schedule" and not self.at:
            raise ConfigError("growth.when=schedule needs growth.at, such as growth.at=[3]; add it.")
        self._check_unread()
        self._check_numbers()
        if self.when == "schedule" and len(self.at) > self.most:
            raise ConfigError(
                f"growth.at names {len(self.at)} tasks, but growth.most lets the backbone grow {self.most} times; set "
                f"growth.most={len(self.at)}, or name fewer."
            )
        if not 0.5 <= self.confidence < 1:
            raise ConfigError(f"growth.confidence is {self.confidence}, expected at least 0.5 and below 1.")
        if not 0 <= self.keep <= 1:
            raise ConfigError(f"growth.keep is {self.keep}, expected a number in [0, 1].")
        if self.active:
            Amount(self.layers, self.width, self.inner)

    def _check_unread(self) -> None:
        """Refuses what the chosen occasion or expansion would not read."""
        if self.at and self.when != "schedule":
            raise ConfigError(
                f"growth.at belongs to growth.when=schedule, which is {self.when}; set that, or leave growth.at out."
            )
        for name, _ in set_otherwise(self, ("noise", "recovery") if self.how == "exact" else ()):
            raise ConfigError(
                f"growth.{name} belongs to growth.how=elle, which is exact; set that, or leave growth.{name} out."
            )

    def _check_numbers(self) -> None:
        for name in ("most", "memory", "batch_size", "probe_rank", "probe_epochs"):
            if getattr(self, name) < 1:
                raise ConfigError(f"growth.{name} is {getattr(self, name)}, expected at least 1.")
        for name in ("recovery", "steps", "probe_layer", "noise", "margin"):
            at_least(0, getattr(self, name), f"growth.{name}")
        for name in ("learning_rate", "probe_learning_rate"):
            above(0, getattr(self, name), f"growth.{name}")

    @property
    def active(self) -> bool:
        """Whether the backbone may grow at all."""
        return self.when != "never"

    @property
    def amount(self) -> Amount:
        """How much a growth adds."""
        return Amount(self.layers, self.width, self.inner)

    def expansion(self) -> Any:
        """The expansion."""
        from continual.construction import construct
        from continual.growth import EXPANSIONS

        options = {"noise": self.noise} if self.how == "elle" else {}
        return construct(EXPANSIONS, self.how, options, "growth")
