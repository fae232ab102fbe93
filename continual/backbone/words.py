"""Which words a text has, as a hashed vector: what summaries of hidden states blur.

A frozen encoder's states say what a text is about; that one telling word occurs is easily lost in their mean. The
word pieces themselves are therefore offered to the head as well, hashed into a fixed number of signed buckets (Feature
Hashing, Weinberger et al. 2009, arXiv 0902.2206), so that no vocabulary has to be stored and words never seen in
training do no harm.
"""

import torch
from torch import Tensor

from continual.backbone.texts import Ragged

_LENGTH = 30.0
"""Euclidean length of a text's vector. Standardised features have about this length for each thousand of them, so
that one penalty suits both."""

_FIRST_RANK = 20.0
"""Added to all ranks, so that the commonest words weigh little but not nothing."""


def hashed_words(ids: Ragged, rows: Tensor, buckets: int, commonest: int) -> Tensor:
    """One vector of length 30 for each text, [rows, buckets]: its different tokens, with signs, in buckets.

    Rare words weigh more, as their surprise would have it: vocabularies are ordered by frequency, and under Zipf's law
    the surprise of the word of rank r grows with log r.

    Args:
        ids: Token ids of all texts, special tokens at both ends.
        rows: Which texts.
        buckets: Number of dimensions.
        commonest: The id of the commonest word, where the ranks begin.
    """
    vectors = torch.zeros(len(rows), buckets)
    for place, row in enumerate(rows.tolist()):
        start, stop = int(ids.offsets[row]), int(ids.offsets[row + 1])
        words = torch.unique(ids.values[start + 1 : stop - 1])
        weight = torch.log((words - commonest).clamp(min=0).float() + _FIRST_RANK)
        bucket, sign = _hash(words, buckets)
        vectors[place].index_add_(0, bucket, sign * weight)
    return torch.nn.functional.normalize(vectors, dim=1) * _LENGTH


def _hash(words: Tensor, buckets: int) -> tuple[Tensor, Tensor]:
    """Bucket and sign of each word: a multiplicative hash, the same everywhere and always."""
    mixed = (words.long() * 2654435761) & 0xFFFFFFFF
    mixed = ((mixed ^ (mixed >> 15)) * 2246822519) & 0xFFFFFFFF
    mixed = mixed ^ (mixed >> 13)
    return mixed % buckets, ((mixed >> 20) & 1).float() * 2 - 1
