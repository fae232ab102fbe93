"""Noise on sentences: each function once by hand, and what holds for every sentence."""

import itertools
import random
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continual.pretraining.noise import ORIGINAL, RANDOM, SHUFFLED, infill, replace_tokens, shuffle_tokens

MASK = 1
VOCABULARY = range(5, 50)


class Script(random.Random):
    """Gives the listed numbers, then refuses."""

    def __init__(self, values: Iterable[float]) -> None:
        super().__init__()
        self.values = iter(values)

    def random(self) -> float:
        return next(self.values)


def test_infilling_by_hand():
    rounding = [0.5]  # 0.5 * 6 tokens = 3, nothing to round
    # Knuth's products fall below exp(-3) = 0.0498 after 2, 0 and 1 factors: spans of 2, 0 and 1 tokens, 3 in all.
    lengths = [0.5, 0.3, 0.2, 0.01, 0.9, 0.01]
    # 3 kept tokens leave places 0 to 3; [0, 1, 2, 3] swapped with 2, 1 and 3 gives places 2, 1 and 3.
    places = [0.5, 0.0, 0.9]
    result = infill([10, 11, 12, 13, 14, 15], MASK, 0.5, 3.0, Script([*rounding, *lengths, *places]))
    assert result == [10, MASK, 11, MASK, 14, MASK]


def test_shuffling_by_hand():
    # One centre (0.25 * 4) in stretches of 3 * int(1 / 0.75) = 3 tokens: int(0.4 * 3) = 1, so the window 5, 6, 7.
    # [0, 1, 2] swapped with 2, 2 and 2 gives the order 2, 0, 1.
    script = Script([0.5, 0.4, 0.9, 0.9, 0.0])
    assert shuffle_tokens([5, 6, 7, 8], [True] * 4, 0.25, frozenset(), script) == ([7, 5, 6, 8], [1, 1, 1, 0])


def test_a_token_that_looks_as_before_counts_as_original():
    script = Script([0.5, 0.4, 0.9, 0.9, 0.0])
    assert shuffle_tokens([5, 5, 7, 8], [True] * 4, 0.25, frozenset(), script) == ([7, 5, 5, 8], [1, 0, 1, 0])


@pytest.mark.parametrize(
    ("words", "fixed", "centre"),
    [
        ([True, False, True, True], frozenset(), 0.4),  # the centre continues a word
        ([True, True, False, True], frozenset(), 0.4),  # the centre's word goes on
        ([True, True, True, True], frozenset({7}), 0.4),  # a fixed token in the window
        ([True, True, True, True], frozenset(), 0.0),  # the window begins before the sentence
    ],
)
def test_windows_that_are_left_out(words, fixed, centre):
    # The second stretch holds the last token alone, whose window ends behind the sentence.
    script = Script([0.5, centre, 0.0])
    assert shuffle_tokens([5, 6, 7, 8], words, 0.25, fixed, script) == ([5, 6, 7, 8], [0, 0, 0, 0])


def test_stretches_at_the_published_share_are_18_words_long():
    # 40 tokens at 0.05: two centres, from the stretches that begin at 0 and 18; the order 1, 2, 0 moves all three.
    turn = [0.4, 0.9, 0.0]  # [0, 1, 2] swapped with 1 and 2
    ids, labels = shuffle_tokens(list(range(40)), [True] * 40, 0.05, frozenset(), Script([0.5, 0.5, *turn, 0.5, *turn]))
    assert [place for place, label in enumerate(labels) if label] == [8, 9, 10, 26, 27, 28]
    assert ids[8:11] == [9, 10, 8]


def test_replacing_by_hand():
    # Free are the places 0 and 2: 1 is shuffled, 8 is fixed. Both are taken, 2 first.
    # The 7 becomes the third of 5, 6, 8, 9, the 5 the first of 6, 7, 8, 9.
    script = Script([0.5, 0.6, 0.0, 0.5, 0.0])
    replaced = replace_tokens([5, 6, 7, 8], [ORIGINAL, SHUFFLED, 0, 0], 0.5, range(5, 10), frozenset({8}), script)
    assert replaced == ([6, 6, 8, 8], [RANDOM, SHUFFLED, RANDOM, ORIGINAL])


def test_shares_of_short_sentences_are_right_in_the_mean():
    rng = random.Random(0)
    counts = [
        replace_tokens([5] * 6, [0] * 6, 0.05, VOCABULARY, frozenset(), rng)[1].count(RANDOM) for _ in range(5000)
    ]
    assert sum(counts) / 5000 == pytest.approx(0.3, abs=0.03)
    assert set(counts) == {0, 1}


sentences = st.lists(st.sampled_from(VOCABULARY), max_size=40)


@given(sentences, st.floats(0, 1), st.floats(0.1, 6), st.integers())
def test_infilling_drops_a_share_and_keeps_the_order(ids, share, span, seed):
    result = infill(ids, MASK, share, span, random.Random(seed))
    kept = [token for token in result if token != MASK]
    assert abs(len(ids) - len(kept) - share * len(ids)) < 1
    left = iter(ids)
    assert all(token in left for token in kept), "in their order"
    assert all(one != MASK or other != MASK for one, other in itertools.pairwise(result)), "spans touch"


@given(sentences, st.floats(0, 1 / 3), st.integers())
def test_shuffling_moves_neighbours_only(ids, share, seed):
    result, labels = shuffle_tokens(ids, [True] * len(ids), share, frozenset({7}), random.Random(seed))
    assert sorted(result) == sorted(ids)
    assert labels == [SHUFFLED if one != other else ORIGINAL for one, other in zip(ids, result, strict=True)]
    assert all(one == other for one, other in zip(ids, result, strict=True) if 7 in (one, other))


@given(sentences, st.floats(0, 1), st.integers())
def test_replacing_changes_what_it_labels(ids, share, seed):
    result, labels = replace_tokens(ids, [ORIGINAL] * len(ids), share, VOCABULARY, frozenset({7}), random.Random(seed))
    assert set(result) <= set(VOCABULARY)
    for before, after, label in zip(ids, result, labels, strict=True):
        assert (before != after) == (label == RANDOM)
        assert before != 7 or label == ORIGINAL


def test_empty_sentences_stay_empty():
    rng = random.Random(0)
    assert infill([], MASK, 0.5, 3.0, rng) == []
    assert shuffle_tokens([], [], 0.05, frozenset(), rng) == ([], [])
    assert replace_tokens([], [], 0.5, VOCABULARY, frozenset(), rng) == ([], [])
