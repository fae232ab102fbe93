"""Accuracy against what it costs: trained parameters and time, one point with its interval for each group."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from continual.evaluation.figures.axes import Frame, nice_ticks
from continual.evaluation.figures.labels import Box, place_labels
from continual.evaluation.figures.numbers import Unit, capital, unit_of
from continual.evaluation.figures.scales import Cost, Scale, costs_of, scale_over
from continual.evaluation.figures.shapes import Disc, Drawing, Stroke, Words, text_width
from continual.evaluation.groups import KEYS, Group, short_labels

Row = Mapping[str, Any]

SCORES = {"average": "Task told", "routed_average": "Task not told"}

_WIDTH, _HEIGHT = 1040.0, 290.0
_TOP, _BLOCK_TOP = 34.0, 58.0
_FRAME = 88.0
_EDGE = 24.0
_RADIUS, _CAP = 5.0, 3.0
_LINE = 17.0
"""A panel is as high as its names in one column, where that is more than `_HEIGHT`: costs may all be equal."""


def cost_drawing(groups: Sequence[Row]) -> Drawing | None:
    """Draws the groups of a `Comparison`; None where no group has a score.

    Each stream has rows of its own: with the task told and not told, against either cost. A colour is a group.
    """
    blocks = []
    for stream in dict.fromkeys(group["stream"] for group in groups):
        rows = [(colour, group) for colour, group in enumerate(groups) if group["stream"] == stream]
        kinds = [kind for kind in SCORES if any(group[kind] is not None for _, group in rows)]
        blocks += [(stream, rows, kinds, max(_HEIGHT, _FRAME + _LINE * len(rows)))] if kinds else []
    if not blocks:
        return None
    height = _TOP + sum(_BLOCK_TOP + each * len(kinds) for _, _, kinds, each in blocks)
    score = capital(score_name(groups))
    drawing = Drawing(_WIDTH, height, f"{score} of each group against trained parameters and against time")
    top = _TOP
    for stream, rows, kinds, each in blocks:
        members = [group for _, group in rows]
        _head(drawing, top, stream, members)
        top += _BLOCK_TOP
        limits = score_limits(members, kinds)
        names = dict(zip((colour for colour, _ in rows), _names_within(members), strict=True))
        for kind in kinds:
            for column, cost in enumerate(costs_of(groups)):
                place = Box(column * _WIDTH / 2, top, (column + 1) * _WIDTH / 2, top + each)
                _panel(drawing, place, rows, names, kind, cost, limits)
            top += each
    return drawing


def score_name(groups: Sequence[Row]) -> str:
    """The metric of the groups in words; `score` where they have several."""
    names = {unit_of(group["metric"]).name for group in groups}
    return names.pop() if len(names) == 1 else "score"


def score_limits(groups: Sequence[Row], kinds: Sequence[str]) -> tuple[float, float]:
    """The range of scores: all means, and as much of the intervals as leaves the means apart."""
    means = [group[kind] for group in groups for kind in kinds if group[kind] is not None]
    ends = [group[f"{kind}_{end}"] for group in groups for kind in kinds for end in ("low", "high")]
    ends = [*means, *(end for end in ends if end is not None)]
    share = unit_of(groups[0]["metric"]).factor != 1.0
    reach = max(2 * (max(means) - min(means)), 0.06 * (1.0 if share else max(map(abs, means))))
    low, high = max(min(ends), min(means) - reach), min(max(ends), max(means) + reach)
    margin = 0.06 * (high - low) + 0.06 * reach
    return (max(0.0, low - margin), min(1.02, high + margin)) if share else (low - margin, high + margin)


@dataclass(frozen=True)
class _Panel:
    """Where values lie in the whole drawing."""

    frame: Frame
    left: float
    top: float
    scale: Scale
    unit: Unit

    def x(self, value: float) -> float:
        return self.left + self.frame.across(self.scale.place(value))

    def y(self, value: float) -> float:
        return self.top + self.frame.up(value)

    @property
    def box(self) -> Box:
        frame = self.frame
        right, bottom = self.left + frame.width - frame.right, self.top + frame.height - frame.bottom
        return Box(self.left + frame.left, self.top + frame.top, right, bottom)


def _head(drawing: Drawing, top: float, stream: str, groups: Sequence[Row]) -> None:
    sizes = sorted({group["n"] for group in groups})
    seeds = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    about = "One seed, so there are no intervals." if sizes == [1] else f"Means over {seeds} seeds with 95 % intervals."
    about += " Better is higher, cheaper is further left; groups of equal cost stand above each other."
    drawing.words.append(Words(_EDGE, top, stream, "heading"))
    drawing.words.append(Words(_EDGE, top + 25, about, "lead"))


def _panel(
    drawing: Drawing,
    place: Box,
    rows: Sequence[tuple[int, Row]],
    names: Mapping[int, str],
    kind: str,
    cost: Cost,
    limits: tuple[float, float],
) -> None:
    """One pair of axes with a point for each group that has both values.

    Args:
        drawing: Where it is drawn.
        place: What it takes of the drawing.
        rows: Colours and groups.
        names: The groups' names, by colour.
        kind: The score.
        cost: What it is drawn against.
        limits: Of the score.
    """
    shown = [(colour, row) for colour, row in rows if row[kind] is not None and (row[cost.name] or 0) > 0]
    scale = scale_over([row[cost.name] for _, row in shown], cost)
    size = (place.right - place.left, place.bottom - place.top)
    frame = Frame(*size, scale.limits, limits, left=66, right=22, top=34, bottom=54)
    panel = _Panel(frame, place.left, place.top, scale, unit_of(rows[0][1]["metric"]))
    _axes(drawing, panel, kind, cost)
    if not shown:
        box = panel.box
        middle = ((box.left + box.right) / 2, (box.top + box.bottom) / 2)
        drawing.words.append(Words(*middle, "not measured", "title", "middle"))
        return
    points = [(panel.x(row[cost.name]), panel.y(row[kind])) for _, row in shown]
    bars = []
    for point, (colour, row) in zip(points, shown, strict=True):
        bars += _interval(drawing, panel, point[0], (row[f"{kind}_low"], row[f"{kind}_high"]), colour)
        drawing.discs.append(Disc(*point, _RADIUS, colour, _tip(row, kind, cost, panel.unit)))
    _names(drawing, points, [(colour, names[colour]) for colour, _ in shown], bars, panel.box)


def _axes(drawing: Drawing, panel: _Panel, kind: str, cost: Cost) -> None:
    box, unit, (low, high) = panel.box, panel.unit, panel.frame.y
    ticks = nice_ticks(unit.factor * low, unit.factor * high, 6)
    digits = 0 if all(float(tick).is_integer() for tick in ticks) else 1
    for tick in ticks:
        y = panel.y(tick / unit.factor)
        drawing.strokes.append(Stroke((box.left, y), (box.right, y), "grid"))
        drawing.words.append(Words(box.left - 8, y, f"{tick:.{digits}f}", "tick", "end"))
    for value, text in panel.scale.ticks:
        x = panel.x(value)
        drawing.strokes.append(Stroke((x, box.bottom), (x, box.bottom + 4), "axis"))
        drawing.words.append(Words(x, box.bottom + 14, text, "tick", "middle"))
    drawing.strokes.append(Stroke((box.left, box.bottom), (box.right, box.bottom), "axis"))
    title = f"{cost.title}{', logarithmic' if panel.scale.is_log else ''}"
    drawing.words.append(Words(box.right, box.bottom + 32, title, "title", "end"))
    drawing.words.append(Words(panel.left + _EDGE, panel.top + 12, SCORES[kind], "panel"))
    behind = panel.left + _EDGE + text_width(SCORES[kind], "panel") + 10
    drawing.words.append(Words(behind, panel.top + 12, unit.axis, "title"))


def _interval(
    drawing: Drawing, panel: _Panel, x: float, bounds: tuple[float | None, float | None], colour: int
) -> list[Box]:
    """A bar from bound to bound, without an end where it goes on beyond the axes; what labels should not cover."""
    low, high = bounds
    if low is None or high is None:
        return []
    floor, roof = panel.frame.y
    bottom, top = panel.y(max(low, floor)), panel.y(min(high, roof))
    drawing.strokes.append(Stroke((x, bottom), (x, top), "bar", colour))
    for end, inside in ((bottom, low >= floor), (top, high <= roof)):
        if inside:
            drawing.strokes.append(Stroke((x - _CAP, end), (x + _CAP, end), "bar", colour))
    return [Box(x - _CAP - 1, top - 1, x + _CAP + 1, bottom + 1)]


def _names(
    drawing: Drawing,
    points: Sequence[tuple[float, float]],
    named: Sequence[tuple[int, str]],
    bars: Sequence[Box],
    inside: Box,
) -> None:
    """Each group's name beside its point, in its colour."""
    labels = place_labels(points, [name for _, name in named], bars, inside)
    for point, label, (colour, name) in zip(points, labels, named, strict=True):
        if label.leader:
            gap = -3 if label.anchor == "start" else 3
            drawing.strokes.append(Stroke(point, (label.x + gap, label.y), "leader", colour))
        drawing.words.append(Words(label.x, label.y, name, "label", label.anchor, colour))


def _names_within(rows: Sequence[Row]) -> list[str]:
    """The groups of one stream in as few words as tell them apart there; long ones lose their middle."""
    shared = {key for row in rows for key in row["settings"]}
    differing = [key for key in shared if len({json.dumps(row["settings"].get(key)) for row in rows}) > 1]
    groups = [
        Group({key: row[key] for key in KEYS}, {k: v for k, v in row["settings"].items() if k in differing}, [])
        for row in rows
    ]
    return [_cut(name) for name in short_labels(groups)]


def _cut(name: str, most: int = 24) -> str:
    """A name that fits on one side of a point; names differ at either end, by their method or a setting."""
    half = (most - 1) // 2
    return name if len(name) <= most else f"{name[: most - 1 - half].rstrip()}…{name[-half:].lstrip()}"


def _tip(row: Row, kind: str, cost: Cost, unit: Unit) -> str:
    low, high = row[f"{kind}_low"], row[f"{kind}_high"]
    sure = "" if low is None or high is None else f" ± {unit.full((high - low) / 2)}"
    spent = f"{cost.title}: {cost.spoken(row[cost.name])}"
    return f"{row['name']}, {SCORES[kind].lower()}: {unit.full(row[kind])}{sure}, {spent}"
