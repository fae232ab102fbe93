"""Accuracy against what it costs: trained parameters and time, one point with its interval for each group."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from continual.evaluation.figures.axes import Frame, nice_ticks
from continual.evaluation.figures.labels import Box, place_labels
from continual.evaluation.figures.numbers import Unit, capital, unit_of
from continual.evaluation.figures.scales import COSTS, Cost, Scale, scale_over
from continual.evaluation.figures.shapes import Disc, Drawing, Stroke, Words, text_width

Row = Mapping[str, Any]

SCORES = {"average": "Task told", "routed_average": "Task not told"}

_WIDTH, _HEIGHT = 1040.0, 290.0
_TOP, _BLOCK_TOP = 34.0, 58.0
_EDGE = 24.0
_RADIUS, _CAP = 5.0, 3.0
_APART = 11.0
"""Points are drawn at least this far apart across, in pixels, so that each interval can be seen."""


def cost_drawing(groups: Sequence[Row]) -> Drawing | None:
    """Draws the groups of a `Comparison`; None where no group has a score.

    Each stream has rows of its own: with the task told and not told, against either cost. A colour is a group.
    """
    blocks = []
    for stream in dict.fromkeys(group["stream"] for group in groups):
        rows = [(colour, group) for colour, group in enumerate(groups) if group["stream"] == stream]
        kinds = [kind for kind in SCORES if any(group[kind] is not None for _, group in rows)]
        blocks += [(stream, rows, kinds)] if kinds else []
    if not blocks:
        return None
    height = _TOP + sum(_BLOCK_TOP + _HEIGHT * len(kinds) for _, _, kinds in blocks)
    score = capital(score_name(groups))
    drawing = Drawing(_WIDTH, height, f"{score} of each group against trained parameters and against time to train")
    top = _TOP
    for stream, rows, kinds in blocks:
        members = [group for _, group in rows]
        _head(drawing, top, stream, members)
        top += _BLOCK_TOP
        limits = score_limits(members, kinds)
        for kind in kinds:
            for column, cost in enumerate(COSTS):
                _panel(drawing, (column * _WIDTH / 2, top), rows, kind, cost, limits)
            top += _HEIGHT
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


def spread_out(xs: Sequence[float], box: Box) -> list[float]:
    """Positions moved apart as little as needed, so that no two are nearer than `_APART`; their order is kept."""
    blocks: list[tuple[list[int], float]] = []  # members, and where the middle of them stands
    for index in sorted(range(len(xs)), key=lambda it: xs[it]):
        blocks.append(([index], xs[index]))
        while len(blocks) > 1 and _touch(*blocks[-2:]):
            members = [*blocks[-2][0], *blocks[-1][0]]
            half = _APART * (len(members) - 1) / 2
            middle = sum(xs[it] for it in members) / len(members)
            blocks[-2:] = [(members, min(max(middle, box.left + half), max(box.right - half, box.left + half)))]
    moved = list(xs)
    for members, middle in blocks:
        for place, index in enumerate(members):
            moved[index] = round(middle + _APART * (place - (len(members) - 1) / 2), 1)
    return moved


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
    about += " Better is higher, cheaper is further left; points that would cover each other stand side by side."
    drawing.words.append(Words(_EDGE, top, stream, "heading"))
    drawing.words.append(Words(_EDGE, top + 25, about, "lead"))


def _panel(
    drawing: Drawing,
    corner: tuple[float, float],
    rows: Sequence[tuple[int, Row]],
    kind: str,
    cost: Cost,
    limits: tuple[float, float],
) -> None:
    """One pair of axes with a point for each group that has both values; `rows` are colours and groups."""
    shown = [(colour, row) for colour, row in rows if row[kind] is not None and (row[cost.name] or 0) > 0]
    scale = scale_over([row[cost.name] for _, row in shown], cost)
    frame = Frame(_WIDTH / 2, _HEIGHT, scale.limits, limits, left=66, right=22, top=34, bottom=54)
    panel = _Panel(frame, *corner, scale, unit_of(rows[0][1]["metric"]))
    _axes(drawing, panel, kind, cost)
    if not shown:
        box = panel.box
        middle = ((box.left + box.right) / 2, (box.top + box.bottom) / 2)
        drawing.words.append(Words(*middle, "not measured", "title", "middle"))
        return
    xs = spread_out([panel.x(row[cost.name]) for _, row in shown], panel.box)
    points = [(x, panel.y(row[kind])) for x, (_, row) in zip(xs, shown, strict=True)]
    bars = []
    for point, (colour, row) in zip(points, shown, strict=True):
        bars += _interval(drawing, panel, point[0], (row[f"{kind}_low"], row[f"{kind}_high"]), colour)
        drawing.discs.append(Disc(*point, _RADIUS, colour, _tip(row, kind, cost, panel.unit)))
    _names(drawing, points, shown, bars, panel.box)


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
    shown: Sequence[tuple[int, Row]],
    bars: Sequence[Box],
    inside: Box,
) -> None:
    """Each group's name beside its point, in its colour."""
    names = [_cut(row["name"]) for _, row in shown]
    labels = place_labels(points, names, bars, inside)
    for point, label, name, (colour, _) in zip(points, labels, names, shown, strict=True):
        if label.leader:
            gap = -3 if label.anchor == "start" else 3
            drawing.strokes.append(Stroke(point, (label.x + gap, label.y), "leader", colour))
        drawing.words.append(Words(label.x, label.y, name, "label", label.anchor, colour))


def _touch(first: tuple[list[int], float], second: tuple[list[int], float]) -> bool:
    return second[1] - first[1] < _APART * (len(first[0]) + len(second[0])) / 2


def _cut(name: str, most: int = 40) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _tip(row: Row, kind: str, cost: Cost, unit: Unit) -> str:
    low, high = row[f"{kind}_low"], row[f"{kind}_high"]
    sure = "" if low is None or high is None else f" ± {unit.full((high - low) / 2)}"
    spent = f"{cost.title}: {cost.spoken(row[cost.name])}"
    return f"{row['name']}, {SCORES[kind].lower()}: {unit.full(row[kind])}{sure}, {spent}"
