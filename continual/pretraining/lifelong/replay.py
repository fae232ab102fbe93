"""Replay of a memory in proportion to the recent drop of loss (ELLE, Qin et al. 2022, released code).

In an update of U micro-batches, all of as many tokens, ELLE replaces `floor(share * U + u)` of them, u uniform in
[0, 1), by texts of the memory. A past domain is drawn in proportion to the recent drop of its held-out loss for each
replayed text: what replay still helps is replayed more.

Ours: texts are replaced one by one. They are of unlike lengths, so not their number but their tokens are counted: the
memory takes `share` of the tokens of an update, which costs the same with and without. Both hold in the mean, since no
text is cut. The texts of the memory in an update are of like length, so that little is padded. A domain of which
nothing was replayed counts one text; where no domain's loss dropped in the first half, all are alike, as at the
beginning.
"""

import bisect
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

_FLOOR = 1e-9
_NEIGHBOURS = 16
"""A text is drawn from so many whose lengths are nearest."""

Text = TypeVar("Text")


def up_to(
    tokens: float, draw: Callable[[], Text | None], length: Callable[[Text], int], rng: random.Random
) -> list[Text]:
    """Draws texts until they have `tokens` tokens, in the mean: the last one is taken with the chance that makes it so.

    Args:
        tokens: Of all of them together.
        draw: Gives a text; None where there are no more.
        length: Tokens of a text.
        rng: The source of randomness.
    """
    found: list[Text] = []
    while tokens > 0 and (text := draw()) is not None:
        size = length(text)
        if size > tokens and rng.random() * size >= tokens:
            break
        found.append(text)
        tokens -= size
    return found


class Shelf(Generic[Text]):
    """Texts of a domain by their length.

    Args:
        texts: At least one.
        length: Tokens of a text.
    """

    def __init__(self, texts: Sequence[Text], length: Callable[[Text], int]) -> None:
        self._texts = sorted(texts, key=length)
        self._lengths = [length(text) for text in self._texts]

    def near(self, tokens: int | None, rng: random.Random) -> Text:
        """One of the texts whose lengths are about `tokens`; any where that is None."""
        if tokens is None:
            return rng.choice(self._texts)
        first = bisect.bisect_left(self._lengths, tokens) - _NEIGHBOURS // 2
        first = max(0, min(first, len(self._texts) - _NEIGHBOURS))
        return rng.choice(self._texts[first : first + _NEIGHBOURS])


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
        share: Expected share of the tokens of an update that are replayed.
    """

    domains: list[str]
    losses: dict[str, float]
    share: float
    replayed: dict[str, int] = field(init=False)
    chances: list[float] = field(init=False)

    def __post_init__(self) -> None:
        self.replayed = dict.fromkeys(self.domains, 0)
        self.chances = [1 / len(self.domains)] * len(self.domains) if self.domains else []

    def draw(
        self, tokens: int, memory: Mapping[str, Shelf[Text]], length: Callable[[Text], int], rng: random.Random
    ) -> list[Text]:
        """The texts of the memory for an update; all are about as long as the first, which may be any.

        Args:
            tokens: Of the update.
            memory: The texts of each past domain.
            length: Tokens of a text.
            rng: The source of randomness.
        """
        if not self.domains or not self.share:
            return []
        like: int | None = None

        def one() -> tuple[str, Text]:
            nonlocal like
            name = rng.choices(self.domains, self.chances)[0]
            text = memory[name].near(like, rng)
            like = length(text) if like is None else like
            return name, text

        drawn = up_to(self.share * tokens, one, lambda pair: length(pair[1]), rng)
        for name, _ in drawn:
            self.replayed[name] += 1
        return [text for _, text in drawn]

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
