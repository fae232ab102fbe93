"""Names beside the points of a drawing, so that none covers another or the data."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from continual.evaluation.figures.shapes import text_width

_HEIGHT = 15.0
_GAP = 9.0
_STEPS = 9
_NEAR = 16.0
"""Labels that stand this near to their point need no line to it; in pixels."""


_NAME_OF = 9.0
"""A line to a label that passes a point this near would seem to come from it."""


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels, `bottom` below `top`."""

    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: "Box") -> float:
        """The area that both cover."""
        wide = min(self.right, other.right) - max(self.left, other.left)
        high = min(self.bottom, other.bottom) - max(self.top, other.top)
        return wide * high if wide > 0 and high > 0 else 0.0


@dataclass(frozen=True)
class Label:
    """Where a name stands: `x` is its left or right end, as `anchor` says; `leader` whether a line leads to it."""

    x: float
    y: float
    anchor: str
    leader: bool


def place_labels(
    points: Sequence[tuple[float, float]], names: Sequence[str], obstacles: Sequence[Box], inside: Box
) -> list[Label]:
    """Finds a place for each name: beside its point, or as near as there is room.

    The points are served from top to bottom, and each takes the best of its free places.

    Args:
        points: Where they are.
        names: The text of each.
        obstacles: What labels should not cover.
        inside: Where labels may be.
    """
    taken = [*obstacles, *(Box(x - 6, y - 6, x + 6, y + 6) for x, y in points)]
    placed: dict[int, Label] = {}
    for index in sorted(range(len(points)), key=lambda it: points[it][1]):
        width = text_width(names[index], "label")
        others = [point for place, point in enumerate(points) if place != index]
        best = min(
            _offers(points[index], points, width),
            key=lambda it: it[1] + _trouble(it[2], taken, inside) + _crossed(points[index], it[0], others, obstacles),
        )
        placed[index] = best[0]
        taken.append(best[2])
    return [placed[index] for index in range(len(points))]


def _offers(
    point: tuple[float, float], points: Sequence[tuple[float, float]], width: float
) -> Iterator[tuple[Label, float, Box]]:
    """Places for a name with what speaks against each, and the room that it takes."""
    x, y = point
    near = [other for other, _ in points if abs(other - x) < 60]  # a crowd is best labelled at its sides
    ends = {"start": sorted({x, max(near)}), "end": sorted({x, min(near)})}
    for step in range(-_STEPS, _STEPS + 1):
        middle = y + step * _HEIGHT / 1.5
        for anchor, starts in ends.items():
            for start in starts:
                at = start + (_GAP if anchor == "start" else -_GAP)
                left = at if anchor == "start" else at - width
                away = abs(middle - y) + 0.6 * abs(start - x)
                price = away + (4 if anchor == "end" else 0)
                box = Box(left - 2, middle - _HEIGHT / 2, left + width + 2, middle + _HEIGHT / 2)
                yield Label(at, middle, anchor, away > _NEAR), price, box


def _crossed(
    point: tuple[float, float], label: Label, others: Sequence[tuple[float, float]], obstacles: Sequence[Box]
) -> float:
    """What it costs that a name stands behind other points, whose own it would seem to be, or behind obstacles."""
    along_x, along_y = label.x - point[0], label.y - point[1]
    length = math.hypot(along_x, along_y)
    price = 0.0
    for x, y in others:
        away_x, away_y = x - point[0], y - point[1]
        along = (away_x * along_x + away_y * along_y) / length
        if 0 < along < length and abs(away_x * along_y - away_y * along_x) / length < _NAME_OF:
            price += 60.0
    for box in obstacles:
        share = ((box.left + box.right) / 2 - point[0]) / along_x if along_x else 0.0
        if 0.02 < share < 1 and box.top < point[1] + share * along_y < box.bottom:
            price += 14.0
    return price


def _trouble(box: Box, taken: Sequence[Box], inside: Box) -> float:
    """What a place costs in covered things; all of it outside costs more than any of it covered."""
    area = (box.right - box.left) * (box.bottom - box.top)
    return 3.0 * sum(box.overlap(other) for other in taken) + 10.0 * (area - box.overlap(inside))
