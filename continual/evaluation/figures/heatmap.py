"""Tables whose cells are coloured by their value: scores over time, and where texts were routed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from continual.evaluation.figures.numbers import Unit, count
from continual.evaluation.figures.palette import step_of
from continual.evaluation.summary import Confusion, Rows

Kind = Literal["seen", "diagonal", "ahead", "missing"]


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        text: What it shows.
        step: Its colour, or None for no colour.
        tip: The whole story in a sentence.
        kind: `seen` for a learned task, `diagonal` for one just learned, `ahead` for one not learned yet,
            `missing` for a cell without a value.
    """

    text: str
    step: int | None
    tip: str
    kind: Kind = "seen"


@dataclass(frozen=True)
class Row:
    """One row: its number in the stream (None for none), its name, its cells, and a word at its end."""

    number: int | None
    name: str
    cells: list[Cell]
    total: str


@dataclass(frozen=True)
class HeatMap:
    """A coloured table.

    Attributes:
        title: What it shows.
        columns: Their names.
        rows: The rows from top to bottom.
        total: Heading of the last column.
        low: What the first colour stands for.
        high: What the last colour stands for.
    """

    title: str
    columns: list[str]
    rows: list[Row]
    total: str
    low: str
    high: str


def domain(tables: Sequence[Rows | None]) -> tuple[float, float]:
    """The range of all values in some tables, widened to full twentieths; (0, 1) where there are none."""
    values = [value for table in tables if table for row in table for value in row if value is not None]
    if not values:
        return 0.0, 1.0
    low, high = math.floor(min(values) * 20) / 20, math.ceil(max(values) * 20) / 20
    return (low, high) if high > low else (low - 0.05, high + 0.05)


def score_map(title: str, tasks: Sequence[str], matrix: Rows, unit: Unit, limits: tuple[float, float]) -> HeatMap:
    """The matrix of scores: one row for each moment, one column for each task.

    Args:
        title: Which matrix it is.
        tasks: T names.
        matrix: T + 1 rows of T values.
        unit: How values are written.
        limits: Values of the first and the last colour.
    """
    rows = []
    for learned, values in enumerate(matrix):
        cells = [_score_cell(tasks, learned, task, values[task], unit, limits) for task in range(len(tasks))]
        if any(cell.kind != "missing" for cell in cells):
            seen = values[:learned]
            mean = None if not seen or None in seen else sum(seen) / len(seen)
            name = tasks[learned - 1] if learned else "before any task"
            rows.append(Row(learned or None, name, cells, unit.score(mean) if learned else ""))
    return HeatMap(title, list(tasks), rows, "mean so far", unit.full(limits[0]), unit.full(limits[1]))


def routing_map(table: Confusion) -> HeatMap:
    """Where the test texts of each task were routed, as shares of the texts of that task."""
    rows = []
    for index, (task, counts) in enumerate(zip(table.tasks, table.counts, strict=True)):
        total = sum(counts)
        cells = [
            _routing_cell(task, prompt, number, total) for prompt, number in zip(table.prompts, counts, strict=True)
        ]
        rows.append(Row(index + 1, task, cells, count(total)))
    return HeatMap("Routing", list(table.prompts), rows, "texts", "0 %", "100 %")


def _score_cell(
    tasks: Sequence[str],
    learned: int,
    task: int,
    value: float | None,
    unit: Unit,
    limits: tuple[float, float],
) -> Cell:
    when = f"after learning {learned}: {tasks[learned - 1]}" if learned else "before any task was learned"
    if value is None:
        return Cell("", None, f"{tasks[task]}, {when}: not evaluated", "missing")
    kind: Kind = "ahead" if task >= learned else "diagonal" if task == learned - 1 else "seen"
    notes = {"ahead": " (not learned yet)", "diagonal": " (just learned)"}
    tip = f"{tasks[task]}, {when}: {unit.full(value)}{notes.get(kind, '')}"
    return Cell(unit.score(value), step_of(value, *limits), tip, kind)


def _routing_cell(task: str, prompt: str, number: int, total: int) -> Cell:
    if not number:
        return Cell("·", None, f"No text of {task} went to {prompt}", "missing")
    share = number / total
    text = "<1" if share < 0.005 else ">99" if 0.995 < share < 1 else f"{share:.0%}"[:-1]
    tip = f"{count(number)} of {count(total)} texts of {task} went to {prompt} ({share:.1%})"
    return Cell(text, step_of(share, 0, 1, lowest=1), tip)
