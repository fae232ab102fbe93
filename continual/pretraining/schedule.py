"""The course of the learning rate, and how a number of steps is found that fits into a time."""

import math

from continual.pretraining.optimisation import OptimisationConfig


def rate_factor(config: OptimisationConfig, step: int, total: int | None) -> float:
    """The learning rate at step `step` (from 0) as a share of its peak.

    It rises linearly over the warm-up. `inverse_sqrt` then falls as `sqrt(warmup / step)` (Vaswani et al. 2017, arXiv
    1706.03762) and, over the last `cooldown` of the steps, linearly to 0 from where it stands (Zhai et al. 2022, arXiv
    2106.04560). `cosine` falls along half a cosine.

    Args:
        config: Warm-up, schedule and cool-down.
        step: The step that is about to be taken.
        total: How many steps there are; None while nobody knows, which `inverse_sqrt` allows before its cool-down.
    """
    if config.schedule == "cosine":
        if step < config.warmup:
            return (step + 1) / config.warmup
        return (1 + math.cos(math.pi * (step - config.warmup) / max(total - config.warmup, 1))) / 2
    start = None if total is None else cooldown_start(total, config.cooldown)
    if start is None or step < start:
        return _inverse_sqrt(config.warmup, step)
    return _inverse_sqrt(config.warmup, start) * (total - step) / (total - start)


def cooldown_start(total: int, cooldown: float) -> int:
    """The first step of the cool-down of a training of `total` steps."""
    return round((1 - cooldown) * total)


def total_from(step: int, cooldown: float) -> int:
    """The number of steps of a training whose cool-down begins at `step`: `cooldown_start` turned round."""
    return round(step / (1 - cooldown))


def _inverse_sqrt(warmup: int, step: int) -> float:
    return min((step + 1) / warmup, math.sqrt(warmup / (step + 1)))
