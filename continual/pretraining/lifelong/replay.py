"""Replay of a memory in proportion to the recent drop of loss (ELLE, Qin et al. 2022, released code).

In an update of U texts `floor(share * U + u)` of them, u uniform in [0, 1), are replaced by texts of the memory, so an
update costs the same with and without. A past domain is drawn in proportion to the recent drop of its held-out loss for
each replayed text: what replay still helps is replayed more.

Ours: texts are replaced one by one, where ELLE replaces whole micro-batches; a domain of which nothing was replayed
counts one text; where no domain's loss dropped in the first half, all are alike, as at the beginning.
"""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_FLOOR = 1e-9


def replaced(size: int, share: float, chance: float) -> int:
    """How many of `size` texts the memory takes: `floor(share * size + chance)`, and never all of them if size > 1.

    Args:
        size: Texts of an update.
        share: Expected share, in [0, 1).
        chance: Uniform in [0, 1).
    """
    return min(math.floor(share * size + chance), max(size - 1, 1))


def proportions(drops: Sequence[float], replayed: Sequence[int], progress: float) -> list[float]:
    """The probability with which each past domain is drawn.

    Args:
        drops: By how much the held-out loss of each fell since it was last measured, in nats.
        replayed: How many of its texts were replayed in between.
        progress: Share of the training that is done, in [0, 1]. In the first half a domain whose loss did not drop is
            given the rate of the best, so that it is not given up at once; in the second half next to nothing.

    Returns:
        Probabilities that sum to 1.
    """
    rates = [drop / max(count, 1) for drop, count in zip(drops, replayed, strict=True)]
    best = max(rates)
    if best <= 0 and progress < 0.5:
        return [1 / len(rates)] * len(rates)
    otherwise = best if progress < 0.5 else 0.0
    rates = [max(rate if rate > 0 else otherwise, _FLOOR) for rate in rates]
    total = math.fsum(rates)
    return [rate / total for rate in rates]


def memory_rows(lengths: Sequence[int], tokens: int, rng: random.Random) -> list[int]:
    """The numbers of random texts of about `tokens` tokens in all, ascending: at least one, and all if they are fewer.

    Args:
        lengths: Tokens of each text.
        tokens: At most so many, but for a single text that is longer.
        rng: The source of randomness.
    """
    order = list(range(len(lengths)))
    rng.shuffle(order)
    chosen: list[int] = []
    left = tokens
    for row in order:
        if lengths[row] > left and chosen:
            break
        chosen.append(row)
        left -= lengths[row]
    return sorted(chosen)


@dataclass
class Replay:
    """Which past domain is replayed how often, within one training.

    Attributes:
        domains: The names of past domains.
        losses: Their held-out losses when last measured, in nats for each token.
        share: Expected share of replayed texts.
    """

    domains: list[str]
    losses: dict[str, float]
    share: float
    replayed: dict[str, int] = field(init=False)
    chances: list[float] = field(init=False)

    def __post_init__(self) -> None:
        self.replayed = dict.fromkeys(self.domains, 0)
        self.chances = [1 / len(self.domains)] * len(self.domains) if self.domains else []

    def draw(self, size: int, rng: random.Random) -> list[str]:
        """For an update of `size` texts the domains of those that the memory takes."""
        if not self.domains or not self.share:
            return []
        drawn = rng.choices(self.domains, self.chances, k=replaced(size, self.share, rng.random()))
        for name in drawn:
            self.replayed[name] += 1
        return drawn

    def measured(self, losses: Mapping[str, float], progress: float) -> None:
        """Takes note of new held-out losses."""
        if not self.domains:
            return
        drops = [self.losses[name] - losses[name] for name in self.domains]
        self.chances = proportions(drops, [self.replayed[name] for name in self.domains], progress)
        self.losses = {name: losses[name] for name in self.domains}
        self.replayed = dict.fromkeys(self.domains, 0)

    def state(self) -> dict[str, Any]:
        """Plain values to go on from."""
        return {"losses": self.losses, "replayed": self.replayed, "chances": self.chances}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on where `state` was taken."""
        self.losses, self.replayed, self.chances = state["losses"], state["replayed"], state["chances"]
