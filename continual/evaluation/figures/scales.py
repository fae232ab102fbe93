"""Horizontal axes for what a method costs: trained parameters and time, linear or logarithmic."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from continual.evaluation.figures.axes import nice_ticks
from continual.evaluation.figures.numbers import count, duration

_MOST_TICKS = 7
_FAR_APART = 6.0
"""From this ratio of the largest cost to the smallest on, the axis is logarithmic."""

_UNITS = ((3600.0, "h"), (60.0, "min"), (1.0, "s"))
_ROUND_SECONDS = sorted([0.1, 0.2, 0.5] + [n * unit for unit, _ in _UNITS for n in (1, 2, 5, 10, 20, 30)])
_FEW_SECONDS = (0.1, 1.0, 10.0, 60.0, 600.0, 3600.0, 36000.0)


@dataclass(frozen=True)
class Cost:
    """What a method takes of something.

    Attributes:
        name: The measure in the rows of a comparison.
        title: It in words.
        spoken: Writes a value in full.
        is_time: Whether it is in seconds; otherwise it is a count.
    """

    name: str
    title: str
    spoken: Callable[[float], str]
    is_time: bool


COSTS = (
    Cost("trainable_parameters_per_task", "trained parameters for each task", count, False),
    Cost("train_seconds", "time to train", duration, True),
)

CPU = Cost("cpu_seconds", "processor time of the whole run", duration, True)
"""In place of the time to train where all groups have it: other work on the machine does not count in it."""


def costs_of(rows: Sequence[Mapping[str, Any]]) -> tuple[Cost, Cost]:
    """What the groups are drawn against."""
    measured = all(row.get(CPU.name) is not None for row in rows)
    return COSTS[0], CPU if measured else COSTS[1]


@dataclass(frozen=True)
class Scale:
    """The range of an axis.

    Attributes:
        limits: Its ends, for a logarithmic axis as powers of ten.
        ticks: Values and their labels.
        is_log: Whether it is logarithmic.
    """

    limits: tuple[float, float]
    ticks: list[tuple[float, str]]
    is_log: bool

    def place(self, value: float) -> float:
        """Where a value lies between the limits."""
        return math.log10(value) if self.is_log else value


def scale_over(values: Sequence[float], cost: Cost) -> Scale:
    """An axis that holds the values, all above 0, with room beside them."""
    low, high = (min(values), max(values)) if values else (1.0, 1.0)
    if high / low > _FAR_APART:
        margin = 0.14 * math.log10(high / low) + 0.12
        limits = math.log10(low) - margin, math.log10(high) + margin
        return Scale(limits, [(value, _tick(value, cost)) for value in _log_ticks(*limits, cost)], True)
    margin = 0.14 * (high - low) + 0.06 * high
    limits = max(0.0, low - margin), high + margin
    if low == high:
        return Scale(limits, [(low, _tick(low, cost))] if values else [], False)
    if not cost.is_time:
        return Scale(limits, [(value, short_count(value)) for value in nice_ticks(*limits, 5)], False)
    unit, name = next((it for it in _UNITS if high >= 3 * it[0]), _UNITS[-1])
    ticks = nice_ticks(limits[0] / unit, limits[1] / unit, 6)
    return Scale(limits, [(unit * value, f"{value:g} {name}") for value in ticks], False)


def short_count(value: float) -> str:
    """A whole number for an axis: `500`, `20 k`, `1.5 M`; one that is not round, in full."""
    for size, letter in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= size and round(value / size, 1) * size == value:
            return f"{value / size:g}{letter}"
    return f"{value:,.0f}"


def short_time(seconds: float) -> str:
    """A length of time for an axis, in the largest unit that is not more: `30 s`, `2 min`, `1.5 h`."""
    unit, name = next((it for it in _UNITS if seconds >= it[0]), _UNITS[-1])
    return f"{seconds / unit:.3g} {name}"


def _tick(value: float, cost: Cost) -> str:
    return short_time(value) if cost.is_time else short_count(value)


def _log_ticks(low: float, high: float, cost: Cost) -> list[float]:
    """Round values between two powers of ten: as many as can be read."""
    powers = range(math.floor(low), math.ceil(high) + 1)
    many: Sequence[float] = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
    few: Sequence[float] = [10.0**power for power in powers]
    if cost.is_time:
        many, few = _ROUND_SECONDS, _FEW_SECONDS
    inside = [[value for value in values if low <= math.log10(value) <= high] for values in (many, few)]
    return inside[0] if len(inside[0]) <= _MOST_TICKS else inside[1]
