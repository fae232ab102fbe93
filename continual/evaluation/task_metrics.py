"""How well one task is done: scores of predicted labels against the true ones.

All functions take two integer arrays of shape (n,) with indices into the labels of the task, and the number
of these labels. The truth is always one of them. A prediction outside 0 .. classes - 1 (by convention -1)
stands for "an answer that is not a label of this task", which happens when a text is routed to another task's
prompt; it is a wrong answer and belongs to no class.
"""

import numpy as np

from continual.evaluation.metric import metrics

TASK_METRICS = metrics("continual.task_metrics")
"""Metrics that give one number for a task; any of them can be the metric of a matrix."""

TASK_TABLES = metrics()
"""Metrics that give a table for a task."""


@TASK_METRICS.register(
    "accuracy",
    help="share of texts whose label is predicted correctly",
    formula="mean_n [ predicted[n] = true[n] ]",
    better="higher",
)
def accuracy(true: np.ndarray, predicted: np.ndarray, classes: int) -> float:
    """Share of equal entries, from 0 to 1.

    Raises:
        ValueError: No example, arrays of different shapes, or a true label outside 0 .. classes - 1.
    """
    true, predicted = _checked(true, predicted, classes)
    return float((true == predicted).mean())


@TASK_METRICS.register(
    "macro_f1",
    help="mean over the classes of the harmonic mean of precision and recall; every class counts the same",
    formula="mean_c 2 TP[c] / ( 2 TP[c] + FP[c] + FN[c] ), c in the true or predicted classes",
    better="higher",
)
def macro_f1(true: np.ndarray, predicted: np.ndarray, classes: int) -> float:
    """Mean F1 over classes, from 0 to 1.

    A class that occurs neither in the truth nor in the predictions has no F1 and is left out of the mean. One
    that occurs in only one of the two has an F1 of 0 and counts. This is what scikit-learn does by default.

    Raises:
        ValueError: No example, arrays of different shapes, or a true label outside 0 .. classes - 1.
    """
    table = confusion(true, predicted, classes)
    hits = np.diagonal(table)
    twice = table.sum(axis=1) + table[:, :classes].sum(axis=0)  # 2 TP + FP + FN
    occurring = twice > 0
    return float((2 * hits[occurring] / twice[occurring]).mean())


@TASK_METRICS.register(
    "stance_f1",
    help="mean F1 of the labels favor and against of a stance task; none counts only through errors",
    formula="( F1[favor] + F1[against] ) / 2, F1[c] = 2 TP[c] / ( 2 TP[c] + FP[c] + FN[c] )",
    better="higher",
)
def stance_f1(true: np.ndarray, predicted: np.ndarray, classes: int) -> float:
    """Mean F1 of classes 0 (favor) and 1 (against), from 0 to 1.

    The official score of SemEval-2016 Task 6 (Mohammad et al. 2016). As in the organisers' scorer, a class that
    occurs neither in the truth nor in the predictions has an F1 of 0 and counts, so the sum is always halved.

    Raises:
        ValueError: No example, arrays of different shapes, or a true label outside 0 .. classes - 1.
    """
    table = confusion(true, predicted, classes)
    hits = np.diagonal(table)[:2]
    twice = (table.sum(axis=1) + table[:, :classes].sum(axis=0))[:2]  # 2 TP + FP + FN
    return float((2 * hits / np.maximum(twice, 1)).sum() / 2)


@TASK_TABLES.register(
    "confusion",
    help="how often each true class was given each answer; the last column is for answers outside the task",
    formula="C[c][d] = sum_n [ true[n] = c and predicted[n] = d ]",
    better="neither",
)
def confusion(true: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Counts of true class (rows) against answer (columns).

    Returns:
        int64 of shape (classes, classes + 1); the last column counts the answers outside the labels of the
        task.

    Raises:
        ValueError: No example, arrays of different shapes, or a true label outside 0 .. classes - 1.
    """
    true, predicted = _checked(true, predicted, classes)
    inside = (predicted >= 0) & (predicted < classes)
    return cross_count(true, np.where(inside, predicted, classes), rows=classes, columns=classes + 1)


def cross_count(row: np.ndarray, column: np.ndarray, *, rows: int, columns: int) -> np.ndarray:
    """How often each pair of indices occurs, int64 of shape (rows, columns).

    Also the table of routing: row = true task, column = prompt that was chosen.
    """
    return np.bincount(np.asarray(row) * columns + np.asarray(column), minlength=rows * columns).reshape(rows, columns)


def _checked(true: np.ndarray, predicted: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
    true, predicted = np.asarray(true), np.asarray(predicted)
    if true.ndim != 1 or true.shape != predicted.shape:
        raise ValueError(f"expected two equally long lists of labels, found {true.shape} and {predicted.shape}")
    if not len(true):
        raise ValueError("a score needs at least one example, found none")
    if true.min() < 0 or true.max() >= classes:
        raise ValueError(f"true labels must be 0 .. {classes - 1}, found {true.min()} .. {true.max()}")
    return true, predicted
