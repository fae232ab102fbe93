"""Rank correlation by hand and against scipy."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from continual.evaluation.correlation import spearman


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([1, 2, 3], [10, 20, 90], 1.0),
        ([1, 2, 3], [3, 2, 1], -1.0),
        # Ranks 1 2 3 4 and 2 1 4 3: 1 - 6 (1 + 1 + 1 + 1) / (4 * 15) = 0.6.
        ([1, 2, 3, 4], [0.2, 0.1, 0.4, 0.3], 0.6),
        # The tied pair shares rank 1.5: ranks 1.5 1.5 3 and 1 2 3; covariance 1.5, squares 1.5 and 2.
        ([5, 5, 9], [1, 2, 3], 1.5 / (1.5 * 2) ** 0.5),
        # What one list lacks is left out: here only the last three places count.
        ([0, 1, 2, 3], [None, 1, 2, 3], 1.0),
        ([4, 4, 4], [1, 2, 3], None),
        ([1, 2], [1, 2], None),
        ([1, None, 3], [1, 2, 3], None),
        ([], [], None),
    ],
)
def test_by_hand(first: list, second: list, expected: float | None) -> None:
    found = spearman(first, second)
    assert found == (None if expected is None else pytest.approx(expected))


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=3, max_size=20))
def test_agrees_with_scipy(pairs: list[tuple[int, int]]) -> None:
    first, second = map(list, zip(*pairs, strict=True))
    if min(len(set(first)), len(set(second))) < 2:
        assert spearman(first, second) is None
    else:
        assert spearman(first, second) == pytest.approx(spearmanr(first, second).statistic)


def test_refuses_lists_of_different_lengths() -> None:
    with pytest.raises(ValueError, match="zip"):
        spearman([1, 2, 3], [1, 2])
