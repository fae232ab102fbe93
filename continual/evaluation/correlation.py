"""How far two lists of numbers put the same things in the same order."""

from collections.abc import Sequence

import numpy as np

FEWEST = 3
"""Two things are always ordered perfectly, one way or the other, so a correlation of fewer than three says nothing."""


def spearman(first: Sequence[float | None], second: Sequence[float | None]) -> float | None:
    """Spearman's rank correlation, from -1 to 1: Pearson's correlation of the ranks; equals share their mean rank.

    Args:
        first: Numbers; None where there is none.
        second: As many numbers, in the same order. A place where either list has none is left out.

    Returns:
        The correlation, or None where it is not defined: with fewer than `FEWEST` pairs, or where a list is constant.

    Raises:
        ValueError: The lists differ in length.
    """
    pairs = [(one, two) for one, two in zip(first, second, strict=True) if one is not None and two is not None]
    if len(pairs) < FEWEST:
        return None
    ranks = [_ranks(np.asarray(values, dtype=np.float64)) for values in zip(*pairs, strict=True)]
    centred = [values - values.mean() for values in ranks]
    size = np.sqrt((centred[0] ** 2).sum() * (centred[1] ** 2).sum())
    return float((centred[0] * centred[1]).sum() / size) if size else None


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1 on; equal values share the mean of the ranks that they take up."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[places]
