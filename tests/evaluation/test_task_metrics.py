"""Task metrics by hand and against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as reference

from continual.evaluation.task_metrics import TASK_METRICS, accuracy, confusion, cross_count, macro_f1, stance_f1


def test_by_hand() -> None:
    true, predicted = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 1, 0, 2])
    assert accuracy(true, predicted, 3) == 4 / 6
    # Class 0: TP 2, FP 1, FN 1; class 1: TP 1, FP 1, FN 1; class 2: TP 1.
    assert macro_f1(true, predicted, 3) == pytest.approx((4 / 6 + 2 / 4 + 2 / 2) / 3)
    assert confusion(true, predicted, 3).tolist() == [[2, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0]]


def test_a_class_that_occurs_nowhere_is_left_out() -> None:
    true = predicted = np.array([0, 0, 1])
    assert macro_f1(true, predicted, 5) == 1.0


def test_a_class_that_is_only_predicted_or_only_true_counts_as_zero() -> None:
    assert macro_f1(np.array([0, 0]), np.array([0, 2]), 3) == pytest.approx((2 / 3 + 0) / 2)
    assert macro_f1(np.array([0, 1]), np.array([0, 0]), 3) == pytest.approx((2 / 3 + 0) / 2)


def test_an_answer_outside_the_task_is_wrong_and_no_class() -> None:
    true, predicted = np.array([0, 0, 1, 1]), np.array([0, -1, 1, 7])
    assert accuracy(true, predicted, 2) == 0.5
    # Each class: TP 1, FP 0, FN 1; no third class appears.
    assert macro_f1(true, predicted, 2) == pytest.approx(2 / 3)
    assert confusion(true, predicted, 2).tolist() == [[1, 0, 1], [0, 1, 1]]


_PAIRS = st.integers(1, 6).flatmap(
    lambda classes: st.tuples(
        st.just(classes),
        st.lists(st.tuples(st.integers(0, classes - 1), st.integers(0, classes - 1)), min_size=1, max_size=40),
    )
)


@pytest.mark.filterwarnings("ignore:A single label")
@given(_PAIRS)
def test_agrees_with_scikit_learn(case: tuple[int, list[tuple[int, int]]]) -> None:
    classes, pairs = case
    true, predicted = np.array(pairs).T
    assert accuracy(true, predicted, classes) == pytest.approx(reference.accuracy_score(true, predicted))
    expected = reference.f1_score(true, predicted, average="macro", zero_division=0)
    assert macro_f1(true, predicted, classes) == pytest.approx(expected)
    table = reference.confusion_matrix(true, predicted, labels=range(classes))
    assert np.array_equal(confusion(true, predicted, classes)[:, :classes], table)


@pytest.mark.parametrize("name", TASK_METRICS)
@pytest.mark.parametrize(
    ("true", "predicted", "words"),
    [
        ([], [], "at least one example"),
        ([0, 1], [0], "equally long"),
        ([[0]], [[0]], "equally long"),
        ([0, 2], [0, 1], r"0 .. 1, found 0 .. 2"),
        ([-1, 1], [0, 1], r"0 .. 1, found -1 .. 1"),
    ],
)
def test_refuses_what_has_no_score(name: str, true: list, predicted: list, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        TASK_METRICS[name].function(np.array(true), np.array(predicted), 2)


@pytest.mark.parametrize("name", TASK_METRICS)
def test_every_metric_is_one_for_perfect_answers(name: str) -> None:
    labels = np.array([0, 1, 2, 2, 1])
    assert TASK_METRICS[name].function(labels, labels, 3) == 1.0


def test_cross_count() -> None:
    assert cross_count(np.array([0, 0, 1]), np.array([2, 2, 0]), rows=2, columns=3).tolist() == [
        [0, 0, 2],
        [1, 0, 0],
    ]
    nothing = np.array([], dtype=np.int64)
    assert cross_count(nothing, nothing, rows=1, columns=2).tolist() == [[0, 0]]


FAVOR, AGAINST, NONE = 0, 1, 2


@pytest.mark.parametrize(
    ("true", "predicted", "expected"),
    [
        # favor: TP 1, FP 1, FN 1 -> 1/2; against: TP 1, FP 0, FN 1 -> 2/3; the none answered by favor costs it.
        ([FAVOR, FAVOR, AGAINST, AGAINST, NONE], [FAVOR, NONE, AGAINST, NONE, FAVOR], (1 / 2 + 2 / 3) / 2),
        # A class that occurs nowhere counts as 0, as in the organisers' scorer: even perfect answers reach one half.
        ([FAVOR, NONE], [FAVOR, NONE], 1 / 2),
        ([NONE, NONE], [NONE, NONE], 0.0),
        # Only true, never predicted; only predicted, never true.
        ([FAVOR, AGAINST], [FAVOR, NONE], (1 + 0) / 2),
        ([FAVOR, NONE], [FAVOR, AGAINST], (1 + 0) / 2),
        # Answers outside the task are errors of the true class and of no other.
        ([FAVOR, FAVOR, AGAINST], [FAVOR, -2, AGAINST], (2 / 3 + 1) / 2),
        # More right answers of none change nothing.
        ([FAVOR, AGAINST, NONE, NONE, NONE], [FAVOR, AGAINST, NONE, NONE, NONE], 1.0),
    ],
)
def test_stance_f1_by_hand(true: list[int], predicted: list[int], expected: float) -> None:
    assert stance_f1(np.array(true), np.array(predicted), 3) == pytest.approx(expected)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(-1, 2)), min_size=1, max_size=40))
def test_stance_f1_agrees_with_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    true, predicted = np.array(pairs).T
    expected = reference.f1_score(true, predicted, labels=[FAVOR, AGAINST], average="macro", zero_division=0)
    assert stance_f1(true, predicted, 3) == pytest.approx(expected)
