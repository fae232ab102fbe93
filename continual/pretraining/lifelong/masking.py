"""Which tokens of a batch are hidden: functions of tensors, random only by the generator that they are given."""

import torch
from torch import Tensor

_MASKED, _RANDOM = 0.8, 0.1
"""Of the chosen tokens so many become the mask and so many a random token; the others stay (BERT)."""


def random_places(ordinary: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Each ordinary token is chosen with probability `share`.

    Args:
        ordinary: True at tokens of the text, false at special tokens, prompts and padding, [texts, length].
        share: In [0, 1].
        generator: On the CPU.

    Returns:
        True at the chosen tokens, [texts, length].
    """
    return ordinary & (torch.rand(ordinary.shape, generator=generator) < share)


def corrupted(ids: Tensor, places: Tensor, mask: int, vocabulary: Tensor, generator: torch.Generator) -> Tensor:
    """BERT's corruption of chosen tokens: 80 % become the mask, 10 % a random token, 10 % stay (arXiv 1810.04805).

    Args:
        ids: Token ids, [texts, length].
        places: True at chosen tokens, [texts, length].
        mask: The mask's id.
        vocabulary: Ids of ordinary tokens, to draw from, [ordinary].
        generator: On the CPU.

    Returns:
        What the model reads, [texts, length].
    """
    chance = torch.rand(ids.shape, generator=generator)
    drawn = vocabulary[torch.randint(len(vocabulary), ids.shape, generator=generator)]
    read = torch.where(places & (chance < _MASKED), mask, ids)
    return torch.where(places & (chance >= _MASKED) & (chance < _MASKED + _RANDOM), drawn, read)


def hidden(ids: Tensor, places: Tensor, mask: int) -> Tensor:
    """Every chosen token becomes the mask, [texts, length]."""
    return torch.where(places, mask, ids)


def hard_places(losses: Tensor, ordinary: Tensor, bar: float, limit: float | None = None) -> Tensor:
    """The tokens that a model finds hard although it reads them: those that cost it more than `bar`.

    Self-questioning of SE (Zhong et al. 2023). The limit is ours: a small model finds most tokens hard, and a sentence
    of masks alone teaches nothing.

    Args:
        losses: `-log p(x_i | x)` of each token of the whole sentence, in nats, [texts, length].
        ordinary: True at tokens of the text, [texts, length].
        bar: In nats; published 0.1.
        limit: At most this share of a text's tokens, rounded to the nearest number and at least one, the hardest first
            (among equals the first); None as published.

    Returns:
        True at hard tokens, [texts, length].
    """
    hard = ordinary & (losses > bar)
    if limit is None:
        return hard
    most = (limit * ordinary.sum(1, keepdim=True)).round().clamp(min=1)
    order = torch.where(hard, losses, -torch.inf).argsort(dim=1, descending=True, stable=True)
    return hard & (order.argsort(dim=1) < most)
