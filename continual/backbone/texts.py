"""Tokenised texts without padding, and the order in which they are cut into batches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from torch import Tensor

_SORTED_TOGETHER = 8
"""Batches whose texts are sorted by length among themselves: little padding, and still a fresh mix each epoch."""


@dataclass(frozen=True)
class Ragged:
    """Rows of different lengths stored end to end.

    Attributes:
        values: All rows, [total, ...].
        offsets: Where each row begins, and the end, [rows + 1].
    """

    values: Tensor
    offsets: Tensor

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Tensor:
        """The length of each row, [rows]."""
        return self.offsets[1:] - self.offsets[:-1]

    def batch(self, rows: Tensor, fill: int = 0) -> tuple[Tensor, Tensor]:
        """The given rows, padded to the longest of them.

        Returns:
            Values [batch, longest, ...] with `fill` behind short rows, and the mask [batch, longest] of real places.
        """
        starts, lengths = self.offsets[rows], self.lengths[rows]
        columns = torch.arange(int(lengths.max()) if len(rows) else 0)
        mask = columns[None, :] < lengths[:, None]
        places = torch.where(mask, starts[:, None] + columns[None, :], 0)
        values = self.values[places]
        if not bool(mask.all()):
            values = values.masked_fill(~mask.view(*mask.shape, *[1] * (values.dim() - 2)), fill)
        return values, mask

    @classmethod
    def from_lists(cls, rows: Sequence[Sequence[int]]) -> "Ragged":
        """From lists of whole numbers."""
        return _ragged(rows)

    def take(self, rows: Tensor) -> "Ragged":
        """The given rows alone, in their order."""
        starts, lengths = self.offsets[rows], self.lengths[rows]
        offsets = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
        places = torch.repeat_interleave(starts - offsets[:-1], lengths) + torch.arange(int(offsets[-1]))
        return Ragged(self.values[places], offsets)


def join(parts: Sequence[Ragged]) -> Ragged:
    """The rows of several ragged tensors, one after the other; at least one."""
    lengths = torch.cat([part.lengths for part in parts])
    return Ragged(torch.cat([part.values for part in parts]), torch.cat([lengths.new_zeros(1), lengths.cumsum(0)]))


@dataclass(frozen=True)
class EncodedTexts:
    """The token ids of many texts.

    Attributes:
        ids: Token ids, one ragged row for each text.
        types: Segment ids of the same shape where texts come in pairs and the model tells segments apart, else None.
        pairs: Whether the texts come in pairs.
        marks: For each token a number that says what it is for a tuning which puts texts into templates, else None.
    """

    ids: Ragged
    types: Ragged | None = None
    pairs: bool = False
    marks: Ragged | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def empty(cls) -> "EncodedTexts":
        """No texts."""
        return cls(Ragged(torch.zeros(0, dtype=torch.long), torch.zeros(1, dtype=torch.long)))

    @classmethod
    def from_lists(
        cls, ids: Sequence[Sequence[int]], types: Sequence[Sequence[int]] | None, pairs: bool = False
    ) -> "EncodedTexts":
        """From lists of token ids, as tokenizers give them."""
        return cls(_ragged(ids), None if types is None else _ragged(types), pairs)

    @classmethod
    def joined(cls, parts: "Sequence[EncodedTexts]") -> "EncodedTexts":
        """The texts of several parts of one kind, one after the other; at least one part."""
        if len(parts) == 1:
            return parts[0]
        types = None if parts[0].types is None else join([part.types for part in parts])
        return cls(join([part.ids for part in parts]), types, parts[0].pairs)

    def batch(self, rows: Tensor, pad: int) -> tuple[Tensor, Tensor, Tensor | None]:
        """Ids, mask and segment ids (or None) of the given rows, each [batch, longest]."""
        ids, mask = self.ids.batch(rows, pad)
        types = None if self.types is None else self.types.batch(rows)[0]
        return ids, mask, types


def _ragged(rows: Sequence[Sequence[int]]) -> Ragged:
    lengths = np.fromiter((len(row) for row in rows), dtype=np.int64, count=len(rows))
    values = np.fromiter(chain.from_iterable(rows), dtype=np.int64, count=int(lengths.sum()))
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return Ragged(torch.from_numpy(values), torch.from_numpy(offsets))


def by_length(lengths: Tensor, size: int) -> list[Tensor]:
    """Row numbers in batches of up to `size` with rows of like length together, so that little is padded.

    The result depends on nothing but the lengths: whatever is computed in these batches is computed alike, bit for
    bit, after a restart.
    """
    order = torch.argsort(lengths, stable=True)
    return list(order.split(size)) if len(order) else []


def shuffled_by_length(lengths: Tensor, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Row numbers of one epoch in random batches of up to `size` rows of like length.

    Args:
        lengths: Tokens in each row, [rows].
        size: Rows in a batch.
        generator: The source of randomness.
    """
    order = torch.randperm(len(lengths), generator=generator)
    batches: list[Tensor] = []
    for pool in order.split(size * _SORTED_TOGETHER):
        batches += pool[torch.argsort(lengths[pool], stable=True)].split(size)
    for place in torch.randperm(len(batches), generator=generator):
        yield batches[place]
