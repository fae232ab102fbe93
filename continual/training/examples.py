"""One split of a task in the form that training and prediction use."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from continual.backbone.frozen import FrozenView
from continual.backbone.texts import shuffled_by_length


@dataclass(frozen=True)
class Examples:
    """Texts, seen by the frozen model, and their labels.

    Attributes:
        view: What the frozen model makes of the texts.
        labels: Label numbers, [texts].
        ground: Logits that the prompt adds to, [texts, labels]; see `continual/training/ground.py`.
    """

    view: FrozenView
    labels: Tensor
    ground: Tensor

    @classmethod
    def bare(cls, view: FrozenView, labels: Tensor, num_labels: int) -> "Examples":
        """Texts of which nothing is known yet."""
        return cls(view, labels, torch.zeros(len(labels), num_labels))

    def __len__(self) -> int:
        return len(self.labels)

    def shuffled(self, size: int, generator: torch.Generator) -> Iterator[Tensor]:
        """Row numbers of one epoch in random batches of texts of like length."""
        return shuffled_by_length(self.view.states.lengths, size, generator)
