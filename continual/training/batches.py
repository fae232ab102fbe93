"""Examples, given out in batches."""

from abc import ABC, abstractmethod
from collections.abc import Iterator

import torch
from torch import Tensor

from continual.backbone.texts import shuffled_by_length


class Batches(ABC):
    """Examples that a training takes some of at a time."""

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    @abstractmethod
    def lengths(self) -> Tensor:
        """Tokens that the model reads and writes of each example, [examples]."""

    @abstractmethod
    def weight(self, rows: Tensor) -> int:
        """How many answers the mean of an objective over some examples is taken over."""

    @property
    def tokens(self) -> int:
        """Tokens that one pass over all examples takes."""
        return int(self.lengths.sum())

    def shuffled(self, size: int, generator: torch.Generator) -> Iterator[Tensor]:
        """Row numbers of one epoch in random batches of examples of like length."""
        return shuffled_by_length(self.lengths, size, generator)
