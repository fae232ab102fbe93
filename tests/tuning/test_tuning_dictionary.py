"""Dictionaries of terms and texts as bags of them."""

import math

import pytest
import torch

from continual.backbone.terms import FIRST_RUN
from continual.backbone.texts import Ragged
from continual.tuning.dictionary import Bags, Dictionary

A, B = FIRST_RUN + 3, FIRST_RUN + 8
"""Two runs of characters; smaller numbers are word pieces."""


def ragged(*rows: list[int]) -> Ragged:
    lengths = torch.tensor([0, *map(len, rows)])
    return Ragged(torch.tensor([term for row in rows for term in row], dtype=torch.int32), lengths.cumsum(0))


TEXTS = ragged([1, 2, A], [1, A, B], [], [1, 5])


def test_terms_and_their_surprise_by_hand():
    """A run in one text only is left out, a word piece is not."""
    dictionary = Dictionary.of(TEXTS, 100)
    assert dictionary.terms.tolist() == [1, 2, 5, A]
    assert dictionary.surprise.tolist() == pytest.approx([math.log(4 / 3), math.log(4), math.log(4), math.log(2)])


@pytest.mark.parametrize(("limit", "kept"), [(0, []), (1, [1]), (2, [1, A]), (3, [1, 2, A]), (4, [1, 2, 5, A])])
def test_the_most_frequent_terms_are_kept(limit, kept):
    assert Dictionary.of(TEXTS, limit).terms.tolist() == kept


def test_bags_by_hand():
    """Pieces and runs have length 42 each: (log 4/3, log 4) and (log 2) brought to that."""
    bags = Dictionary.of(TEXTS, 100).bags(ragged([1, 2, A, B], [B], [1]))
    assert bags.places.tolist() == [0, 1, 3, 0]
    assert bags.offsets.tolist() == [0, 3, 3, 4]
    norm = math.hypot(math.log(4 / 3), math.log(4))
    assert bags.values.tolist() == pytest.approx(
        [42 * math.log(4 / 3) / norm, 42 * math.log(4) / norm, 42.0, 42.0], rel=1e-6
    )


def test_a_term_of_all_texts_says_nothing_and_divides_nothing_by_zero():
    bags = Dictionary.of(ragged([1], [1]), 10).bags(ragged([1]))
    assert bags.values.tolist() == [0.0]


def test_logits_by_hand():
    bags = Bags(torch.tensor([0, 2, 1]), torch.tensor([2.0, 1.0, 3.0]), torch.tensor([0, 2, 2, 3]))
    weight = torch.tensor([[1.0, 0.0], [0.0, 1.0], [10.0, 20.0]])
    assert bags.logits(weight).tolist() == [[12.0, 20.0], [0.0, 0.0], [0.0, 3.0]]


def test_nothing_known_adds_nothing():
    empty = Dictionary.empty()
    bags = empty.bags(TEXTS)
    assert len(bags) == 4
    assert bags.logits(torch.zeros(0, 3)).tolist() == [[0.0] * 3] * 4
    stranger = Dictionary.of(TEXTS, 10).bags(ragged([77], []))
    assert stranger.logits(torch.ones(4, 2)).tolist() == [[0.0, 0.0]] * 2


def test_taking_rows_is_taking_bags():
    """Bags of chosen texts are the chosen among the bags."""
    dictionary, rows = Dictionary.of(TEXTS, 10), torch.tensor([3, 0, 0, 2])
    weight = torch.randn(4, 2, generator=torch.Generator().manual_seed(0))
    assert torch.equal(dictionary.bags(TEXTS.take(rows)).logits(weight), dictionary.bags(TEXTS).logits(weight)[rows])
