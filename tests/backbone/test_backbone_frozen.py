"""Views of texts by the frozen model, their cache, and readouts."""

import weakref

import pytest
import torch
from tiny_models import DEPTH, TEXTS, WIDTH

from continual.backbone.frozen import FrozenCache, freeze, view_bytes
from continual.backbone.readout import Readout
from continual.backbone.states import ComputedStates, KeptStates
from continual.backbone.texts import EncodedTexts
from continual.errors import ConfigError

ALL = torch.arange(len(TEXTS))
SEEN = Readout(summaries=("pool", "max"), terms=16)


@pytest.fixture(scope="module")
def many() -> list[str]:
    """More texts than one batch holds, of many lengths."""
    words = ("police", "say", "that", "the", "soup", "was", "cold", "and", "nobody", "knows", "why")
    return [" ".join(words[: 1 + number % len(words)]) + "?" * (number % 3) for number in range(150)]


def megabytes(texts: EncodedTexts, readout: Readout, encoder) -> float:
    return view_bytes(encoder, texts, readout) / 1e6


@pytest.mark.parametrize("entry", range(DEPTH + 1))
def test_kept_and_computed_states_agree(tiny_encoder, entry):
    encoder = tiny_encoder("bert")
    texts = encoder.tokenize(TEXTS)
    kept = freeze(encoder, texts, entry, SEEN).states
    computed = freeze(encoder, texts, entry, SEEN, keep_states=False).states
    assert isinstance(kept, KeptStates)
    assert isinstance(computed, ComputedStates)
    assert len(kept) == len(computed) == len(TEXTS)
    assert torch.equal(kept.lengths, computed.lengths)
    for rows in (ALL, torch.tensor([5, 1]), torch.tensor([2, 2])):
        (ours, mask), (theirs, other) = kept.batch(rows), computed.batch(rows)
        assert torch.equal(mask, other)
        torch.testing.assert_close(ours[mask], theirs[mask], rtol=0, atol=1e-5)
        assert not ours[~mask].any()


@pytest.mark.parametrize("entry", range(DEPTH + 1))
def test_a_view_of_states_alone_runs_no_layer_above_them(tiny_encoder, many, monkeypatch, entry):
    encoder = tiny_encoder("bert")
    texts = encoder.tokenize(many)
    whole, stops, run = freeze(encoder, texts, entry, SEEN), [], encoder.run
    monkeypatch.setattr(encoder, "run", lambda *given, **named: stops.append(named["stop"]) or run(*given, **named))
    view = freeze(encoder, texts, entry, Readout("none", terms=0), profiled=False)
    assert max(stops) == entry
    assert torch.equal(view.states.batch(ALL)[0], whole.states.batch(ALL)[0])
    assert (len(view), view.profile.shape, view.features.shape) == (len(many), (0, 2 * WIDTH), (len(many), 0))


def test_views_without_texts(tiny_encoder):
    encoder = tiny_encoder("bert")
    view = freeze(encoder, EncodedTexts.empty(), 1, SEEN)
    assert len(view) == 0
    assert view.features.shape == (0, SEEN.width(encoder))
    assert view.embedding.shape == (0, WIDTH)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_embeddings_are_unit_vectors_of_the_pooled_last_states(tiny_encoder, many, pooling):
    encoder = tiny_encoder("roberta", pooling)
    texts = encoder.tokenize(many)
    view = freeze(encoder, texts, 0, SEEN)
    hidden, mask = ComputedStates(encoder, texts, DEPTH).batch(torch.arange(len(many)))
    for row in (0, 70, 149):
        own = hidden[row][mask[row]]
        vector = own[0] if pooling == "cls" else own.mean(0)
        torch.testing.assert_close(view.embedding[row], vector / vector.norm(), rtol=0, atol=1e-5)


# ---------------------------------------------------------------- the cache


def test_the_same_texts_are_computed_once(tiny_encoder, many):
    encoder = tiny_encoder("bert")
    cache = FrozenCache(encoder)
    texts = encoder.tokenize(many)
    view = cache.view(texts, 1, SEEN)
    assert cache.view(texts, 1, SEEN) is view
    assert cache.view(texts, 2, SEEN) is not view
    assert cache.view(texts, 1, Readout(layers="last")) is not view
    assert cache.view(encoder.tokenize(many), 1, SEEN) is not view
    assert cache.view(texts, 1, SEEN, profiled=False) is not view


def test_bits_are_the_same_whether_kept_dropped_or_never_kept(tiny_encoder, many):
    encoder = tiny_encoder("bert")
    texts, others = encoder.tokenize(many), encoder.tokenize(many[::-1])
    size = megabytes(texts, SEEN, encoder)
    small, none = FrozenCache(encoder, 1.5 * size), FrozenCache(encoder, 0)
    first = small.view(texts, 1, SEEN)
    small.view(others, 1, SEEN)
    again = small.view(texts, 1, SEEN)
    never = none.view(texts, 1, SEEN)
    assert none.space.spilled > 0
    for view in (again, never):
        assert torch.equal(view.features, first.features)
        assert torch.equal(view.embedding, first.embedding)
    rows = torch.tensor([3, 140, 77])
    assert torch.equal(again.states.batch(rows)[0], first.states.batch(rows)[0])


