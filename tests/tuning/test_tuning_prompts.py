"""Soft tokens and prefixes: the arithmetic itself, and how they start."""

import pytest
import torch
from tiny_models import DEPTH, TEXTS, WHOLE, WIDTH
from torch.nn import functional as F
from tuning_samples import (
    ALL,
    CLOSE,
    FAMILIES,
    SPECS,
    BlockByHand,
    check_last_layer,
    fresh,
    generator,
    last,
    states,
)

from continual.backbone.states import ComputedStates
from continual.errors import BackboneError
from continual.tuning import build_tuning
from continual.tuning.base import pad_stack


def test_pad_stack_by_hand():
    first, second = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0], [5.0, 6.0]])
    stacked, mask = pad_stack([first, second], axis=0)
    assert stacked.tolist() == [[[1, 2], [0, 0]], [[3, 4], [5, 6]]]
    assert mask.tolist() == [[True, False], [True, True]]
    stacked, mask = pad_stack([second, second], axis=0)
    assert stacked.shape == (2, 2, 2)
    assert mask is None


# ---------------------------------------------------------------- the arithmetic, by hand


@pytest.mark.parametrize("family", FAMILIES)
def test_a_deep_prefix_is_attention_to_given_keys_and_values(tiny_encoder, family):
    encoder = tiny_encoder(family)
    tuning = build_tuning({"name": "deep", "length": 2, "layer": DEPTH - 1})
    prefix = fresh(encoder, tuning)["prefix"]
    assert prefix.shape == (1, 2, 2, WIDTH)
    block, (keys, values) = BlockByHand(encoder.body.blocks[-1]), prefix[0].double()

    def by_hand(place, tokens, bias):
        return block.position(place, tokens, keys, values, bias)

    check_last_layer(encoder, tuning, {"prefix": prefix}, by_hand, prefix=2)


@pytest.mark.parametrize("family", FAMILIES)
def test_late_tokens_are_positions_of_the_layer(tiny_encoder, family):
    encoder = tiny_encoder(family)
    tuning = build_tuning({"name": "late", "length": 2, "layer": DEPTH - 1})
    prompt = fresh(encoder, tuning)["prompt"]
    block = BlockByHand(encoder.body.blocks[-1])

    def by_hand(place, tokens, bias):
        return block.position(2 + place, [*prompt.double(), *tokens], bias=bias)

    check_last_layer(encoder, tuning, {"prompt": prompt}, by_hand, prefix=2)


@pytest.mark.parametrize("family", ["bert", "roberta", "electra"])
def test_an_input_prompt_equals_the_models_own_layers_on_prompt_and_text(tiny_encoder, family):
    encoder, tuning = tiny_encoder(family), build_tuning(SPECS["input"])
    prompt = fresh(encoder, tuning)["prompt"]
    hidden, mask = states(encoder, tuning).batch(ALL)
    whole = torch.cat([prompt.expand(len(ALL), -1, -1), hidden], dim=1)
    seen = F.pad(mask, (4, 0), value=True)[:, None, None, :].expand(-1, -1, whole.shape[1], -1)
    with torch.no_grad():
        expected = encoder.model.encoder(whole, attention_mask=seen).last_hidden_state[:, 4:]
    torch.testing.assert_close(last(encoder, tuning, {"prompt": prompt})[0][mask], expected[mask], **CLOSE)


@pytest.mark.parametrize("family", WHOLE)
def test_an_input_prompt_of_an_unknown_family_equals_embeddings_in_front(tiny_encoder, family):
    encoder, tuning = tiny_encoder(family), build_tuning(SPECS["input"])
    prompt = fresh(encoder, tuning)["prompt"]
    ids, mask, _ = encoder.tokenize(TEXTS).batch(ALL, encoder.pad_token)
    words = encoder.model.get_input_embeddings()(ids)
    whole, seen = torch.cat([prompt.expand(len(ALL), -1, -1), words], dim=1), F.pad(mask, (4, 0), value=True)
    with torch.no_grad():
        expected = encoder.model(inputs_embeds=whole, attention_mask=seen.long()).last_hidden_state[:, 4:]
    torch.testing.assert_close(last(encoder, tuning, {"prompt": prompt})[0][mask], expected[mask], **CLOSE)


def test_input_and_late_at_layer_0_are_one(tiny_encoder):
    encoder = tiny_encoder("bert")
    early, late = build_tuning(SPECS["input"]), build_tuning(SPECS["late-0"])
    tensors = fresh(encoder, early)
    assert torch.equal(last(encoder, early, tensors)[0], last(encoder, late, tensors)[0])


# ---------------------------------------------------------------- fresh prompts


@pytest.mark.parametrize("kind", ["input", "late-1"])
def test_tokens_drawn_from_states_are_states_of_real_tokens(tiny_encoder, kind):
    encoder, tuning = tiny_encoder("bert"), build_tuning(SPECS[kind] | {"length": 64})
    source = states(encoder, tuning)
    prompt = tuning.initial(encoder, source, generator())["prompt"]
    hidden, mask = source.batch(ALL)
    real = hidden[mask]
    nearest = (prompt[:, None] - real[None]).abs().amax(dim=2).min(dim=1)
    assert nearest.values.max() < 1e-5
    assert len(nearest.indices.unique()) > 10


@pytest.mark.parametrize(
    ("spec", "shape"),
    [
        ({"name": "input", "length": 300, "init": "normal", "scale": 2.0}, (300, WIDTH)),
        ({"name": "late", "length": 300, "init": "normal", "scale": 2.0, "layer": 1}, (300, WIDTH)),
        ({"name": "deep", "length": 100, "scale": 2.0, "layer": 1}, (DEPTH - 1, 2, 100, WIDTH)),
    ],
)
def test_normal_entries_have_the_scale_asked_for(tiny_encoder, spec, shape):
    encoder, tuning = tiny_encoder("bert"), build_tuning(spec)
    (value,) = tuning.initial(encoder, states(encoder, tuning), generator()).values()
    assert value.shape == shape
    assert 1.95 < value.std() < 2.05


def test_a_prompt_as_a_list_of_vectors(tiny_encoder):
    encoder = tiny_encoder("bert")
    late, deep = build_tuning(SPECS["late-1"]), build_tuning(SPECS["deep-1"])
    assert late.tokens(fresh(encoder, late)).shape == (4, WIDTH)
    prefix = fresh(encoder, deep)["prefix"]
    tokens = deep.tokens({"prefix": prefix})
    assert tokens.shape == ((DEPTH - 1) * 2 * 4, WIDTH)
    assert torch.equal(tokens[4], prefix[0, 1, 0])


@pytest.mark.parametrize("family", WHOLE)
def test_soft_tokens_that_would_push_the_text_off_the_end_are_refused(tiny_encoder, family):
    encoder = tiny_encoder(family)  # 66 positions, 48 of them for text
    fits, does_not = build_tuning({"name": "input", "length": 18}), build_tuning({"name": "input", "length": 19})
    assert fits.entry(encoder) == 0
    hidden, mask = ComputedStates(encoder, encoder.tokenize(["word " * 99]), 0).batch(torch.tensor([0]))
    assert mask.shape[1] == 48
    *_, hidden = fits.layers(encoder, hidden, mask, fresh(encoder, fits))
    assert hidden.isfinite().all()
    with pytest.raises(BackboneError, match=r"has 66 positions.*set backbone\.max_length=47\.$"):
        does_not.entry(encoder)
