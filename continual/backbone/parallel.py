"""Pairs of source and target as a generative model wants them in a batch."""

from dataclasses import dataclass

import torch
from torch import Tensor

from continual.backbone.likelihood import IGNORED
from continual.backbone.texts import EncodedTexts, Ragged


@dataclass(frozen=True)
class Parallel:
    """Pairs of source and target.

    Attributes:
        texts: What the model reads: the source, or for a causal model source and target as one text.
        targets: The targets' token ids, end token included.
        lengths: Tokens of each pair, those read and those written, each counted once, [pairs].
    """

    texts: EncodedTexts
    targets: Ragged
    lengths: Tensor

    def __len__(self) -> int:
        return len(self.texts)

    def batch(self, rows: Tensor, pad: int) -> tuple[Tensor, Tensor, Tensor]:
        """Ids and mask of what is read, [batch, longest], and targets [batch, longest target], `IGNORED` behind."""
        ids, mask, _ = self.texts.batch(rows, pad)
        return ids, mask, self.targets.batch(rows, IGNORED)[0]


def appended(sources: Ragged, targets: Ragged) -> Ragged:
    """Each source with its target behind it, as one row."""
    lengths = sources.lengths + targets.lengths
    offsets = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
    values = sources.values.new_empty(int(offsets[-1]))
    for part, first in ((sources, offsets[:-1]), (targets, offsets[:-1] + sources.lengths)):
        shift = torch.repeat_interleave(first - part.offsets[:-1], part.lengths)
        values[shift + torch.arange(len(part.values))] = part.values
    return Ragged(values, offsets)


def moved_together(values: Tensor, mask: Tensor, right: bool) -> tuple[Tensor, Tensor]:
    """Rows whose real places stand together on one side, in their order.

    Args:
        values: [batch, length, ...].
        mask: True where a place is real, [batch, length].
        right: To the right, otherwise to the left.
    """
    order = torch.argsort(mask if right else ~mask, dim=1, stable=True)
    places = order.view(*order.shape, *[1] * (values.dim() - 2)).expand_as(values)
    return values.gather(1, places), mask.gather(1, order)
