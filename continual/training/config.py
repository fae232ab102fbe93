"""The settings of one training."""

from dataclasses import dataclass, field, replace
from typing import Any

from continual.construction import coerce_fields
from continual.errors import ConfigError
from continual.limits import above, at_least

NOISES = ("none", "normal", "uniform")
"""Kinds of noise that HyPe may add."""


def _setting(default: float | str | bool, help: str) -> Any:
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True)
class TrainingConfig:
    """How a prompt and its head are trained. Every method uses the same, so that budgets are equal."""

    epochs: int = _setting(8, "passes over the training texts at most")
    min_steps: int = _setting(150, "small tasks get more epochs until this many steps are possible")
    batch_size: int = _setting(16, "texts in a step, for each process")
    learning_rate: float = _setting(0.01, "peak learning rate of the prompt (AdamW)")
    head_learning_rate: float = _setting(0.0003, "peak learning rate of the classification head")
    warmup: float = _setting(0.1, "share of the steps over which the learning rate rises; it then falls linearly to 0")
    patience: int = _setting(4, "stop after this many epochs without a better dev score; 0 never stops early")
    dropout: float = _setting(0.1, "dropout on the text's vector before the head")
    average: float = _setting(
        0.98, "decay of the moving average of the weights that is kept and used; 0 keeps the last"
    )
    clip_norm: float = _setting(1.0, "largest norm of the gradient; 0 does not clip")
    label_smoothing: float = _setting(0.0, "share of the target spread evenly over all labels")
    refit: bool = _setting(
        True, "fit the ground once more in the end, to train and dev together; false leaves dev to choosing"
    )
    hype: str = _setting(
        "none", "noise on the input of every layer in training (HyPe, arXiv 2212.08853): none, normal or uniform"
    )
    hype_scale: float = _setting(
        1e-5, "deviation of normal noise, bound of uniform noise; the paper tries 1e-5, 1e-4, 1e-3 and 1e-2"
    )

    def __post_init__(self) -> None:
        coerce_fields(self, "training")
        positive = ("epochs", "batch_size", "learning_rate", "head_learning_rate")
        for name in positive:
            above(0, getattr(self, name), f"training.{name}")
        for name in ("warmup", "dropout", "average", "label_smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"training.{name} is {getattr(self, name)}, expected at least 0 and below 1.")
        for name in ("min_steps", "patience", "clip_norm", "hype_scale"):
            at_least(0, getattr(self, name), f"training.{name}")
        if self.hype not in NOISES:
            raise ConfigError(f"training.hype is {self.hype!r}, expected one of {', '.join(NOISES)}.")

    def for_tasks(self, count: int) -> "TrainingConfig":
        """The budget of a training on so many tasks at once: no fewer steps than they would get one by one."""
        return replace(self, min_steps=self.min_steps * count)

    @property
    def perturbs(self) -> bool:
        """Whether layers are given noise in training."""
        return self.hype != "none" and self.hype_scale > 0
