"""Perplexities of a model that learns domain after domain: pure functions of numbers.

`P[i][j]` is the perplexity on held-out text of domain j after i domains were learned; row 0 is before any. T domains.
Lower is better. The definitions of AP and AP+ follow ELLE (Qin et al. 2022, Findings of ACL); they could not be checked
against the paper's text, so they are written out here.
"""

import math
from collections.abc import Sequence

Row = Sequence[float | None]
"""The perplexity of each domain at one time; None where it was not measured."""


def perplexity(nats: float, tokens: int) -> float:
    """`exp(nats / tokens)`; infinite where a double cannot hold it.

    Args:
        nats: Summed negative log-likelihood.
        tokens: How many tokens it is summed over; 1 or more.
    """
    mean = nats / tokens
    return math.exp(mean) if mean < 700 else math.inf


def average_perplexity(row: Row, learned: int) -> float | None:
    """AP: the geometric mean `exp((1/j) sum_{i<=j} log P[j][i])` of the perplexities of the j domains learned so far.

    Args:
        row: `P[j]`.
        learned: j; the first j domains are those learned.

    Returns:
        None where nothing is learned yet or a perplexity is missing.

    Example:
        >>> average_perplexity([2.0, 8.0, 100.0], learned=2)
        4.0
    """
    values = list(row[:learned])
    if not values or any(value is None for value in values):
        return None
    return math.exp(math.fsum(math.log(value) for value in values) / learned)


def average_increase(matrix: Sequence[Row], learned: int) -> float | None:
    """AP+: how much the perplexity of earlier domains rose since their own training ended, a mean over them.

    `(1/(j-1)) sum_{i<j} (P[j][i] - P[i][i])` with domains counted from 1. Negative where later domains helped.

    Args:
        matrix: `P`, with row 0 before any domain.
        learned: j.

    Returns:
        None for fewer than two domains, or where a perplexity is missing.

    Example:
        >>> average_increase([[9.0, 9.0], [2.0, 9.0], [5.0, 3.0]], learned=2)
        3.0
    """
    pairs = [(matrix[learned][domain], matrix[domain + 1][domain]) for domain in range(learned - 1)]
    if not pairs or any(value is None for pair in pairs for value in pair):
        return None
    return math.fsum(now - then for now, then in pairs) / len(pairs)
