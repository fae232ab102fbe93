"""Perplexities of a stream of domains: matrices worked by hand."""

import math

import pytest

from continual.pretraining.lifelong.metrics import average_increase, average_perplexity, perplexity

MATRIX = [[100.0, 100.0, 100.0], [10.0, 80.0, 90.0], [16.0, 9.0, 70.0], [25.0, 10.0, 4.0]]
"""Three domains: rows before any of them and after each."""


def test_perplexity_of_a_uniform_guess_is_the_number_of_choices():
    assert perplexity(6 * math.log(50), 6) == pytest.approx(50)
    assert perplexity(0.0, 3) == 1.0
    assert perplexity(1e6, 1) == math.inf


def test_average_perplexity_is_the_geometric_mean_of_what_was_learned():
    assert average_perplexity(MATRIX[1], 1) == pytest.approx(10)
    assert average_perplexity(MATRIX[2], 2) == pytest.approx(12)  # sqrt(16 * 9)
    assert average_perplexity(MATRIX[3], 3) == pytest.approx(10)  # (25 * 10 * 4) ** (1 / 3)
    assert average_perplexity(MATRIX[0], 0) is None
    assert average_perplexity([2.0, None], 2) is None


def test_average_increase_compares_with_the_end_of_each_training():
    assert average_increase(MATRIX, 2) == pytest.approx(6)  # 16 - 10
    assert average_increase(MATRIX, 3) == pytest.approx(8)  # ((25 - 10) + (10 - 9)) / 2
    assert average_increase(MATRIX, 1) is None
    assert average_increase(MATRIX, 0) is None
    assert average_increase([[1.0, 1.0], [None, 1.0], [2.0, 2.0]], 2) is None


def test_domains_that_helped_earlier_ones_count_below_zero():
    assert average_increase([[9.0, 9.0], [4.0, 9.0], [3.0, 3.0]], 2) == pytest.approx(-1)
