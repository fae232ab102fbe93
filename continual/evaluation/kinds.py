"""The kinds of tasks, and what is measured of each: the metric of its matrices, and a second one beside it."""

from dataclasses import dataclass

from continual.errors import LearningError
from continual.evaluation.metric import Metric
from continual.evaluation.task_metrics import TASK_METRICS
from continual.evaluation.text_metrics import TEXT_METRICS


@dataclass(frozen=True)
class Measures:
    """The metrics of a kind of task.

    Attributes:
        kind: As `streams.Task.kind`.
        main: The metric whose matrix a run reports, in `summary.json` as `metric`.
        second: The metric that has a matrix of its own beside it, `SECOND_matrix`.
        short: What tables of matrices call the second one.
    """

    kind: str
    main: str
    second: str
    short: str


CLASSIFICATION = "classification"
TRANSLATION = "translation"

MEASURES = {
    CLASSIFICATION: Measures(CLASSIFICATION, "accuracy", "macro_f1", "f1"),
    TRANSLATION: Measures(TRANSLATION, "bleu", "chrf", "chrf"),
}


def second_of(main: str) -> str:
    """The metric beside a main one; `macro_f1` beside one that is unknown here."""
    return next((it.second for it in MEASURES.values() if it.main == main), "macro_f1")


_METRICS = {CLASSIFICATION: TASK_METRICS, TRANSLATION: TEXT_METRICS}


def metric_of(kind: str, name: str) -> Metric:
    """The metric `name` of tasks of a kind.

    Raises:
        ConfigError: There is none.
    """
    return _METRICS[kind].entry(name)


def measures_of(kind: str) -> Measures:
    """What is measured of tasks of a kind.

    Raises:
        LearningError: Nothing is known of it.
    """
    if kind not in MEASURES:
        raise LearningError(
            f"Tasks of kind {kind!r} cannot be learned; known: {', '.join(MEASURES)}. Choose another stream."
        )
    return MEASURES[kind]
