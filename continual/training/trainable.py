"""What the training loop trains, whatever it is."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Protocol

import torch
from torch import Tensor, nn

from continual.backbone.body import Perturbation

if TYPE_CHECKING:
    from continual.training.batches import Batches


class ByRows(Protocol):
    """Logits of many examples, given out for some of them; a tensor of logits is one."""

    def __getitem__(self, rows: Tensor) -> Tensor:
        """The logits of the examples `rows`, as `Trainable.answers` shapes them."""


class Trainable(nn.Module, ABC):
    """A model that answers examples; its parameters are what is trained."""

    checkpoint_pace: ClassVar[float] = 1.0
    """How much more rarely than a prompt it is written to disk."""

    @abstractmethod
    def answers(
        self, examples: "Batches", rows: Tensor, perturb: Perturbation | None = None, factors: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """What the model answers to some examples, and what it should: the two sides of an objective.

        Args:
            examples: The examples.
            rows: Which of them.
            perturb: What the input of every layer from the prompt's entry on goes through first.
            factors: Of dropout, [rows, `dropout_width`].

        Returns:
            Logits [answers, choices] and the right choices [answers].
        """

    @abstractmethod
    def score(self, examples: "Batches") -> tuple[float, float]:
        """The share of right answers and the mean cross-entropy of an answer, in nats."""

    @property
    def paces(self) -> list[tuple[nn.Parameter, float]]:
        """What is trained at `training.learning_rate`, each with the multiple of it."""
        return [(value, 1.0) for value in self.parameters()]

    @property
    def heads(self) -> list[nn.Parameter]:
        """What is trained at the heads' learning rate."""
        return []

    @property
    def dropout_width(self) -> int:
        """How many features of each example dropout may leave out."""
        return 0

    @property
    def size(self) -> int:
        """How many numbers were trained."""
        return sum(value.numel() for value in self.parameters())

    def trained(self) -> dict[str, Tensor]:
        """Copies of all that training changes, by name."""
        return {name: value.detach().clone() for name, value in self.named_parameters()}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Puts back what `trained` gave."""
        with torch.no_grad():
            for name, value in self.named_parameters():
                value.copy_(tensors[name])
