"""Ragged storage, batching by length, and tokenising whatever people write."""

import time

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import BLOCKWISE, POSITIONS, WHOLE

from continual.backbone.states import ComputedStates
from continual.backbone.texts import EncodedTexts, Ragged, by_length

token_rows = st.lists(st.lists(st.integers(0, 99), max_size=9), min_size=1, max_size=12)


@given(token_rows, st.data())
def test_a_batch_of_ragged_rows_gives_back_the_rows(rows, data):
    ragged = EncodedTexts.from_lists(rows, None).ids
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=8))
    values, mask = ragged.batch(torch.tensor(chosen), fill=-1)
    assert ragged.lengths.tolist() == [len(row) for row in rows]
    assert values.shape == mask.shape == (len(chosen), max(len(rows[row]) for row in chosen))
    for place, row in enumerate(chosen):
        assert values[place][mask[place]].tolist() == rows[row]
        assert mask[place].tolist() == sorted(mask[place].tolist(), reverse=True)
    assert bool((values[~mask] == -1).all())


@given(token_rows)
def test_vectors_are_padded_with_zeros(rows):
    ids = EncodedTexts.from_lists(rows, None).ids
    vectors = torch.stack([ids.values.float(), -ids.values.float()], dim=1)
    values, mask = Ragged(vectors, ids.offsets).batch(torch.arange(len(rows)))
    assert values.shape == (*mask.shape, 2)
    assert torch.equal(values[mask], vectors)
    assert not values[~mask].any()


@given(token_rows)
def test_segments_follow_their_tokens(rows):
    types = [[token % 2 for token in row] for row in rows]
    texts = EncodedTexts.from_lists(rows, types)
    ids, mask, segments = texts.batch(torch.arange(len(rows)), pad=7)
    assert torch.equal(segments[mask], ids[mask] % 2)
    assert len(texts) == len(rows)


@pytest.mark.parametrize("texts", [EncodedTexts.empty(), EncodedTexts.from_lists([], None)])
def test_no_texts_are_fine(texts):
    assert len(texts) == 0
    ids, mask, types = texts.batch(torch.zeros(0, dtype=torch.long), 0)
    assert ids.shape == mask.shape == (0, 0)
    assert types is None
    assert by_length(texts.ids.lengths, 4) == []


@given(st.lists(st.integers(0, 20), max_size=60), st.integers(1, 16))
def test_batches_by_length_are_a_sorted_partition_that_depends_on_lengths_alone(lengths, size):
    lengths = torch.tensor(lengths, dtype=torch.long)
    batches = by_length(lengths, size)
    rows = torch.cat(batches).tolist() if batches else []
    assert sorted(rows) == list(range(len(lengths)))
    assert lengths[rows].tolist() == sorted(lengths.tolist())
    assert all(len(batch) == size for batch in batches[:-1])
    assert all(0 < len(batch) <= size for batch in batches)
    assert [batch.tolist() for batch in by_length(lengths.clone(), size)] == [batch.tolist() for batch in batches]


def test_rows_of_one_length_keep_their_order():
    assert torch.cat(by_length(torch.tensor([3, 1, 3, 1, 3]), 2)).tolist() == [1, 3, 0, 2, 4]


# ---------------------------------------------------------------- tokenising

AWKWARD = {
    "empty": "",
    "blank": " \t\n",
    "NUL": "a\x00b\x00",
    "emoji": "🤖👩‍👩‍👧‍👦🇩🇪" * 3,
    "scripts": "한국어 العربية 日本語 ελληνικά",
    "half a surrogate pair": "lost \ud83d half",
    "special tokens": "[CLS] </s> <pad> [SEP] <mask>",
    "direction marks": "\u202eevil\u202c \u200b\ufeff",
    "one endless word": "a" * 1_000_000,
    "a megabyte": "Police said so. " * 65_536,
}


@pytest.mark.parametrize("text", AWKWARD.values(), ids=AWKWARD.keys())
@pytest.mark.parametrize("family", ["bert", "roberta", "xlm-roberta", "mpnet"])
def test_awkward_texts_are_tokenised_and_encoded(tiny_encoder, family, text):
    encoder = tiny_encoder(family)
    texts = encoder.tokenize([text, "short"], [text, text])
    assert texts.ids.lengths.max() <= encoder.max_length
    assert texts.ids.lengths.min() >= 2
    hidden, mask = ComputedStates(encoder, texts, encoder.depth).batch(torch.tensor([0, 1]))
    assert bool(encoder.pool(hidden, mask).isfinite().all())


def test_a_megabyte_is_fast(tiny_encoder):
    encoder = tiny_encoder("bert")
    encoder.tokenize(["warm"])
    long = [AWKWARD["a megabyte"], AWKWARD["one endless word"]]
    started = time.process_time()
    encoder.tokenize(long)
    encoder.tokenize(long, long)
    assert time.process_time() - started < 0.5


def test_cutting_early_loses_nothing(tiny_encoder):
    """Characters are cut before tokenising; the tokens are those of the whole text, cut afterwards."""
    encoder = tiny_encoder("bert")
    text = "The minister denied that the document was genuine. " * 500
    whole = encoder.tokenizer(text, truncation=True, max_length=encoder.max_length, verbose=False)["input_ids"]
    assert encoder.tokenize([text]).ids.values.tolist() == whole


def test_halves_of_surrogate_pairs_are_joined_or_replaced(tiny_encoder):
    encoder = tiny_encoder("roberta")
    joined, plain, half, replaced = (
        encoder.tokenize([text]).ids.values.tolist() for text in ("\ud83d\ude00", "😀", "\ud83d", "\ufffd")
    )
    assert joined == plain != half == replaced


@pytest.mark.parametrize("family", [*BLOCKWISE, *WHOLE])
def test_texts_fill_every_position_of_the_model(tiny_folder, family):
    """RoBERTa and its kin reserve two positions; one token too many would fail in the embedding."""
    from continual.backbone.catalog import hub

    encoder = hub(path=str(tiny_folder(family)), max_length=10_000)
    reserved = 2 if family in ("roberta", "xlm-roberta", "camembert", "mpnet") else 0
    assert encoder.max_length == encoder.positions == POSITIONS - reserved
    texts = encoder.tokenize(["word " * 500])
    assert texts.ids.lengths.tolist() == [POSITIONS - reserved]
    assert ComputedStates(encoder, texts, encoder.depth).batch(torch.tensor([0]))[0].isfinite().all()
