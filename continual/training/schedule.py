"""How long a training goes on and how its learning rate moves; the same for every method, so that budgets are equal."""

import math

from continual.training.config import TrainingConfig


def planned_epochs(config: TrainingConfig, per_epoch: int) -> int:
    """Epochs at most: as many as configured, or as many as `min_steps` steps need.

    Args:
        config: The budget.
        per_epoch: Steps in one epoch.
    """
    return max(config.epochs, math.ceil(config.min_steps / per_epoch))


def rate_factor(config: TrainingConfig, step: int, total: int) -> float:
    """The learning rate at step `step` (from 0) of `total` as a share of its peak.

    It rises linearly over the warm-up and then falls linearly to zero.
    """
    warmup = config.warmup * total
    if step < warmup:
        return min(1.0, (step + 1) / warmup)
    return (total - step) / (total - warmup)
