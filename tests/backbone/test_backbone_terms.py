"""Surface terms: token ids and hashed runs of characters."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from continual.backbone.terms import FIRST_RUN, character_runs, no_terms, surface_terms
from continual.backbone.texts import join

TEXTS = ["the cat sat", "", "The CAT   sat", "cat the the", "naïve 你好 \U0001f600"]


def runs(text: str, size: int) -> list[str]:
    """The runs of `size` characters of each word with a space at either end, with repetitions."""
    spaced = [f" {word} " for word in text.lower().split()]
    return [word[start : start + size] for word in spaced for start in range(len(word) - size + 1)]


def hashes(texts: list[str]) -> list[list[int]]:
    values, owners = character_runs(texts)
    return [sorted(values[owners == number].tolist()) for number in range(len(texts))]


def test_runs_are_those_counted_by_hand():
    # " a " gives " a", "a " and " a "; " cat " gives 4 + 3 + 2 + 1.
    assert [len(row) for row in hashes(["a cat", "", "cat"])] == [13, 0, 10]
    assert [runs("a cat", size) for size in (3, 5)] == [[" a ", " ca", "cat", "at "], [" cat "]]


@given(st.lists(st.text(max_size=30), min_size=1, max_size=5))
@settings(max_examples=200, deadline=None)
def test_equal_runs_and_only_these_have_equal_hashes(texts):
    values, owners = character_runs(texts)
    expected = [(run, number) for size in (2, 3, 4, 5) for number, text in enumerate(texts) for run in runs(text, size)]
    assert owners.tolist() == [number for _, number in expected]
    pairs = set(zip(values.tolist(), (run for run, _ in expected), strict=True))
    assert len(pairs) == len({value for value, _ in pairs}) == len({run for _, run in pairs})


def test_a_text_does_not_depend_on_its_neighbours():
    alone = [hashes([text])[0] for text in TEXTS]
    assert hashes(TEXTS) == alone


def test_terms_are_different_pieces_and_runs_in_order(tiny_encoder):
    encoder = tiny_encoder("bert")
    texts = encoder.tokenize(TEXTS)
    found = surface_terms(encoder, texts)
    assert found.values.dtype == torch.int32
    assert len(found) == len(TEXTS)
    special = set(encoder.tokenizer.all_special_ids)
    for row in range(len(TEXTS)):
        terms = found.values[found.offsets[row] : found.offsets[row + 1]].tolist()
        assert terms == sorted(set(terms))
        ids = texts.ids.values[texts.ids.offsets[row] : texts.ids.offsets[row + 1]].tolist()
        assert [term for term in terms if term < FIRST_RUN] == sorted(set(ids) - special)
        shown = encoder.tokenizer.decode(ids, skip_special_tokens=True)
        assert [term for term in terms if term >= FIRST_RUN] == sorted(set(hashes([shown])[0]))


def test_many_texts_are_cut_into_parts_without_a_trace(tiny_encoder):
    encoder = tiny_encoder("roberta")
    many = [TEXTS[number % len(TEXTS)] + f" {number}" for number in range(1100)]
    found = surface_terms(encoder, encoder.tokenize(many))
    parts = join([surface_terms(encoder, encoder.tokenize(many[start : start + 300])) for start in range(0, 1100, 300)])
    assert torch.equal(found.values, parts.values)
    assert torch.equal(found.offsets, parts.offsets)


def test_no_texts_and_no_terms(tiny_encoder):
    encoder = tiny_encoder("bert")
    assert len(surface_terms(encoder, encoder.tokenize([]))) == 0
    assert no_terms(3).lengths.tolist() == [0, 0, 0]
    assert surface_terms(encoder, encoder.tokenize([""])).lengths.tolist() == [0]
