"""Hashed words against the same arithmetic in plain Python."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import BLOCKWISE, TEXTS

from continual.backbone.texts import EncodedTexts
from continual.backbone.words import hashed_words

FIRST, LAST = 101, 102  # special tokens at both ends

texts_of_ids = st.lists(st.lists(st.integers(0, 250_000), max_size=8), min_size=1, max_size=5)


def ragged(rows):
    return EncodedTexts.from_lists([[FIRST, *row, LAST] for row in rows], None).ids


def by_hand(words: list[int], buckets: int, commonest: int) -> list[float]:
    vector = [0.0] * buckets
    for word in set(words):
        mixed = word * 2654435761 % 2**32
        mixed = (mixed ^ (mixed >> 15)) * 2246822519 % 2**32
        mixed ^= mixed >> 13
        sign = 1 if mixed & 2**20 else -1
        vector[mixed % buckets] += sign * math.log(20 + max(0, word - commonest))
    length = math.sqrt(sum(value * value for value in vector))
    return [30 * value / length if length else 0.0 for value in vector]


@given(rows=texts_of_ids, buckets=st.sampled_from([1, 7, 64, 4096]), commonest=st.integers(0, 3000))
def test_hashed_words_by_hand(rows, buckets, commonest):
    found = hashed_words(ragged(rows), torch.arange(len(rows)), buckets, commonest)
    expected = torch.tensor([by_hand(row, buckets, commonest) for row in rows])
    close = (found - expected).abs().amax(dim=1) < 1e-2
    # Where words of one bucket cancel to rounding errors, the direction means nothing.
    assert all(bool(same) or buckets < 64 for same in close)
    assert ((found.norm(dim=1) - 30).abs() < 1e-3).logical_or(found.norm(dim=1) == 0).all()


@given(row=st.lists(st.integers(0, 5000), min_size=1, max_size=8))
def test_neither_order_nor_repetition_counts(row):
    again = ragged([row, row[::-1], row + row])
    found = hashed_words(again, torch.arange(3), 64, 10)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_special_tokens_and_empty_texts_give_nothing():
    found = hashed_words(ragged([[], [7]]), torch.tensor([1, 0]), 8, 0)
    assert found[0].norm() == pytest.approx(30)
    assert not found[1].any()


def test_rare_words_weigh_more():
    common, rare = 2001, 29_000
    found = hashed_words(ragged([[common, rare]]), torch.tensor([0]), 4096, 2000).abs()
    assert sorted(found[found > 0].tolist()) == pytest.approx(
        [30 * weight / math.hypot(math.log(21), math.log(27_020)) for weight in (math.log(21), math.log(27_020))]
    )


def test_buckets_and_signs_are_evenly_used():
    count, buckets = 4_000, 16
    found = hashed_words(ragged([[word] for word in range(count)]), torch.arange(count), buckets, 0)
    used = (found != 0).sum(0)
    assert used.sum() == count
    assert buckets * used.min() / count > 0.7
    assert buckets * used.max() / count < 1.3
    assert abs(float(found.sign().sum())) < 0.05 * count


@pytest.mark.parametrize("family", BLOCKWISE)
def test_the_commonest_word_is_known_to_every_tokenizer(tiny_encoder, family):
    encoder = tiny_encoder(family)
    assert encoder.tokenizer.decode([encoder.commonest_word]).strip() == "the"
    words = hashed_words(encoder.tokenize(TEXTS).ids, torch.arange(len(TEXTS)), 64, encoder.commonest_word)
    assert words.isfinite().all()
    assert not words[TEXTS.index("")].any()
