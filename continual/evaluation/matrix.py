"""The matrix of scores: how well each task is done after each step of the stream."""

from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np


class ScoreMatrix:
    """Scores of T tasks before any and after each of T learning steps.

    `values[i, j]` is the score on the test split of task j (counted from 0) after i tasks were learned, so
    row 0 comes before any learning and task j is learned in step j + 1. A cell that was not evaluated is NaN;
    nothing ever fills it with a guess.

    Attributes:
        tasks: Names of the T tasks in the order of learning.
        values: Scores, float64 of shape (T + 1, T).
    """

    def __init__(self, tasks: Sequence[str]):
        self.tasks = tuple(tasks)
        if len(set(self.tasks)) != len(self.tasks):
            raise ValueError(f"task names must be unique, found {list(self.tasks)}")
        self.values = np.full((len(self.tasks) + 1, len(self.tasks)), np.nan)

    def set(self, row: int, task: str, score: float | None) -> None:
        """Stores the score of `task` after `row` tasks were learned; None means not evaluated."""
        self.values[self._row(row), self._column(task)] = np.nan if score is None else float(score)

    def set_row(self, row: int, scores: Mapping[str, float | None] | Sequence[float | None]) -> None:
        """Stores a whole row.

        Args:
            row: Number of tasks learned when the scores were taken.
            scores: By task name, where an absent task is not evaluated; or T scores in the order of the
                tasks.

        Raises:
            KeyError: A task that this stream does not have.
            ValueError: A sequence of another length than T.
        """
        if isinstance(scores, Mapping):
            fresh = np.full(len(self.tasks), np.nan)
            for task, score in scores.items():
                fresh[self._column(task)] = np.nan if score is None else score
        else:
            fresh = np.array([np.nan if score is None else score for score in scores], dtype=np.float64)
            if fresh.shape != (len(self.tasks),):
                raise ValueError(f"expected {len(self.tasks)} scores, one for each task, found {len(fresh)}")
        self.values[self._row(row)] = fresh

    @property
    def learned(self) -> int:
        """How many tasks were learned as far as the scores tell.

        That is the last row i >= 1 which has a score for at least one of the i tasks learned by then, else 0.
        """
        for row in range(len(self.tasks), 0, -1):
            if not np.isnan(self.values[row, :row]).all():
                return row
        return 0

    @property
    def block(self) -> np.ndarray:
        """The part of `values` that belongs to the learned tasks, shape (learned + 1, learned)."""
        return self.values[: self.learned + 1, : self.learned]

    def with_tasks(self, tasks: Sequence[str]) -> Self:
        """The scores in a matrix of other tasks: the columns of those that both have, all others not evaluated."""
        matrix = type(self)(tasks)
        rows = min(len(self.values), len(matrix.values))
        for column, task in enumerate(matrix.tasks):
            if task in self.tasks:
                matrix.values[:rows, column] = self.values[:rows, self._column(task)]
        return matrix

    def to_json(self) -> list[list[float | None]]:
        """The scores as T + 1 lists of T numbers, None where not evaluated."""
        return [[None if np.isnan(cell) else float(cell) for cell in row] for row in self.values]

    @classmethod
    def from_json(cls, tasks: Sequence[str], rows: Sequence[Sequence[float | None]]) -> Self:
        """The matrix written by `to_json`.

        Raises:
            ValueError: Not T + 1 rows of T numbers.
        """
        matrix = cls(tasks)
        if len(rows) != len(matrix.values):
            raise ValueError(f"expected {len(matrix.values)} rows for {len(matrix.tasks)} tasks, found {len(rows)}")
        for index, row in enumerate(rows):
            matrix.set_row(index, row)
        return matrix

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ScoreMatrix):
            return NotImplemented
        return self.tasks == other.tasks and np.array_equal(self.values, other.values, equal_nan=True)

    __hash__ = None  # mutable

    def __repr__(self) -> str:
        return f"ScoreMatrix({len(self.tasks)} tasks, {self.learned} learned)"

    def _row(self, row: int) -> int:
        if not 0 <= row < len(self.values):
            raise IndexError(f"row {row} is outside 0 .. {len(self.tasks)}")
        return row

    def _column(self, task: str) -> int:
        try:
            return self.tasks.index(task)
        except ValueError:
            raise KeyError(f"no task {task!r} in this stream, which has {', '.join(self.tasks)}") from None
