"""Numbers that sum up a whole stream, each a pure function of the matrix of scores.

Notation of the formulas: R[i][j] is the score on task j after i tasks were learned, tasks count from 1, row 0
is before any learning, T is the number of tasks *learned* (`ScoreMatrix.learned`), so an unfinished run is
judged on what it has learned so far.

A metric is None where it is not defined: no task learned, fewer than two tasks for a metric that compares
steps, or a cell that its formula needs was not evaluated. Missing cells are never replaced by zero nor left
out of a mean, because both turn into a number that looks like a result.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from continual.evaluation.matrix import ScoreMatrix
from continual.evaluation.metric import metrics

STREAM_METRICS = metrics("continual.stream_metrics")


@STREAM_METRICS.register(
    "average",
    help="mean score over all learned tasks after the last step",
    formula="mean_j R[T][j]",
    better="higher",
)
def average(matrix: ScoreMatrix) -> float | None:
    """Mean of the last row: how good the system is in the end."""
    return _mean(_final(matrix.block))


@STREAM_METRICS.register(
    "learning",
    help="mean score of each task just after it was learned",
    formula="mean_j R[j][j]",
    better="higher",
)
def learning(matrix: ScoreMatrix) -> float | None:
    """Mean of the diagonal: how well tasks are learned, whatever happens to them later."""
    return _mean(_diagonal(matrix.block))


@STREAM_METRICS.register(
    "anytime",
    help="mean over the steps of the mean score of the tasks learned by then",
    formula="mean_{i>=1} mean_{j<=i} R[i][j]",
    better="higher",
)
def anytime(matrix: ScoreMatrix) -> float | None:
    """Mean over steps of the average so far: how good the system is at an arbitrary moment."""
    scores = matrix.block
    return _mean(np.array([scores[step, :step].mean() for step in range(1, len(scores))]))


@STREAM_METRICS.register(
    "forgetting",
    help="mean fall of a task from its best earlier score to its last one; negative means it still rose",
    formula="mean_{j<T} ( max_{j<=i<T} R[i][j] - R[T][j] )",
    better="lower",
)
def forgetting(matrix: ScoreMatrix) -> float | None:
    """Mean fall from the best score since a task was learned; the last step itself is not among the best.

    Chaudhry et al., "Riemannian Walk for Incremental Learning", ECCV 2018.
    """
    scores = matrix.block
    last = matrix.learned
    best = np.array([scores[task + 1 : last, task].max() for task in range(last - 1)])
    return _mean(best - _final(scores)[:-1])


@STREAM_METRICS.register(
    "bwt",
    help="backward transfer: mean change of a task from just after it was learned to the end",
    formula="mean_{j<T} ( R[T][j] - R[j][j] )",
    better="higher",
)
def bwt(matrix: ScoreMatrix) -> float | None:
    """Backward transfer (Lopez-Paz & Ranzato, "Gradient Episodic Memory", NeurIPS 2017)."""
    scores = matrix.block
    return _mean((_final(scores) - _diagonal(scores))[:-1])


@STREAM_METRICS.register(
    "fwt",
    help="forward transfer: how much better a task is done before it is learned than before any learning",
    formula="mean_{j>=2} ( R[j-1][j] - R[0][j] )",
    better="higher",
)
def fwt(matrix: ScoreMatrix) -> float | None:
    """Forward transfer (Lopez-Paz & Ranzato, "Gradient Episodic Memory", NeurIPS 2017)."""
    scores = matrix.block
    later = range(1, matrix.learned)
    return _mean(np.array([scores[task, task] - scores[0, task] for task in later]))


@STREAM_METRICS.register(
    "intransigence",
    help="mean lag of a task just after it was learned behind one model trained on all tasks at once",
    formula="mean_j ( joint[j] - R[j][j] )",
    better="lower",
    needs_bound=True,
)
def intransigence(matrix: ScoreMatrix, joint: Mapping[str, float] | Sequence[float] | None = None) -> float | None:
    """Mean lag behind joint training (Chaudhry et al., ECCV 2018).

    Args:
        matrix: The scores of the stream.
        joint: Score of the jointly trained model on each task, by name or in the order of the tasks; without
            it the metric is None.
    """
    if joint is None:
        return None
    tasks = matrix.tasks[: matrix.learned]
    if isinstance(joint, Mapping):
        best = np.array([joint.get(task, np.nan) for task in tasks], dtype=np.float64)
    elif len(joint) < len(tasks):
        raise ValueError(f"expected a joint score for each of {len(tasks)} tasks, found {len(joint)}")
    else:
        best = np.asarray(joint[: len(tasks)], dtype=np.float64)
    return _mean(best - _diagonal(matrix.block))


def stream_scores(matrix: ScoreMatrix) -> dict[str, float | None]:
    """All metrics that need nothing but the matrix, by name."""
    return {name: metric.function(matrix) for name, metric in STREAM_METRICS.items() if not metric.needs_bound}


def _final(scores: np.ndarray) -> np.ndarray:
    """Scores of the T tasks after the last step, shape (T,)."""
    return scores[-1]


def _diagonal(scores: np.ndarray) -> np.ndarray:
    """Scores of the T tasks just after each was learned, shape (T,)."""
    return np.diagonal(scores[1:])


def _mean(values: np.ndarray) -> float | None:
    """The mean, or None for no value at all or any NaN among them."""
    return float(values.mean()) if values.size and not np.isnan(values).any() else None
