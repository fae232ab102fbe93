"""The few directions in which texts differ: an exact change of coordinates for heads with more weights than texts.

The optimum of a linear classifier with a squared penalty is a combination of its training texts (representer theorem,
Kimeldorf and Wahba 1971), and the penalty does not change under rotation. So n texts with D > n features are given n
coordinates in the space that they span; a head fitted there is the head fitted to all D features, at n / D of the cost.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from continual.tuning.head import Evidence, Scaling, Weights

LARGEST = 3000
"""Texts up to which this pays: the cost of finding the coordinates grows with their cube."""

_COLUMNS = 1024
_NEGLIGIBLE = 1e-10


@dataclass(frozen=True)
class Span:
    """Coordinates of texts in the space that they span.

    Attributes:
        coordinates: [texts, directions].
        back: What turns weights of coordinates into a combination of texts, [directions, texts].
    """

    coordinates: Tensor
    back: Tensor

    @classmethod
    def of(cls, parts: Sequence[Evidence], scaling: Scaling, terms: int) -> "Span":
        """The span of some texts, terms included.

        Args:
            parts: What is seen of the texts, in parts that follow one another.
            scaling: How their features are standardised.
            terms: Size of the dictionary.
        """
        texts = sum(map(len, parts))
        products = torch.zeros(texts, texts, dtype=torch.float64)
        for block in _blocks(parts, scaling, terms):
            products += (block @ block.T).double()
        squares, vectors = torch.linalg.eigh(products)
        known = squares > _NEGLIGIBLE * squares[-1].clamp(min=1e-30)
        lengths, vectors = squares[known].sqrt(), vectors[:, known]
        return cls((vectors * lengths).float(), (vectors / lengths).T.float())

    def weights(self, own: Weights, parts: Sequence[Evidence], scaling: Scaling, terms: int) -> Weights:
        """The weights of all features and terms that weights of coordinates stand for; arguments as for `of`."""
        shares = own.features @ self.back
        whole = torch.cat([shares @ block for block in _blocks(parts, scaling, terms)], dim=1)
        features = len(scaling.mean)
        return Weights(whole[:, :features].contiguous(), whole[:, features:].T.contiguous(), own.bias)


def _blocks(parts: Sequence[Evidence], scaling: Scaling, terms: int) -> Iterator[Tensor]:
    """Standardised features, then terms, some columns at a time: all at once would be the largest thing in memory."""
    for start in range(0, len(scaling.mean), _COLUMNS):
        some = slice(start, start + _COLUMNS)
        block = torch.cat([part.features[:, some] for part in parts])
        yield block.sub_(scaling.mean[some]).div_(scaling.scale[some])
    for start in range(0, terms, _COLUMNS):
        yield torch.cat([part.bags.columns(start, min(terms, start + _COLUMNS)) for part in parts])
