"""Texts that are longer than a model reads, in pieces."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continual.long_texts import pieces


def fits(limit: int):
    return lambda text: len(text) <= limit


def test_what_fits_is_left_alone():
    assert pieces("  One.  Two. ", fits(20)) == ["  One.  Two. "]


def test_single_sentences_first_then_clauses_then_words_then_characters():
    text = "One two. Three four? Five six seven eight nine. Unbelievabilities!"
    assert pieces(text, fits(20)) == ["One two.", "Three four?", "Five six seven eight", "nine.", "Unbelievabilities!"]
    clauses = "As it is, one two, three: four five six."
    assert pieces(clauses, fits(20)) == ["As it is, one two,", "three:", "four five six."]
    assert pieces("Unbelievabilities!", fits(9)) == ["Unbelieva", "bilities!"]


def test_sentences_without_space_between_them_stay_whole():
    text = "你好吗？我很好。今天天气不错！他说「好。」我走了。"
    assert pieces(text, fits(10)) == ["你好吗？", "我很好。", "今天天气不错！", "他说「好。」我走了。"]


def test_no_sentence_ends_behind_a_single_letter():
    text = "Wir kaufen z. B. bei J. Smith ein. Das ist gut."
    assert pieces(text, fits(40)) == ["Wir kaufen z. B. bei J. Smith ein.", "Das ist gut."]


@given(st.text(alphabet="ab .!?\n", min_size=1, max_size=120), st.integers(1, 30))
def test_every_piece_fits_and_nothing_but_space_is_lost(text, limit):
    parts = pieces(text, fits(limit)) if text.strip() else [text[:limit]]
    if not text.strip():
        return
    assert all(len(part) <= limit for part in parts)
    assert "".join("".join(parts).split()) == "".join(text.split())


@given(st.lists(st.text("abc", min_size=1, max_size=8), min_size=1, max_size=40), st.integers(8, 40))
def test_neighbouring_pieces_never_fit_together(words, limit):
    parts = pieces(" ".join(words), fits(limit))
    for one, other in itertools.pairwise(parts):
        assert len(f"{one} {other}") > limit


@pytest.mark.parametrize("text", ["a" * 1000, "wort " * 500, "Satz. " * 400])
def test_few_questions_are_asked(text):
    asked = []
    pieces(text, lambda part: asked.append(part) or len(part) <= 50)
    assert len(asked) < 2500
