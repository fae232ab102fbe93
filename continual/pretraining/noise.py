"""What is done to a sentence so that a model learns by undoing it: masked spans, shuffled and random tokens.

Text infilling is that of BART (Lewis et al. 2019, arXiv 1910.13461); shuffled and random tokens with their labels are
the local denoising of E2S2 (Zhong et al. 2022, arXiv 2205.14912). All functions work on one sentence of token ids
without its special tokens, change nothing in place, and draw only by `random.Random.random`, whose values are the same
on every machine and version. Ours: numbers of tokens are rounded at random so that their mean is exact, because a tenth
of a short sentence would otherwise always be none.
"""

import math
import random
from collections.abc import Sequence

ORIGINAL, SHUFFLED, RANDOM = 0, 1, 2
"""Labels of the tokens of a noised sentence: as it was, moved from a neighbouring place, drawn from the vocabulary."""


def infill(ids: Sequence[int], mask: int, share: float, span: float, rng: random.Random) -> list[int]:
    """Replaces spans of tokens by one mask each (BART's text infilling, on tokens instead of words).

    Span lengths follow a Poisson distribution; a span of length 0 puts a mask between two tokens. No two spans touch.

    Args:
        ids: The sentence, [tokens].
        mask: Id of the mask.
        share: Share of the tokens to be masked, in [0, 1].
        span: Mean length of a span, in tokens.
        rng: The source of randomness.

    Returns:
        The sentence with its masks; its length differs in general.
    """
    lengths = _span_lengths(_rounded(share * len(ids), rng), span, rng)
    kept = len(ids) - sum(lengths)
    # Between, before and behind the kept tokens there are kept + 1 places, and each takes one span at most.
    room = kept + 1
    lengths = [*lengths[: room - 1], sum(lengths[room - 1 :])] if len(lengths) > room else lengths
    spans = dict(zip(_sample(room, len(lengths), rng), lengths, strict=True))
    result, start = [], 0
    for place in range(room):
        if place in spans:
            result.append(mask)
            start += spans[place]
        if start < len(ids):
            result.append(ids[start])
            start += 1
    return result


def shuffle_tokens(
    ids: Sequence[int], words: Sequence[bool], share: float, fixed: frozenset[int], rng: random.Random
) -> tuple[list[int], list[int]]:
    """Permutes some windows of three neighbouring tokens (E2S2's shuffled noise).

    The sentence is cut into stretches of `3 * int(1 / (3 * share))` tokens, 18 at the published share of 0.05. From one
    stretch after the other a random token is drawn as the centre of a window, until `share * tokens` of them are. It is
    left out where it is only a part of a word, or where its window leaves the sentence or holds a fixed token.

    Args:
        ids: The sentence, [tokens].
        words: Whether each token begins a word, [tokens].
        share: Centres of windows as a share of the tokens, in [0, 1/3].
        fixed: Ids that stay where they are, such as the mask's.
        rng: The source of randomness.

    Returns:
        The ids and their labels, `SHUFFLED` where a token is not what it was; [tokens] each.
    """
    result, labels = list(ids), [ORIGINAL] * len(ids)
    wanted = _rounded(share * len(ids), rng)
    # A tiny share means one stretch, and its inverse may be infinite.
    stretch = 3 * int(min(1 / (3 * share), len(ids) + 1)) if share > 0 else 1
    for start in range(0, len(ids), stretch):
        if not wanted:
            break
        centre = start + _below(min(stretch, len(ids) - start), rng)
        window = range(centre - 1, centre + 2)
        if not _is_whole_word(words, centre) or not _is_free(ids, window, fixed):
            continue
        order = _sample(3, 3, rng)
        moved = [result[centre - 1 + place] for place in order]
        result[centre - 1 : centre + 2] = moved
        wanted -= 1
    for place, (before, after) in enumerate(zip(ids, result, strict=True)):
        labels[place] = ORIGINAL if before == after else SHUFFLED
    return result, labels


def replace_tokens(
    ids: Sequence[int],
    labels: Sequence[int],
    share: float,
    vocabulary: range,
    fixed: frozenset[int],
    rng: random.Random,
) -> tuple[list[int], list[int]]:
    """Replaces some tokens that are still original by other ones of the vocabulary (E2S2's random noise).

    Args:
        ids: The sentence, [tokens].
        labels: Labels so far, [tokens].
        share: Share of the tokens to be replaced, in [0, 1].
        vocabulary: Ids that may be drawn, at least two.
        fixed: Ids that stay, such as the mask's.
        rng: The source of randomness.

    Returns:
        The ids and their labels, `RANDOM` where a token was replaced; [tokens] each.
    """
    result, marked = list(ids), list(labels)
    free = [place for place, token in enumerate(ids) if marked[place] == ORIGINAL and token not in fixed]
    wanted = min(_rounded(share * len(ids), rng), len(free))
    for number in _sample(len(free), wanted, rng):
        place = free[number]
        result[place] = _other(ids[place], vocabulary, rng)
        marked[place] = RANDOM
    return result, marked


def _span_lengths(total: int, mean: float, rng: random.Random) -> list[int]:
    """Lengths of spans that add up to `total`; the last is cut so that they do."""
    lengths: list[int] = []
    while total > 0:
        lengths.append(min(_poisson(mean, rng), total))
        total -= lengths[-1]
    return lengths


def _poisson(mean: float, rng: random.Random) -> int:
    """Knuth's multiplication of uniform numbers, good for the small means that spans have."""
    bound, number, product = math.exp(-mean), 0, rng.random()
    while product > bound:
        product *= rng.random()
        number += 1
    return number


def _sample(size: int, count: int, rng: random.Random) -> list[int]:
    """`count` different numbers below `size` in random order (the first steps of Fisher and Yates's shuffle)."""
    numbers = list(range(size))
    for place in range(count):
        other = place + _below(size - place, rng)
        numbers[place], numbers[other] = numbers[other], numbers[place]
    return numbers[:count]


def _other(token: int, vocabulary: range, rng: random.Random) -> int:
    """A member of the vocabulary that is not `token`, all equally likely."""
    if token not in vocabulary:
        return vocabulary[_below(len(vocabulary), rng)]
    drawn = vocabulary[_below(len(vocabulary) - 1, rng)]
    return drawn if drawn < token else drawn + 1


def _rounded(number: float, rng: random.Random) -> int:
    """`number` rounded up or down at random, so that the mean is `number`."""
    whole = math.floor(number)
    return whole + (rng.random() < number - whole)


def _below(size: int, rng: random.Random) -> int:
    return int(rng.random() * size)


def _is_whole_word(words: Sequence[bool], place: int) -> bool:
    return words[place] and (place + 1 == len(words) or words[place + 1])


def _is_free(ids: Sequence[int], window: range, fixed: frozenset[int]) -> bool:
    return window.start >= 0 and window.stop <= len(ids) and not any(ids[place] in fixed for place in window)
