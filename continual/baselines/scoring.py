"""Scores of test splits from logits over the labels that a baseline knows."""

from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from continual.evaluation.task_metrics import accuracy, macro_f1
from continual.participant import SplitScore

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


def split_score(true: np.ndarray, predicted: np.ndarray, labels: Sequence[str], **routing: object) -> SplitScore:
    """The score of predicted label numbers against the true ones; `routing` are the further fields."""
    size = len(labels)
    return SplitScore(accuracy(true, predicted, size), macro_f1(true, predicted, size), **routing)
