"""One split of a task in the form that training and prediction use."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from continual.backbone.encoder import Encoder
from continual.backbone.frozen import FrozenView
from continual.evaluation.kinds import CLASSIFICATION
from continual.training.batches import Batches
from continual.training.model import Classifier, PromptModel
from continual.training.steered import SteeredModel
from continual.tuning.base import Tensors, Tuning


class Material(Batches):
    """What a prompt is learned from, of whatever kind the task is.

    Attributes:
        view: What the frozen model makes of the texts to be answered.
    """

    kind: ClassVar[str]
    """The kind of task that is learned from it."""

    view: FrozenView

    @property
    def views(self) -> tuple[FrozenView, ...]:
        """All that the frozen model made of the examples."""
        return (self.view,)

    @property
    def lengths(self) -> Tensor:
        """See `Batches.lengths`."""
        return self.view.states.lengths

    @abstractmethod
    def begin(
        self, encoder: Encoder, tuning: Tuning, tensors: Tensors, labels: int, classifier: Classifier | None = None
    ) -> SteeredModel:
        """A model of such examples that starts from `tensors`.

        Args:
            encoder: The backbone.
            tuning: What is trained.
            tensors: What it starts from.
            labels: How many labels the task has.
            classifier: What the classifier starts from, where there is one; one that says nothing by default.
        """


@dataclass(frozen=True)
class Examples(Material):
    """Texts, seen by the frozen model, and their labels.

    Attributes:
        view: What the frozen model makes of the texts.
        labels: Label numbers, [texts].
        ground: Logits that the prompt adds to, [texts, labels]; see `continual/training/ground.py`.
    """

    kind = CLASSIFICATION

    view: FrozenView
    labels: Tensor
    ground: Tensor

    @classmethod
    def bare(cls, view: FrozenView, labels: Tensor, num_labels: int) -> "Examples":
        """Texts of which nothing is known yet."""
        return cls(view, labels, torch.zeros(len(labels), num_labels))

    def weight(self, rows: Tensor) -> int:
        """See `Batches.weight`: one answer for each text."""
        return len(rows)

    def begin(
        self, encoder: Encoder, tuning: Tuning, tensors: Tensors, labels: int, classifier: Classifier | None = None
    ) -> PromptModel:
        """See `Material.begin`."""
        return PromptModel.begin(encoder, tuning, tensors, labels, self.view, classifier)
