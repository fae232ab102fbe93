"""How a model is pretrained: the budget, the rate and the precision. The same for every kind of pretraining."""

from dataclasses import dataclass, field
from typing import Any

from continual.errors import ConfigError
from continual.limits import above, at_least

SCHEDULES = ("inverse_sqrt", "cosine")
PRECISIONS = ("auto", "fp32", "bf16")


def setting(default: Any, help: str) -> Any:
    """A field with its help text."""
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True)
class OptimisationConfig:
    """How a model is trained (AdamW, betas 0.9 and 0.98)."""

    minutes: float = setting(45.0, "wall-clock time for all of it; decides the number of steps where `steps` is null")
    steps: int | None = setting(None, "number of steps; the result is then a function of the settings alone")
    batch_tokens: int = setting(1024, "tokens of the longer side in a step, padding included")
    learning_rate: float = setting(0.001, "peak learning rate")
    schedule: str = setting("inverse_sqrt", "course of the rate: inverse_sqrt with a final cool-down, or cosine")
    warmup: int = setting(400, "steps over which the rate rises")
    cooldown: float = setting(0.2, "last share of the steps, over which inverse_sqrt falls linearly to 0")
    clip_norm: float = setting(1.0, "largest norm of the gradient; 0 does not clip")
    weight_decay: float = setting(0.01, "decoupled weight decay")
    label_smoothing: float = setting(0.1, "share of the target spread evenly over the vocabulary")
    precision: str = setting("auto", "fp32, bf16 (autocast), or auto: bf16 on a GPU, fp32 on a CPU")
    evaluate_every: int = setting(500, "steps between two looks at the held-out text")

    def __post_init__(self) -> None:
        self._check_ranges()
        for name, known in (("schedule", SCHEDULES), ("precision", PRECISIONS)):
            if getattr(self, name) not in known:
                raise ConfigError(f"training.{name} is {getattr(self, name)!r}, expected one of {', '.join(known)}.")
        if self.schedule == "cosine" and self.steps is None:
            raise ConfigError(
                "training.schedule=cosine has to know the number of steps beforehand; add training.steps=N or take "
                "training.schedule=inverse_sqrt."
            )

    def _check_ranges(self) -> None:
        for name in ("minutes", "batch_tokens", "learning_rate", "warmup", "evaluate_every"):
            above(0, getattr(self, name), f"training.{name}")
        for name in ("clip_norm", "weight_decay"):
            at_least(0, getattr(self, name), f"training.{name}")
        for name in ("cooldown", "label_smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"training.{name} is {getattr(self, name)}, expected at least 0 and below 1.")
        if self.steps is not None and self.steps < 1:
            raise ConfigError(f"training.steps is {self.steps}, expected 1 or more, or null to use the minutes.")
