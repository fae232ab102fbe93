"""How sure a number is: intervals for an accuracy and a mean over seeds, tests of paired differences."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

MOST_PAIRS = 20
"""Most pairs for which all sign flips are counted: 2^20 sums take about a tenth of a second."""


@dataclass(frozen=True)
class Interval:
    """An estimate and the interval around it; the bounds are None where there is too little data for one.

    Attributes:
        value: The estimate.
        low: Lower bound.
        high: Upper bound.
        n: Number of observations behind it.
    """

    value: float
    low: float | None
    high: float | None
    n: int

    @property
    def half_width(self) -> float | None:
        """Half the distance between the bounds."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2


@dataclass(frozen=True)
class PairedTest:
    """Two-sided tests of "there is no difference" on paired observations.

    Attributes:
        difference: Mean of first - second, with its t interval.
        p_sign_flip: Exact p of the sign-flip permutation test. With n pairs it cannot be below 2^(1 - n), so
            three seeds can never fall below 0.25.
        p_t: p of the paired t test, which trusts that differences are normal; None for fewer than two pairs
            or where all differences are equal.
    """

    difference: Interval
    p_sign_flip: float
    p_t: float | None


def wilson(correct: int, total: int, confidence: float = 0.95) -> Interval:
    """Wilson's score interval for a share of `correct` among `total` independent trials.

    It stays inside 0 .. 1 and is trustworthy for few trials and for shares near 0 and 1, where the usual
    `p +- 1.96 sqrt(p (1 - p) / n)` is not.

    Args:
        correct: Number of successes, 0 .. total.
        total: Number of trials, at least 1.
        confidence: Share of such intervals that hold the true value.

    Raises:
        ValueError: Numbers outside these ranges.
    """
    if total < 1 or not 0 <= correct <= total:
        raise ValueError(f"expected 0 <= correct <= total and total >= 1, found {correct} of {total}")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = correct / total
    scale = 1 + z * z / total
    centre = (share + z * z / (2 * total)) / scale
    reach = z / scale * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return Interval(share, max(0.0, centre - reach), min(1.0, centre + reach), total)


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """Mean and Student's t interval over independent runs, usually seeds.

    One value alone has no interval: its bounds are None.

    Raises:
        ValueError: No value.
    """
    if not len(values):
        raise ValueError("a mean needs at least one value, found none")
    sample = np.asarray(values, dtype=np.float64)
    mean = float(sample.mean())
    if len(sample) < 2:
        return Interval(mean, None, None, 1)
    reach = _t_quantile((1 + confidence) / 2, len(sample) - 1) * float(sample.std(ddof=1)) / math.sqrt(len(sample))
    return Interval(mean, mean - reach, mean + reach, len(sample))


def paired_test(first: Sequence[float], second: Sequence[float], confidence: float = 0.95) -> PairedTest:
    """Compares two systems that were measured on the same seeds, in the same order.

    Raises:
        ValueError: Lists of different lengths, or no pair.
    """
    if len(first) != len(second):
        raise ValueError(f"pairs need lists of one length, found {len(first)} and {len(second)}")
    differences = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    interval = mean_interval(differences, confidence)
    return PairedTest(interval, _sign_flip(differences), _paired_t(differences))


def _sign_flip(differences: np.ndarray) -> float:
    """Share of the 2^n ways to sign the differences whose sum is at least as far from 0 as the observed one.

    Under "no difference" each sign is as likely as the other, so this p is exact without any assumption on
    the distribution. Beyond `MOST_PAIRS` pairs 10^5 seeded random flips replace the full count.
    """
    n = len(differences)
    observed = abs(differences.sum())
    if n <= MOST_PAIRS:
        # All sums by doubling: the sums of the first k differences with either sign, then of k + 1.
        sums = np.zeros(1)
        for difference in differences:
            sums = np.concatenate([sums + difference, sums - difference])
        extreme, ways = 0, len(sums)
    else:
        signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(100_000, n))
        sums = signs @ differences
        extreme, ways = 1, len(sums) + 1  # the observed signs are one of the ways
    tolerance = 1e-12 * max(1.0, float(np.abs(differences).sum()))
    return float((extreme + (np.abs(sums) >= observed - tolerance).sum()) / ways)


def _paired_t(differences: np.ndarray) -> float | None:
    from scipy import special

    n = len(differences)
    spread = float(differences.std(ddof=1)) if n > 1 else 0.0
    # Equal differences of rounded numbers differ in their last bits, and a spread of such would make any p.
    if spread <= 1e-12 * max(1.0, float(np.abs(differences).max())):
        return None
    statistic = float(differences.mean()) / (spread / math.sqrt(n))
    return float(2 * special.stdtr(n - 1, -abs(statistic)))


def _t_quantile(probability: float, degrees: int) -> float:
    # scipy.special is several times quicker to import than scipy.stats, which wraps the same function.
    from scipy import special

    return float(special.stdtrit(degrees, probability))
