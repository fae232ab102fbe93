"""Where data lie in a drawing: frames, ranges, ticks and paths."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Frame:
    """The area that data are drawn in.

    Attributes:
        width: Of the whole drawing.
        height: Of the whole drawing.
        x: Data range from left to right.
        y: Data range from bottom to top.
        left: Margin for the labels of the y axis.
        right: Margin.
        top: Margin.
        bottom: Margin for the labels of the x axis.
    """

    width: float
    height: float
    x: tuple[float, float]
    y: tuple[float, float]
    left: float = 34
    right: float = 10
    top: float = 18
    bottom: float = 32

    def across(self, value: float) -> float:
        """Horizontal position of a value, one decimal place."""
        return round(self.left + _share(value, self.x) * (self.width - self.left - self.right), 1)

    def up(self, value: float) -> float:
        """Vertical position of a value, one decimal place; drawings count downwards."""
        return round(self.height - self.bottom - _share(value, self.y) * (self.height - self.top - self.bottom), 1)


def spread(values: Sequence[float]) -> tuple[float, float]:
    """The range of some scores, a little widened and at least a tenth of the larger wide."""
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    lack = max(0.0, 0.1 * max(abs(low), abs(high), 1e-9) - (high - low)) / 2
    margin = 0.06 * (high - low + 2 * lack)
    return low - lack - margin, high + lack + margin


def steps(last: int) -> tuple[float, float]:
    """The range of an axis of steps 1 .. last; a single one stands in the middle."""
    return (1, last) if last > 1 else (0, 2)


def nice_ticks(low: float, high: float, most: int) -> list[float]:
    """At most `most` round numbers within a range, evenly spaced; at least one."""
    rough = (high - low) / max(1, most - 1)
    power = 10.0 ** math.floor(math.log10(rough)) if rough > 0 else 1.0
    for step in (power * factor for factor in (1, 2, 2.5, 5, 10, 20, 25, 50)):
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if 1 <= last - first + 1 <= most:
            return [round(index * step, 10) for index in range(first, last + 1)]
    return [low]


def whole_ticks(low: int, high: int, most: int) -> list[int]:
    """At most `most` whole numbers from `low` on, evenly spaced."""
    step = max(1, math.ceil((high - low + 1) / most))
    return list(range(low, high + 1, step))


def path_of(points: Iterable[tuple[float, float | None]]) -> str:
    """The `d` of an SVG path through the points, interrupted where y is None."""
    parts, pen_down = [], False
    for x, y in points:
        if y is not None:
            parts.append(f"{'L' if pen_down else 'M'}{x:g} {y:g}")
        pen_down = y is not None
    return "".join(parts)


def _share(value: float, limits: tuple[float, float]) -> float:
    low, high = limits
    return 0.5 if high <= low else (value - low) / (high - low)
