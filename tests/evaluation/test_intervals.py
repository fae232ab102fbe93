"""Intervals and tests against published values, hand-worked ones and scipy."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from continual.evaluation.intervals import MOST_PAIRS, mean_interval, paired_test, wilson


@pytest.mark.parametrize(
    ("correct", "total", "low", "high"),
    [
        # Newcombe, "Two-sided confidence intervals for the single proportion", Stat. Med. 1998, table I.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_as_published(correct: int, total: int, low: float, high: float) -> None:
    interval = wilson(correct, total)
    assert interval.value == correct / total
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 500).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))))
def test_wilson_agrees_with_scipy(case: tuple[int, int]) -> None:
    interval = wilson(*case)
    expected = stats.binomtest(*case).proportion_ci(method="wilson")
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert 0 <= interval.low <= interval.value + 1e-12
    assert interval.value - 1e-12 <= interval.high <= 1


@pytest.mark.parametrize(("correct", "total"), [(1, 0), (-1, 5), (6, 5)])
def test_wilson_refuses_impossible_counts(correct: int, total: int) -> None:
    with pytest.raises(ValueError, match="0 <= correct <= total"):
        wilson(correct, total)


def test_mean_of_three_seeds_by_hand() -> None:
    interval = mean_interval([0.80, 0.90, 0.70])
    # s = 0.1, t(0.975, 2) = 4.302653.
    assert interval.value == pytest.approx(0.8)
    assert interval.half_width == pytest.approx(4.302653 * 0.1 / math.sqrt(3), abs=1e-6)
    assert interval.n == 3


def test_one_seed_has_no_interval() -> None:
    interval = mean_interval([0.8])
    assert (interval.value, interval.low, interval.high, interval.half_width) == (0.8, None, None, None)
    with pytest.raises(ValueError, match="at least one value"):
        mean_interval([])


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=12))
def test_mean_interval_agrees_with_scipy(values: list[float]) -> None:
    interval = mean_interval(values)
    if np.std(values) > 1e-9:
        expected = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
        assert (interval.low, interval.high) == pytest.approx(expected, abs=1e-9)


def test_sign_flips_by_hand() -> None:
    # Differences 1, 2, 4: of the eight sums only 7 and -7 are as far from zero as 7.
    assert paired_test([1, 2, 4], [0, 0, 0]).p_sign_flip == 2 / 8
    # Differences 1, 2, -4: observed -1; sums are +-7, +-5, +-3, +-1, all at least as far.
    assert paired_test([1, 2, 0], [0, 0, 4]).p_sign_flip == 1.0
    # Differences 1, 1, -1: observed 1; every sum is +-3 or +-1.
    assert paired_test([1, 1, 0], [0, 0, 1]).p_sign_flip == 1.0


def test_no_difference_at_all() -> None:
    result = paired_test([0.5, 0.6], [0.5, 0.6])
    assert result.difference.value == 0
    assert result.p_sign_flip == 1.0
    assert result.p_t is None


def test_equal_differences_have_no_t_test_whatever_their_last_bits() -> None:
    first, second = [0.9, 0.8, 0.3], [0.8, 0.7, 0.2]
    assert len({one - other for one, other in zip(first, second, strict=True)}) > 1
    assert paired_test(first, second).p_t is None


def test_one_pair_says_nothing() -> None:
    result = paired_test([0.9], [0.1])
    assert (result.p_sign_flip, result.p_t, result.difference.low) == (1.0, None, None)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=7))
def test_agrees_with_scipy(pairs: list[tuple[float, float]]) -> None:
    first, second = (np.round(side, 6) for side in np.array(pairs).T)
    result = paired_test(first, second)
    assert 2.0 ** (1 - len(pairs)) <= result.p_sign_flip <= 1
    if np.std(first - second) > 1e-5:
        assert result.p_t == pytest.approx(stats.ttest_rel(first, second).pvalue, abs=1e-9)


def test_sign_flips_agree_with_scipy() -> None:
    first, second = np.random.default_rng(0).random((2, 8))
    expected = stats.permutation_test(
        (first, second), lambda x, y: np.mean(x - y), permutation_type="samples", n_resamples=math.inf
    )
    assert paired_test(first, second).p_sign_flip == pytest.approx(expected.pvalue)


def test_many_pairs_are_sampled_near_the_exact_value() -> None:
    rng = np.random.default_rng(1)
    first = rng.normal(0.25, 1, MOST_PAIRS)
    exact = paired_test(first, np.zeros(MOST_PAIRS)).p_sign_flip
    # A pair without a difference changes no sum, but is one more than are counted out.
    sampled = paired_test([*first, 0.0], np.zeros(MOST_PAIRS + 1)).p_sign_flip
    assert sampled == pytest.approx(exact, abs=0.01)


def test_lists_must_pair_up() -> None:
    with pytest.raises(ValueError, match="found 2 and 1"):
        paired_test([1, 2], [1])
