"""The matrix of scores."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from continual.evaluation.figures.curves import last_row
from continual.evaluation.matrix import ScoreMatrix


def test_begins_empty() -> None:
    matrix = ScoreMatrix(["a", "b"])
    assert matrix.values.shape == (3, 2)
    assert np.isnan(matrix.values).all()
    assert matrix.learned == 0
    assert matrix.block.shape == (1, 0)


def test_cells_and_rows() -> None:
    matrix = ScoreMatrix(["a", "b"])
    matrix.set(0, "b", 0.5)
    matrix.set_row(1, {"a": 0.75})
    matrix.set_row(2, [0.25, None])
    assert matrix.to_json() == [[None, 0.5], [0.75, None], [0.25, None]]
    matrix.set_row(2, {"b": 1.0})
    assert matrix.to_json()[2] == [None, 1.0], "a row is replaced as a whole"


@pytest.mark.parametrize(
    ("rows", "learned"),
    [
        ([[None, None], [None, None], [None, None]], 0),
        ([[0.1, 0.1], [None, None], [None, None]], 0),
        ([[None, None], [0.5, None], [None, None]], 1),
        ([[None, None], [None, 0.5], [None, None]], 0),  # a score of a task that is still to come
        ([[None, None], [None, None], [0.5, None]], 2),
    ],
)
def test_learned_counts_rows_with_a_score_of_a_learned_task(rows: list, learned: int) -> None:
    assert ScoreMatrix.from_json(["a", "b"], rows).learned == learned


@pytest.mark.parametrize(
    ("action", "error", "words"),
    [
        (lambda it: it.set(3, "a", 1.0), IndexError, "row 3 is outside 0 .. 2"),
        (lambda it: it.set(1, "c", 1.0), KeyError, "no task 'c'"),
        (lambda it: it.set_row(1, {"c": 1.0}), KeyError, "no task 'c'"),
        (lambda it: it.set_row(1, [1.0]), ValueError, "expected 2 scores"),
        (lambda it: ScoreMatrix.from_json(it.tasks, [[1.0, 1.0]]), ValueError, "expected 3 rows"),
        (lambda it: ScoreMatrix(["a", "a"]), ValueError, "unique"),
    ],
)
def test_refuses_what_does_not_fit(action, error: type[Exception], words: str) -> None:
    matrix = ScoreMatrix(["a", "b"])
    with pytest.raises(error, match=words):
        action(matrix)
    assert matrix == ScoreMatrix(["a", "b"]), "a refused change changes nothing"


_CELL = st.none() | st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def _tables(draw: st.DrawFn) -> list[list[float | None]]:
    size = draw(st.integers(0, 5))
    return draw(st.lists(st.lists(_CELL, min_size=size, max_size=size), min_size=size + 1, max_size=size + 1))


@given(_tables())
def test_survives_json_bit_for_bit(rows: list[list[float | None]]) -> None:
    tasks = [f"task {index}" for index in range(len(rows) - 1)]
    matrix = ScoreMatrix.from_json(tasks, rows)
    again = ScoreMatrix.from_json(tasks, json.loads(json.dumps(matrix.to_json(), allow_nan=False)))
    assert again == matrix
    assert again.to_json() == rows


@given(_tables())
def test_the_report_counts_learned_tasks_by_the_same_rule(rows: list[list[float | None]]) -> None:
    tasks = [f"task {index}" for index in range(len(rows) - 1)]
    assert last_row(rows) == ScoreMatrix.from_json(tasks, rows).learned
