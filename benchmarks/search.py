"""The settings of each contestant: one knob after the other, each widened while its best value is at the edge."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

Setting = tuple[str, float]
Score = Callable[[tuple[Setting, ...]], float | None]
"""The score of a contestant with some settings; None where that is not known."""


@dataclass(frozen=True)
class Knob:
    """A setting that is searched.

    Attributes:
        setting: Its name.
        values: What is tried first, rising.
        lower: What is tried below while the lowest value is the best, falling.
        higher: What is tried above while the highest value is the best, rising.
        start: The value while other settings are searched before it.
    """

    setting: str
    values: tuple[float, ...]
    lower: tuple[float, ...] = ()
    higher: tuple[float, ...] = ()
    start: float | None = None


@dataclass(frozen=True)
class Tried:
    """What was found for one knob.

    Attributes:
        setting: Its name.
        scores: The score of each value, by rising value.
        chosen: The best; the lowest of equal ones. None if no score is known.
    """

    setting: str
    scores: dict[float, float]
    chosen: float | None


def search(knobs: Sequence[Knob], score: Score) -> list[Tried]:
    """Coordinate search: each knob with those before it as chosen, and those after it at their start.

    Args:
        knobs: In the order in which they are searched.
        score: Measures, or looks up.
    """
    found: list[Tried] = []
    for number, knob in enumerate(knobs):
        fixed = [(one.setting, one.chosen) for one in found]
        later = [(one.setting, one.start) for one in knobs[number + 1 :]]
        found.append(_tried(knob, lambda value: score((*fixed, (knob.setting, value), *later))))  # noqa: B023
        if found[-1].chosen is None:
            break
    return found


def is_done(tried: Sequence[Tried]) -> bool:
    """Whether a search went through to its end."""
    return all(one.chosen is not None for one in tried)


def chosen(tried: Sequence[Tried]) -> tuple[Setting, ...]:
    """The settings that a search ended with."""
    return tuple((one.setting, one.chosen) for one in tried)


def _tried(knob: Knob, score: Callable[[float], float | None]) -> Tried:
    scores = {value: score(value) for value in knob.values}
    lower, higher = list(knob.lower), list(knob.higher)
    while None not in scores.values():
        best = _best(scores)
        beyond = lower if best == min(scores) else higher if best == max(scores) else []
        if not beyond:
            return Tried(knob.setting, dict(sorted(scores.items())), best)
        value = beyond.pop(0)
        scores[value] = score(value)
    return Tried(knob.setting, {value: one for value, one in sorted(scores.items()) if one is not None}, None)


def _best(scores: dict[float, float]) -> float:
    return max(sorted(scores), key=lambda value: scores[value])
