"""Pairs as token ids, those of a task alone or joined by what is remembered of earlier tasks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from continual.backbone.parallel import Parallel
from continual.backbone.text_to_text import TextToText
from continual.backbone.texts import EncodedTexts, join, shuffled_by_length
from continual.training.batches import Batches

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True)
class ParallelText(Batches):
    """Pairs of source and target.

    Attributes:
        pairs: The pairs, those that are only remembered behind the others.
        remembered: How many of them are only remembered: each batch of the others is joined by as many of these, drawn
            anew.
    """

    pairs: Parallel
    remembered: int = field(default=0)

    def __len__(self) -> int:
        """How many pairs an epoch goes through; what is remembered joins them."""
        return len(self.pairs) - self.remembered

    @property
    def lengths(self) -> Tensor:
        """See `Batches.lengths`: of all pairs, remembered ones included."""
        return self.pairs.lengths

    @property
    def tokens(self) -> int:
        """See `Batches.tokens`; what is remembered doubles a step."""
        every = int(self.pairs.lengths.sum())
        return every if not self.remembered else round(2 * every * len(self) / len(self.pairs))

    def weight(self, rows: Tensor) -> int:
        """See `Batches.weight`: one answer for each target token."""
        return int(self.pairs.targets.lengths[rows].sum())

    def shuffled(self, size: int, generator: torch.Generator) -> Iterator[Tensor]:
        """See `Batches.shuffled`; each batch is joined by as many remembered pairs."""
        for rows in shuffled_by_length(self.lengths[: len(self)], size, generator):
            if self.remembered:
                drawn = torch.randint(self.remembered, (len(rows),), generator=generator)
                rows = torch.cat([rows, len(self) + drawn])
            yield rows


def parallel_of(backbone: TextToText, split: "Dataset", rows: Sequence[int] | None = None) -> Parallel:
    """A split of a translation task, or some of its rows, as token ids."""
    chosen = split if rows is None else split.select(rows)
    return backbone.parallel_texts(list(chosen["text"]), list(chosen["target"]))


def joined(parts: Sequence[Parallel]) -> Parallel:
    """The pairs of several parts, one after the other; at least one part."""
    texts = EncodedTexts.joined([part.texts for part in parts])
    lengths = torch.cat([part.lengths for part in parts])
    return Parallel(texts, join([part.targets for part in parts]), lengths)
