"""The terms that a task's own texts are told apart by, and texts as weighted bags of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from continual.backbone.terms import FIRST_RUN
from continual.backbone.texts import Ragged

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_LENGTH = 42.0
"""Euclidean length of a text's word pieces, and of its character runs. Standardised features have a length of about the
square root of their number (90 for 8,064), so that one penalty suits both."""

_FEWEST_RUNS = 2
"""A run of characters in one text only says nothing that its word pieces do not say."""

_TEXTS_AT_ONCE = 1024


@dataclass(frozen=True)
class Bags:
    """For each text its terms as places in a dictionary, with their values.

    Attributes:
        places: Of all texts end to end, int32, [total].
        values: Likewise, [total].
        offsets: Where each text begins, and the end, [texts + 1].
    """

    places: Tensor
    values: Tensor
    offsets: Tensor

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @classmethod
    def empty(cls, texts: int) -> "Bags":
        """As many texts without terms."""
        return cls(torch.zeros(0, dtype=torch.int32), torch.zeros(0), torch.zeros(texts + 1, dtype=torch.long))

    @classmethod
    def joined(cls, parts: "Sequence[Bags]") -> "Bags":
        """The texts of several bags of one dictionary, one after the other."""
        lengths = torch.cat([part.offsets[1:] - part.offsets[:-1] for part in parts])
        return cls(
            torch.cat([part.places for part in parts]),
            torch.cat([part.values for part in parts]),
            torch.cat([lengths.new_zeros(1), lengths.cumsum(0)]),
        )

    def columns(self, start: int, stop: int) -> Tensor:
        """The values of the terms `start` to `stop` as a dense matrix, [texts, stop - start]."""
        owners = torch.repeat_interleave(torch.arange(len(self)), self.offsets[1:] - self.offsets[:-1])
        own = (self.places >= start) & (self.places < stop)
        found = torch.zeros(len(self), stop - start)
        found[owners[own], self.places[own].long() - start] = self.values[own]
        return found

    def logits(self, weight: Tensor) -> Tensor:
        """What the terms add to the logits, [texts, labels].

        Args:
            weight: [terms, labels]
        """
        if not len(weight) or not len(self.places):
            return weight.new_zeros(len(self), weight.shape[1])
        return _WeightedSums.apply(weight, self)

    def matrix(self, terms: int) -> "csr_array":
        """The bags as a sparse matrix, [texts, terms]."""
        from scipy.sparse import csr_array

        parts = (self.values.numpy(), self.places.numpy(), self.offsets.int().numpy())
        return csr_array(parts, shape=(len(self), terms), copy=False)


class _WeightedSums(torch.autograd.Function):
    """A sparse product in which only the weights are learned.

    torch's `embedding_bag` sorts all places anew for each gradient, which takes more time and memory than all else.
    """

    @staticmethod
    def forward(ctx: Any, weight: Tensor, bags: Bags) -> Tensor:
        ctx.matrix = bags.matrix(len(weight))
        return torch.from_numpy(ctx.matrix @ weight.detach().numpy())

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return torch.from_numpy(ctx.matrix.T @ gradient.contiguous().numpy()), None


@dataclass(frozen=True)
class Dictionary:
    """The terms of a task with their inverse document frequencies (Spärck Jones 1972).

    Attributes:
        terms: int32, rising, [terms].
        surprise: `log(texts / texts with the term)`, in nats, [terms].
    """

    terms: Tensor
    surprise: Tensor

    def __len__(self) -> int:
        return len(self.terms)

    @classmethod
    def empty(cls) -> "Dictionary":
        """A dictionary without terms: every bag is empty."""
        return cls(torch.zeros(0, dtype=torch.int32), torch.zeros(0))

    @classmethod
    def of(cls, texts: Ragged, limit: int) -> "Dictionary":
        """The dictionary of some texts.

        Args:
            texts: The different terms of each text.
            limit: The most terms to keep; those in the most texts come first, equal ones by number.
        """
        terms, counts = torch.unique(texts.values, return_counts=True)
        known = (terms < FIRST_RUN) | (counts >= _FEWEST_RUNS)
        terms, counts = terms[known], counts[known]
        if len(terms) > limit:
            kept = torch.sort(torch.argsort(-counts, stable=True)[:limit]).values
            terms, counts = terms[kept], counts[kept]
        return cls(terms, torch.log(len(texts) / counts.float()))

    def bags(self, texts: Ragged) -> Bags:
        """Texts as bags of the known among their terms, word pieces and character runs of length 42 each."""
        if not len(self) or not len(texts):
            return Bags.empty(len(texts))
        # Some texts at a time, since the numbers made on the way take several times the memory of what is left.
        starts = range(0, len(texts), _TEXTS_AT_ONCE)
        return Bags.joined([self._some_bags(texts, start, min(start + _TEXTS_AT_ONCE, len(texts))) for start in starts])

    def _some_bags(self, texts: Ragged, start: int, stop: int) -> Bags:
        offsets = texts.offsets[start : stop + 1]
        terms, lengths = texts.values[offsets[0] : offsets[-1]], offsets[1:] - offsets[:-1]
        places = torch.searchsorted(self.terms, terms).clamp(max=len(self) - 1)
        known = self.terms[places] == terms
        owners = torch.repeat_interleave(torch.arange(stop - start), lengths)[known]
        places = places[known]
        values = self.surprise[places]
        # Two groups for each text: its word pieces and its runs, each brought to one length.
        groups = owners * 2 + (self.terms[places] >= FIRST_RUN)
        squares = torch.zeros(2 * (stop - start), dtype=torch.float64).index_add_(0, groups, values.double() ** 2)
        values = values * _LENGTH / squares.sqrt().clamp(min=1e-6).float()[groups]
        own_offsets = torch.zeros(stop - start + 1, dtype=torch.long)
        own_offsets[1:] = torch.cumsum(torch.bincount(owners, minlength=stop - start), 0)
        return Bags(places.int(), values, own_offsets)
