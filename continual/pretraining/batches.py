"""Batches of like length that hold about as many tokens each, in an order that is a function of seed and epoch."""

from collections.abc import Iterator

import torch
from torch import Tensor

from continual.errors import LearningError
from continual.seeding import seed_of


class TokenBatches:
    """The batches of a training without end.

    Nothing of it has to be kept to go on after a kill: which rows a step sees follows from the seed and the step.

    Args:
        lengths: Tokens of each row (of its longer side, where it has two), [rows].
        tokens: Longest row times rows in a batch, at most; a row that is longer is a batch of its own.
        seed: Decides the order.

    Raises:
        LearningError: There are no rows.
    """

    def __init__(self, lengths: Tensor, tokens: int, seed: int) -> None:
        if not len(lengths):
            raise LearningError("There is no text to learn from; give more, or allow longer ones.")
        self._lengths, self._tokens, self._seed = lengths, tokens, seed

    def epoch(self, number: int) -> list[Tensor]:
        """The batches of epoch `number` (from 0), each a tensor of row numbers."""
        generator = torch.Generator().manual_seed(seed_of(self._seed, "batches", str(number)))
        order = torch.randperm(len(self._lengths), generator=generator)
        # The sort is stable, so rows of one length meet different neighbours in each epoch.
        order = order[torch.argsort(self._lengths[order], stable=True)]
        cuts = _cuts(self._lengths[order].tolist(), self._tokens)
        batches = [order[start:end] for start, end in zip(cuts, [*cuts[1:], len(order)], strict=True)]
        return [batches[place] for place in torch.randperm(len(batches), generator=generator)]

    def since(self, step: int) -> Iterator[tuple[int, Tensor]]:
        """Epoch and rows of step `step` (from 0) and of all that follow."""
        epoch = 0
        while True:
            batches = self.epoch(epoch)
            for rows in batches[step:]:
                yield epoch, rows
            step = max(step - len(batches), 0)
            epoch += 1


def _cuts(lengths: list[int], tokens: int) -> list[int]:
    """Where batches begin in rows of rising length."""
    cuts = [0]
    for place, length in enumerate(lengths):
        if place > cuts[-1] and length * (place + 1 - cuts[-1]) > tokens:
            cuts.append(place)
    return cuts
