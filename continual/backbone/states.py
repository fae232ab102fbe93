"""Hidden states before a layer for many texts, given out in batches."""

from typing import Protocol

import torch
from torch import Tensor

from continual.backbone.encoder import Encoder
from continual.backbone.texts import EncodedTexts, Ragged

CHUNK = 64
"""Texts in a batch wherever no gradient is needed."""


class States(Protocol):
    """States before a layer for many texts, given out in batches."""

    def __len__(self) -> int: ...

    @property
    def lengths(self) -> Tensor:
        """Tokens in each text, [texts]."""

    def batch(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """States [batch, longest, width] and mask [batch, longest] of the given texts."""


class KeptStates:
    """States that were kept, in memory or mapped from disk."""

    def __init__(self, states: Ragged) -> None:
        self._states = states

    def __len__(self) -> int:
        return len(self._states)

    @property
    def lengths(self) -> Tensor:
        """Tokens in each text, [texts]."""
        return self._states.lengths

    def batch(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """See `States.batch`."""
        return self._states.batch(rows)


class ComputedStates:
    """States that are computed when a batch is asked for: too large to keep."""

    def __init__(self, encoder: Encoder, texts: EncodedTexts, layer: int) -> None:
        self._encoder, self._texts, self._layer = encoder, texts, layer

    def __len__(self) -> int:
        return len(self._texts)

    @property
    def lengths(self) -> Tensor:
        """Tokens in each text, [texts]."""
        return self._texts.ids.lengths

    @torch.no_grad()
    def batch(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """See `States.batch`."""
        ids, mask, types = self._texts.batch(rows, self._encoder.pad_token)
        hidden = self._encoder.embed(ids, mask, types)
        return self._encoder.run(hidden, mask, stop=self._layer), mask
