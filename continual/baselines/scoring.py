"""Scores of test splits from logits over the labels that a baseline knows."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from continual.evaluation.task_metrics import TASK_METRICS, accuracy, macro_f1
from continual.participant import SplitScore

if TYPE_CHECKING:
    from streams import Task

FOREIGN = -2
"""An answer that is not a label of the task: wrong whatever the truth."""


def answers(logits: Tensor, units: Mapping[str, int], allowed: Sequence[str], labels: Sequence[str]) -> np.ndarray:
    """For each text the number of the task's label with the highest logit among those allowed, or `FOREIGN`.

    Args:
        logits: [texts, units].
        units: The unit of every label; one that the model does not have yet cannot be an answer.
        allowed: The labels to choose from.
        labels: The task's labels.
    """
    possible = [label for label in allowed if units[label] < logits.shape[1]]
    best = logits[:, [units[label] for label in possible]].argmax(1).numpy()
    numbers = np.array([labels.index(label) if label in labels else FOREIGN for label in possible])
    return numbers[best]


def split_score(task: "Task", predicted: np.ndarray, **routing: object) -> SplitScore:
    """The score of predicted label numbers on a task's test split; `routing` are the further fields."""
    true, size = np.array(task.test["label"], dtype=np.int64), len(task.labels)
    own = TASK_METRICS.load(task.metric)(true, predicted, size)
    return SplitScore(accuracy(true, predicted, size), macro_f1(true, predicted, size), score=own, **routing)
