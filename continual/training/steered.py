"""The frozen backbone under one prompt that is trained: what a training changes, whatever the kind of task."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn

from continual.backbone.body import Perturbation
from continual.backbone.encoder import Encoder
from continual.tuning.base import Tuning

if TYPE_CHECKING:
    from continual.training.examples import Material
    from continual.training.model import Classifier


class ByRows(Protocol):
    """Logits of many examples, given out for some of them; a tensor of logits is one."""

    def __getitem__(self, rows: Tensor) -> Tensor:
        """The logits of the examples `rows`, as `SteeredModel.answers` shapes them."""


class SteeredModel(nn.Module, ABC):
    """The frozen backbone steered by one prompt.

    Args:
        encoder: The backbone; it is used, not owned, so its weights are no parameters of this module.
        tuning: The prompt's kind.
        tensors: The prompt's tensors at the start; they are copied. Those that the tuning calls fixed are not trained.

    Attributes:
        prompt: The tensors that are trained.
    """

    def __init__(self, encoder: Encoder, tuning: Tuning, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        self._frozen = (encoder,)  # in a tuple, so that nn.Module does not adopt the backbone
        self.tuning = tuning
        copies = {name: value.detach().clone() for name, value in tensors.items()}
        self._fixed = {name: value for name, value in copies.items() if tuning.fixed(name)}
        self.prompt = nn.ParameterDict(
            {name: nn.Parameter(value) for name, value in copies.items() if name not in self._fixed}
        )

    @abstractmethod
    def answers(
        self, examples: "Material", rows: Tensor, perturb: Perturbation | None = None, factors: Tensor | None = None
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
    def score(self, examples: "Material") -> tuple[float, float]:
        """The share of right answers and the mean cross-entropy of an answer, in nats."""

    @abstractmethod
    def logits(self, examples: "Material") -> ByRows:
        """Logits of all examples without dropout and gradients: what a teacher says."""

    @property
    def heads(self) -> list[nn.Parameter]:
        """What is trained at the heads' learning rate."""
        return []

    @property
    def dropout_width(self) -> int:
        """How many features of each example dropout may leave out."""
        return 0

    @property
    def classifier(self) -> "Classifier | None":
        """A copy of the classifier; None where there is none."""
        return None

    @property
    def encoder(self) -> Encoder:
        """The backbone."""
        return self._frozen[0]

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The prompt's tensors, trained and fixed ones."""
        return {**self._fixed, **self.prompt}

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
