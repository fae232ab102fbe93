"""Signatures against an independent computation through Hugging Face's own forward."""

import pytest
import torch
from tiny_models import BLOCKWISE, DEPTH, INNER, WHOLE, WIDTH

from continual.transfer.metrics import activated_neurons
from continual.transfer.probe import PROBE_TEXTS
from continual.transfer.signature import Prober, signature_tensors, stored_signature
from continual.tuning import build_tuning

KEYS = torch.eye(2, WIDTH)
EXTRA = {"late": {"layer": 1}}


def fresh(encoder, tuning, seed=0):
    return tuning.initial(encoder, None, torch.Generator().manual_seed(seed))


@torch.no_grad()
def mean_state(encoder, prompt: torch.Tensor) -> torch.Tensor:
    """Mean over the probe of mean-pooled last states, text by text, with a prompt in front of the embeddings."""
    total = torch.zeros(WIDTH)
    for text in PROBE_TEXTS:
        ids = encoder.tokenizer(text, truncation=True, max_length=encoder.max_length, return_tensors="pt")["input_ids"]
        whole = torch.cat([prompt[None], encoder.model.embeddings(input_ids=ids)], dim=1)
        total += encoder.model.encoder(whole).last_hidden_state[0, len(prompt) :].mean(0)
    return total / len(PROBE_TEXTS)


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_state_and_shift_are_means_over_the_probe(tiny_encoder, family):
    encoder = tiny_encoder(family)
    tuning = build_tuning({"name": "input", "length": 3, "init": "normal"})
    tensors, initial = fresh(encoder, tuning), fresh(encoder, tuning, 1)
    found = Prober(encoder).signature(tuning, tensors, initial, KEYS)
    state, before = mean_state(encoder, tensors["prompt"]), mean_state(encoder, initial["prompt"])
    torch.testing.assert_close(found.state, state, rtol=0, atol=1e-5)
    torch.testing.assert_close(found.shift, state - before, rtol=0, atol=1e-5)
    assert found.shift.norm() > 0.1
    assert torch.equal(found.tokens, tensors["prompt"])
    assert torch.equal(found.keys, KEYS)


def test_a_new_version_is_measured_from_where_the_old_one_started(tiny_encoder):
    encoder = tiny_encoder("bert")
    tuning = build_tuning({"name": "input", "length": 3, "init": "normal"})
    initial, old, new = (fresh(encoder, tuning, seed) for seed in range(3))
    prober = Prober(encoder)
    before = prober.signature(tuning, old, initial, KEYS)
    renewed, whole = prober.renewed(before, tuning, new), prober.signature(tuning, new, initial, KEYS)
    for name in ("tokens", "shift", "state", "neurons", "keys"):
        torch.testing.assert_close(getattr(renewed, name), getattr(whole, name), rtol=0, atol=1e-5)


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_neurons_are_those_that_hooks_on_the_model_see(tiny_encoder, family):
    """Prompt and one special token; the units above zero at that token's position, in all layers."""
    encoder = tiny_encoder(family)
    tuning = build_tuning({"name": "input", "length": 3, "init": "normal"})
    prompt = fresh(encoder, tuning)["prompt"]
    seen: list[torch.Tensor] = []
    hooks = [
        layer.intermediate.register_forward_hook(lambda module, args, output: seen.append(output[0, -1] > 0))
        for layer in encoder.model.encoder.layer
    ]
    token = torch.tensor([[encoder.tokenizer.convert_tokens_to_ids({"bert": "[CLS]", "roberta": "<s>"}[family])]])
    try:
        with torch.no_grad():
            encoder.model.encoder(torch.cat([prompt[None], encoder.model.embeddings(input_ids=token)], dim=1))
    finally:
        for hook in hooks:
            hook.remove()
    found = Prober(encoder).signature(tuning, {"prompt": prompt}, {"prompt": prompt}, KEYS).neurons
    assert found.shape == (DEPTH * INNER,)
    assert found.tolist() == torch.cat(seen).tolist()
    assert 0 < found.sum() < len(found)


@pytest.mark.parametrize("name", ["late", "deep"])
@pytest.mark.parametrize("layer", range(DEPTH))
@pytest.mark.parametrize("family", BLOCKWISE)
def test_only_layers_that_the_prompt_touches_count(tiny_encoder, family, layer, name):
    encoder = tiny_encoder(family)
    tuning = build_tuning({"name": name, "length": 3, "layer": layer, "scale": 3.0})
    prober = Prober(encoder)
    first, second = (
        prober.signature(tuning, fresh(encoder, tuning, seed), fresh(encoder, tuning, 2), KEYS) for seed in (0, 1)
    )
    assert first.neurons.shape == ((DEPTH - layer) * INNER,)
    assert set(first.neurons.unique().tolist()) == {0.0, 1.0}
    assert not torch.equal(first.neurons, second.neurons)
    assert 0 < activated_neurons(first, second) < 1


@pytest.mark.parametrize("family", WHOLE)
def test_a_family_run_as_a_whole_has_no_visible_neurons(tiny_encoder, family):
    encoder = tiny_encoder(family)
    tuning = build_tuning({"name": "input", "length": 3})
    prober = Prober(encoder)
    found = prober.signature(tuning, fresh(encoder, tuning), fresh(encoder, tuning, 1), KEYS)
    assert found.neurons.shape == (0,)
    assert activated_neurons(found, found) != activated_neurons(found, found)  # NaN: the metric does not apply
    assert found.shift.norm() > 0.1


@pytest.mark.parametrize("name", ["input", "late", "deep"])
def test_a_prompt_that_learned_nothing_has_no_shift(tiny_encoder, name):
    encoder, tuning = tiny_encoder("bert"), build_tuning({"name": name, "length": 3} | EXTRA.get(name, {}))
    tensors = fresh(encoder, tuning)
    found = Prober(encoder).signature(tuning, tensors, tensors, KEYS)
    assert not found.shift.any()
    assert found.state.norm() > 0.1


def test_signatures_are_deterministic_and_depend_on_the_prompt(tiny_encoder):
    encoder = tiny_encoder("mpnet")
    tuning = build_tuning({"name": "late", "length": 3, "layer": 1})
    initial = fresh(encoder, tuning, 2)
    once, again, other = (
        Prober(encoder).signature(tuning, fresh(encoder, tuning, seed), initial, KEYS) for seed in (0, 0, 1)
    )
    assert torch.equal(once.shift, again.shift)
    assert not torch.equal(once.shift, other.shift)


@pytest.mark.parametrize(
    "spec", [{"name": "input", "length": 3}, {"name": "late", "length": 3, "layer": 1}, {"name": "deep", "length": 2}]
)
def test_a_stored_signature_is_the_one_that_was_made(tiny_encoder, spec):
    encoder, tuning = tiny_encoder("bert"), build_tuning(spec)
    tensors = fresh(encoder, tuning)
    made = Prober(encoder).signature(tuning, tensors, fresh(encoder, tuning, 1), KEYS)
    stored = {f"tuning.{name}": value for name, value in tensors.items()} | {"keys": KEYS, "head.bias": torch.zeros(2)}
    read = stored_signature(tuning, tensors, stored | signature_tensors(made))
    for name in ("tokens", "shift", "state", "keys"):
        assert torch.equal(getattr(read, name), getattr(made, name))
    assert read.neurons.dtype == torch.uint8
    assert torch.equal(read.neurons.float(), made.neurons)