def test_the_least_recently_used_view_goes_first(tiny_encoder, many):
    encoder = tiny_encoder("bert")
    sets = [encoder.tokenize(many) for _ in range(3)]
    cache = FrozenCache(encoder, 2.5 * megabytes(sets[0], SEEN, encoder))
    first, second = (weakref.ref(cache.view(sets[number], 1, SEEN)) for number in (0, 1))
    assert cache.view(sets[0], 1, SEEN) is first()
    cache.view(sets[2], 1, SEEN)
    assert cache.view(sets[0], 1, SEEN) is first()
    assert second() is None
    assert cache.space.spilled == 0


def test_a_view_that_is_worked_with_is_not_dropped_for_nothing(tiny_encoder, many):
    encoder = tiny_encoder("bert")
    sets = [encoder.tokenize(many) for _ in range(3)]
    cache = FrozenCache(encoder, 2.5 * megabytes(sets[0], SEEN, encoder))
    first, second = (cache.view(texts, 1, SEEN) for texts in sets[:2])
    cache.view(sets[2], 1, SEEN)
    assert cache.space.spilled > 0
    assert cache.view(sets[0], 1, SEEN) is first
    assert cache.view(sets[1], 1, SEEN) is second


def test_the_limit_is_respected(tiny_encoder, many):
    encoder = tiny_encoder("bert")
    sets = [encoder.tokenize(many[:count]) for count in (150, 20, 90, 40)]
    limit = 1.2 * megabytes(sets[0], SEEN, encoder)
    cache = FrozenCache(encoder, limit)
    for texts in (*sets, *sets[::-1]):
        view = cache.view(texts, 1, SEEN)
        assert isinstance(view.states, KeptStates)
        held = sum(megabytes(view.texts, view.readout, encoder) for view in cache._kept.values())
        assert held <= limit


def test_what_exceeds_the_limit_alone_is_kept_on_disk_and_drops_nothing_for_nothing(tiny_encoder, many):
    encoder = tiny_encoder("bert")
    small, large = encoder.tokenize(many[:5]), encoder.tokenize(many)
    cache = FrozenCache(encoder, 0.5 * megabytes(large, SEEN, encoder))
    kept = cache.view(small, 1, SEEN)
    spilled = cache.view(large, 1, SEEN)
    assert cache.space.spilled > 0
    assert cache.view(small, 1, SEEN) is kept
    assert cache.view(large, 1, SEEN) is spilled
    plain = freeze(encoder, large, 1, SEEN)
    assert torch.equal(spilled.features, plain.features)
    rows = torch.arange(len(many))
    assert torch.equal(spilled.states.batch(rows)[0], plain.states.batch(rows)[0])


def test_views_of_texts_that_are_done_with_are_dropped(tiny_encoder, many):
    encoder = tiny_encoder("bert")
    cache = FrozenCache(encoder)
    done, other = encoder.tokenize(many), encoder.tokenize(many)
    first, kept = cache.view(done, 1, SEEN), cache.view(other, 1, SEEN)
    cache.drop(done)
    assert cache.view(other, 1, SEEN) is kept
    assert cache.view(done, 1, SEEN) is not first


# ---------------------------------------------------------------- readouts


@pytest.mark.parametrize("entry", range(DEPTH + 1))
def test_features_by_hand(tiny_encoder, entry):
    encoder = tiny_encoder("distilbert")
    texts = encoder.tokenize(TEXTS)
    view = freeze(encoder, texts, entry, SEEN)
    assert SEEN.width(encoder) == (DEPTH + 1) * 2 * WIDTH
    for row in ALL.tolist():
        expected = []
        for layer in range(DEPTH + 1):
            states, _ = ComputedStates(encoder, texts, layer).batch(torch.tensor([row]))
            expected += [states[0].mean(0), states[0].max(0).values]
        torch.testing.assert_close(view.features[row], torch.cat(expected), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("readout", "width"),
    [
        (Readout("last", ("pool",), terms=0), WIDTH),
        (Readout("last", ("pool", "max"), terms=5), 2 * WIDTH),
        (Readout("all", ("max",), terms=0), (DEPTH + 1) * WIDTH),
        (Readout("none", terms=0), 0),
    ],
)
def test_widths(tiny_encoder, readout, width):
    encoder = tiny_encoder("bert")
    view = freeze(encoder, encoder.tokenize(TEXTS), 1, readout)
    assert readout.width(encoder) == width == view.features.shape[1]


def test_the_summaries_ignore_padding(tiny_encoder):
    hidden = torch.tensor([[[-3.0, 2.0], [-1.0, 1.0], [9.0, -9.0]]])
    mask = torch.tensor([[True, True, False]])
    found = Readout(summaries=("max", "pool", "min")).summarise(tiny_encoder("bert"), hidden, mask)
    assert found.tolist() == [[-1.0, 2.0, -2.0, 1.5, -3.0, 1.0]]


def test_readouts_say_what_they_are():
    assert SEEN.spec() == {"layers": "all", "summaries": ["pool", "max"], "terms": 16}
    assert Readout(**Readout("last", ["max"], 3).spec()) == Readout("last", ("max",), 3)
    assert hash(Readout("all", ["pool", "max"], 16)) == hash(SEEN)


@pytest.mark.parametrize(
    "options",
    [{"layers": "some"}, {"summaries": ()}, {"summaries": ("pool", "mean")}, {"summaries": "pool"}, {"terms": -1}],
)
def test_unknown_readouts_are_refused(options):
    with pytest.raises(ConfigError, match=f"readout.{next(iter(options))} is .* expected"):
        Readout(**options)
