"""The block-wise forward of each family against Hugging Face's own."""

import pytest
import torch
from tiny_models import BLOCKWISE, DEPTH, PAIRS, TEXTS, WHOLE

from continual.backbone.states import ComputedStates
from continual.backbone.texts import EncodedTexts

ALL = torch.arange(len(TEXTS))
CLOSE = {"rtol": 0.0, "atol": 1e-5}


def encoded(encoder, paired: bool) -> EncodedTexts:
    return encoder.tokenize(TEXTS, PAIRS if paired else None)


def theirs(encoder, ids, mask, types) -> tuple[torch.Tensor, ...]:
    """States before the first layer and after each by the model's own forward."""
    extra = {} if types is None else {"token_type_ids": types}
    with torch.no_grad():
        return encoder.model(
            input_ids=ids, attention_mask=mask.long(), output_hidden_states=True, **extra
        ).hidden_states


@pytest.mark.parametrize("paired", [False, True], ids=["single", "pair"])
@pytest.mark.parametrize("family", BLOCKWISE)
def test_every_layer_equals_the_models_own(tiny_encoder, family, paired):
    encoder = tiny_encoder(family)
    ids, mask, types = encoded(encoder, paired).batch(ALL, encoder.pad_token)
    expected = theirs(encoder, ids, mask, types)
    assert encoder.depth == DEPTH == len(expected) - 1
    hidden = encoder.embed(ids, mask, types)
    for layer in range(DEPTH + 1):
        if layer:
            hidden = encoder.run(hidden, mask, layer - 1, layer)
        torch.testing.assert_close(hidden[mask], expected[layer][mask], **CLOSE)


@pytest.mark.parametrize("paired", [False, True], ids=["single", "pair"])
@pytest.mark.parametrize("family", WHOLE)
def test_a_family_run_as_a_whole_equals_the_models_own(tiny_encoder, family, paired):
    encoder = tiny_encoder(family)
    ids, mask, types = encoded(encoder, paired).batch(ALL, encoder.pad_token)
    hidden = encoder.run(encoder.embed(ids, mask, types), mask)
    torch.testing.assert_close(hidden[mask], theirs(encoder, ids, mask, types)[-1][mask], **CLOSE)


@pytest.mark.parametrize("family", ["bert", "electra", "albert"])
def test_segments_matter_where_the_family_has_them(tiny_encoder, family):
    encoder = tiny_encoder(family)
    ids, mask, types = encoded(encoder, paired=True).batch(ALL, encoder.pad_token)
    assert types is not None
    with_types = encoder.run(encoder.embed(ids, mask, types), mask)
    without = encoder.run(encoder.embed(ids, mask), mask)
    assert (with_types - without)[mask].abs().max() > 0.1


@pytest.mark.parametrize("family", ["roberta", "mpnet", "distilbert"])
def test_families_without_segments_get_none(tiny_encoder, family):
    assert encoded(tiny_encoder(family), paired=True).types is None


@pytest.mark.parametrize("stop", range(DEPTH + 1))
@pytest.mark.parametrize("family", BLOCKWISE)
def test_two_halves_equal_the_whole_bit_for_bit(tiny_encoder, family, stop):
    encoder = tiny_encoder(family)
    ids, mask, _ = encoded(encoder, paired=False).batch(ALL, encoder.pad_token)
    hidden = encoder.embed(ids, mask)
    halves = encoder.run(encoder.run(hidden, mask, stop=stop), mask, start=stop)
    assert torch.equal(halves, encoder.run(hidden, mask))


@pytest.mark.parametrize("family", [*BLOCKWISE, *WHOLE])
def test_padding_changes_nothing(tiny_encoder, family):
    encoder = tiny_encoder(family)
    texts = encoded(encoder, paired=False)
    together, mask = ComputedStates(encoder, texts, encoder.depth).batch(ALL)
    for row in ALL.tolist():
        alone, _ = ComputedStates(encoder, texts, encoder.depth).batch(torch.tensor([row]))
        torch.testing.assert_close(together[row][mask[row]], alone[0], **CLOSE)
    pooled = encoder.pool(together, mask)
    torch.testing.assert_close(pooled[0], encoder.pool(together[:1, : mask[0].sum()], mask[:1, : mask[0].sum()])[0])


@pytest.mark.parametrize("family", [*BLOCKWISE, *WHOLE])
def test_weights_are_frozen_but_gradients_pass_through(tiny_encoder, family):
    encoder = tiny_encoder(family)
    assert not encoder.model.training
    ids, mask, _ = encoded(encoder, paired=False).batch(ALL, encoder.pad_token)
    hidden = encoder.embed(ids, mask).requires_grad_()
    encoder.run(hidden, mask).square().sum().backward()
    assert hidden.grad[mask].abs().sum(dim=1).gt(0).all()
    assert all(not weight.requires_grad and weight.grad is None for weight in encoder.model.parameters())


@pytest.mark.parametrize("family", BLOCKWISE)
def test_the_observer_sees_the_feed_forward_units_of_each_layer(tiny_encoder, family):
    """Against a forward hook on the module that holds the activation's input."""
    encoder = tiny_encoder(family)
    ids, mask, _ = encoded(encoder, paired=False).batch(ALL, encoder.pad_token)
    ours: dict[int, torch.Tensor] = {}
    with encoder.observing(ours.__setitem__):
        hidden = encoder.run(encoder.embed(ids, mask), mask)
    assert sorted(ours) == list(range(DEPTH))
    quiet = len(ours)
    encoder.run(hidden, mask)
    assert len(ours) == quiet
    assert encoder.body.observer is None

    raw: list[torch.Tensor] = []
    hooks = [
        module.register_forward_hook(lambda module, args, output: raw.append(output))
        for name, module in encoder.model.named_modules()
        if name.endswith(("intermediate.dense", "ffn.lin1"))
    ]
    try:
        theirs(encoder, ids, mask, None)
    finally:
        for hook in hooks:
            hook.remove()
    for layer in range(DEPTH):
        torch.testing.assert_close(ours[layer][mask], torch.nn.functional.gelu(raw[layer])[mask], **CLOSE)


def test_the_observer_is_removed_when_something_fails(tiny_encoder):
    encoder = tiny_encoder("bert")
    with pytest.raises(ZeroDivisionError), encoder.observing(lambda layer, units: None):
        raise ZeroDivisionError
    assert encoder.body.observer is None


def test_minilm_gives_the_published_embeddings(minilm):
    """Similarities that Hugging Face documents for this model and these sentences."""
    sentences = ["That is a happy person", "That is a happy dog", "That is a very happy person", "Today is a sunny day"]
    states = ComputedStates(minilm, minilm.tokenize(sentences), minilm.depth)
    vectors = torch.nn.functional.normalize(minilm.pool(*states.batch(torch.arange(4))), dim=1)
    assert (minilm.width, minilm.depth) == (384, 6)
    torch.testing.assert_close(vectors[0] @ vectors[1:].T, torch.tensor([0.6946, 0.9429, 0.2569]), rtol=0, atol=1e-4)
