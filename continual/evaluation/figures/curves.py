"""Line charts: scores after each step, and training curves."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from continual.evaluation.figures.axes import Frame, nice_ticks, path_of, spread, steps, whole_ticks
from continual.evaluation.figures.numbers import Unit, decimals
from continual.evaluation.summary import Rows, Stage, TaskRecord

Point = tuple[float, float | None]
"""x and y in the units of the data; y is None where the line is interrupted."""


@dataclass(frozen=True)
class Dot:
    """A marked point with its story."""

    x: float
    y: float
    tip: str


@dataclass(frozen=True)
class Line:
    """A line: `kind` decides how it looks, `path` is the `d` of an SVG path."""

    kind: str
    path: str
    dots: list[Dot] = field(default_factory=list)


@dataclass(frozen=True)
class Chart:
    """One drawing; ticks are (position, label) pairs, `marker` is where a vertical line stands."""

    frame: Frame
    lines: list[Line]
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    alt: str
    y_title: str
    x_title: str = ""
    marker: float | None = None


@dataclass(frozen=True)
class Panel:
    """A small chart, or several above each other, under a heading.

    `facts` are (name, value) pairs beside the heading.
    """

    number: int
    title: str
    charts: list[Chart]
    facts: list[tuple[str, str]]


def average_chart(matrices: dict[str, Rows], tasks: Sequence[str], unit: Unit) -> Chart | None:
    """Mean score over the tasks learned so far after each step, one line for each matrix; None without data.

    Args:
        matrices: Kind of line -> matrix.
        tasks: T names.
        unit: How values are written.
    """
    means = {kind: _means_so_far(matrix) for kind, matrix in matrices.items()}
    values = [value for line in means.values() for _, value in line if value is not None]
    if not values:
        return None
    last = max(int(x) for line in means.values() for x, value in line if value is not None)
    frame = Frame(560, 240, steps(last), spread(values), left=44, top=26, bottom=44)
    lines = [
        _line(frame, kind, line, [_mean_tip(kind, x, y, tasks, unit) for x, y in line]) for kind, line in means.items()
    ]
    ticks = [(frame.across(step), str(step)) for step in whole_ticks(1, last, 15)]
    return Chart(
        frame,
        lines,
        ticks,
        _score_ticks(frame, unit),
        "Average score after each learned task",
        unit.axis,
        "learned tasks",
    )


def task_panels(matrices: dict[str, Rows], tasks: Sequence[str], unit: Unit) -> list[Panel]:
    """One small chart for each learned task: its score since it was learned."""
    seen = [row[:step] for table in matrices.values() for step, row in enumerate(table)]
    values = [value for row in seen for value in row if value is not None]
    last = max((last_row(table) for table in matrices.values()), default=0)
    limits = spread(values)
    return [_task_panel(index, task, matrices, last, limits, unit) for index, task in enumerate(tasks[:last])]


def training_panels(records: Sequence[TaskRecord], unit: Unit) -> list[Panel]:
    """Score on the development split and training loss per epoch, one panel for each task that has curves."""
    epochs = [epoch for record in records for stage in record.stages for epoch in stage.curve]
    scores = spread([it.dev_accuracy for it in epochs if it.dev_accuracy is not None])
    losses = [it.train_loss for it in epochs if it.train_loss is not None]
    limits = (0.0, max(losses, default=1.0) or 1.0)
    return [
        _training_panel(index, record, scores, limits, unit)
        for index, record in enumerate(records)
        if any(stage.curve for stage in record.stages)
    ]


def role(stage: str) -> str:
    """How the line of a stage is drawn: `probe`, `teacher`, or `student` for the prompt that is kept."""
    return next((name for name in ("probe", "teacher") if stage.lower().startswith(name)), "student")


def _task_panel(
    index: int, task: str, matrices: dict[str, Rows], last: int, limits: tuple[float, float], unit: Unit
) -> Panel:
    frame = Frame(240, 132, steps(last), limits)
    lines = []
    for kind, table in matrices.items():
        column = [(float(step), row[index]) for step, row in enumerate(table[: last + 1]) if step]
        tips = [f"{task}, {_SPOKEN[kind]}, after {int(x)} learned: {unit.full(y)}" for x, y in column]
        # What a task scores before it is learned is no forgetting.
        lines.append(_line(frame, kind, column[index:], tips[index:]))
    ticks = [(frame.across(step), str(step)) for step in whole_ticks(1, last, 8)]
    first = next(iter(matrices.values()))
    facts = [("learned at", unit.score(first[index + 1][index])), ("now", unit.score(first[last][index]))]
    chart = Chart(
        frame,
        lines,
        ticks,
        _score_ticks(frame, unit, 3),
        f"Score of {task} after each step",
        unit.axis,
        "learned tasks",
        frame.across(index + 1),
    )
    return Panel(index + 1, task, [chart], facts)


def _training_panel(
    index: int, record: TaskRecord, scores: tuple[float, float], losses: tuple[float, float], unit: Unit
) -> Panel:
    longest = max(epoch.epoch for stage in record.stages for epoch in stage.curve)
    above = Frame(240, 98, steps(longest), scores, bottom=8)
    below = Frame(240, 96, steps(longest), losses)
    # The prompt that is kept comes last, so that it is drawn over the others.
    stages = sorted((stage for stage in record.stages if stage.curve), key=lambda stage: role(stage.name) == "student")
    x_ticks = [(below.across(epoch), str(epoch)) for epoch in whole_ticks(1, longest, 8)]
    loss_ticks = [(below.up(value), decimals(value, 1)) for value in nice_ticks(*losses, 3)]
    charts = [
        Chart(
            above,
            [_dev_line(above, record.task, stage, unit) for stage in stages],
            [],
            _score_ticks(above, unit, 3),
            f"Development score of {record.task} per epoch",
            f"dev {unit.axis}",
        ),
        Chart(
            below,
            [Line(role(it.name), _scaled(below, [(e.epoch, e.train_loss) for e in it.curve])) for it in stages],
            x_ticks,
            loss_ticks,
            f"Training loss of {record.task} per epoch",
            "training loss",
            "epoch",
        ),
    ]
    return Panel(index + 1, record.task, charts, [("dev", unit.score(record.dev_accuracy))])


def _dev_line(frame: Frame, task: str, stage: Stage, unit: Unit) -> Line:
    points: list[Point] = [(epoch.epoch, epoch.dev_accuracy) for epoch in stage.curve]
    best = stage.best_epoch if stage.best_epoch is not None else stage.curve[-1].epoch
    dots = [
        Dot(frame.across(x), frame.up(y), f"{task}, {stage.name}: {unit.full(y)} in the kept epoch {int(x)}")
        for x, y in points
        if x == best and y is not None
    ]
    return Line(role(stage.name), _scaled(frame, points), dots)


def _line(frame: Frame, kind: str, points: Sequence[Point], tips: Sequence[str]) -> Line:
    dots = [Dot(frame.across(x), frame.up(y), tip) for (x, y), tip in zip(points, tips, strict=True) if y is not None]
    return Line(kind, _scaled(frame, points), dots)


def _scaled(frame: Frame, points: Iterable[Point]) -> str:
    return path_of((frame.across(x), None if y is None else frame.up(y)) for x, y in points)


def _score_ticks(frame: Frame, unit: Unit, most: int = 5) -> list[tuple[float, str]]:
    low, high = frame.y[0] * unit.factor, frame.y[1] * unit.factor
    ticks = nice_ticks(low, high, most)
    places = 0 if all(float(tick).is_integer() for tick in ticks) else 1 if _coarse(ticks) else 2
    return [(frame.up(tick / unit.factor), decimals(tick, places)) for tick in ticks]


def _coarse(ticks: Sequence[float]) -> bool:
    return all(second - first >= 0.1 for first, second in pairwise(ticks))


_SPOKEN = {"aware": "task told", "routed": "task not told"}


def _mean_tip(kind: str, x: float, y: float | None, tasks: Sequence[str], unit: Unit) -> str:
    return f"After {int(x)} learned ({tasks[int(x) - 1]}), {_SPOKEN[kind]}: {unit.full(y)}"


def _means_so_far(table: Rows) -> list[Point]:
    means: list[Point] = []
    for learned in range(1, len(table)):
        seen = table[learned][:learned]
        means.append((float(learned), None if None in seen else sum(seen) / learned))
    return means


def last_row(table: Rows) -> int:
    """The last row with a score of a learned task; the rule of `ScoreMatrix.learned`."""
    rows = range(len(table) - 1, 0, -1)
    return next((row for row in rows if any(value is not None for value in table[row][:row])), 0)
