"""Prompts in generative models: where they act, what they leave alone, and many of them in one batch."""

import copy
import dataclasses
import math

import pytest
import torch
from generator_samples import ALL, SPECS, drawn, encoded, example_batch, pair_logits, steered
from tiny_generators import CAUSAL, KEY_WIDTH, SEQ2SEQ, SOURCES
from torch import nn

from continual.backbone.causal import Causal
from continual.backbone.change import Adapter, Affine, Change, LowRank, Prefix
from continual.backbone.generation import Decoding
from continual.backbone.injection import _attention, acting
from continual.backbone.likelihood import token_loss
from continual.backbone.seq2seq import Seq2Seq
from continual.backbone.steering import UNSTEERED, Steering
from continual.tuning import build_tuning
from continual.tuning.base import final_states

CLOSE = {"rtol": 1e-3, "atol": 1e-3}  # logits are some tens
each_family = pytest.mark.parametrize("family", [*SEQ2SEQ, *CAUSAL])
unlike_family = pytest.mark.parametrize("family", ["marian", "t5", "mbart", "gpt2", "llama"])
each_kind = pytest.mark.parametrize("kind", SPECS)
SHORT = Decoding(beams=2, max_new_tokens=6)


def difference(ones, others) -> float:
    return max(float((one - other).abs().max()) for one, other in zip(ones, others, strict=True))


# ---------------------------------------------------------------- every tuning on every family


@each_kind
@unlike_family
def test_a_prompt_changes_every_target_and_gradients_reach_nothing_else(tiny_generator, family, kind):
    backbone = tiny_generator(family)
    tuning = build_tuning(SPECS[kind])
    tensors = {name: value.requires_grad_() for name, value in drawn(tuning, backbone).items()}
    steering = tuning.steering(backbone, tensors)
    ids, mask, targets = example_batch(backbone)
    hidden = backbone.below(ids, mask, steering.entry)
    assert not hidden.requires_grad
    logits = backbone.logits(hidden, mask, targets, steering)
    token_loss(logits, targets).backward()
    for name, value in tensors.items():
        assert value.grad is not None, name
        assert value.grad.abs().sum() > 0, name
    assert all(weight.grad is None and not weight.requires_grad for weight in backbone.model.parameters())
    plain = pair_logits(backbone, UNSTEERED)
    for row in ALL.tolist():
        assert (logits[row][targets[row] != -100] - plain[row]).abs().max() > 0.05


@each_kind
@unlike_family
def test_a_mixed_batch_equals_its_examples_alone(tiny_generator, family, kind):
    backbone = tiny_generator(family)
    seeds = range(len(SOURCES))
    mixed = steered(backbone, kind, seeds)
    logits = pair_logits(backbone, mixed)
    written = backbone.write(SOURCES, SHORT, mixed, batch=3)
    labels = backbone.tokenize_targets(["yes", "no rumour"])
    scores = backbone.label_log_probs(*encoded(backbone), labels, mixed)
    for row, seed in enumerate(seeds):
        own, rows = steered(backbone, kind, [seed]), ALL[row : row + 1]
        torch.testing.assert_close(logits[row], pair_logits(backbone, own, rows)[0], **CLOSE)
        torch.testing.assert_close(
            scores[row], backbone.label_log_probs(*encoded(backbone, rows), labels, own)[0], **CLOSE
        )
        assert backbone.write(SOURCES[row : row + 1], SHORT, own) == [written[row]]


@pytest.mark.parametrize("name", ["input", "deep"])
@each_family
def test_prompts_of_different_lengths_share_a_batch(tiny_generator, family, name):
    backbone = tiny_generator(family)
    tunings = [build_tuning({"name": name, "length": 1 + row}) for row in range(len(SOURCES))]
    prompts = [drawn(tuning, backbone, row) for row, tuning in enumerate(tunings)]
    mixed = tunings[0].steering(backbone, tunings[0].stack(prompts))
    logits, written = pair_logits(backbone, mixed), backbone.write(SOURCES, SHORT, mixed)
    for row, tuning in enumerate(tunings):
        own, rows = tuning.steering(backbone, prompts[row]), ALL[row : row + 1]
        torch.testing.assert_close(logits[row], pair_logits(backbone, own, rows)[0], **CLOSE)
        assert backbone.write(SOURCES[row : row + 1], SHORT, own) == [written[row]]


@each_kind
@unlike_family
def test_what_is_written_greedily_is_what_is_most_probable_under_the_prompt(tiny_generator, family, kind):
    """Generation with its cache against the teacher-forced logits of the very tokens that it wrote."""
    backbone = tiny_generator(family)
    steering = steered(backbone, kind, range(len(SOURCES)))
    ids, mask = encoded(backbone)
    decoding = Decoding(max_new_tokens=5)
    written = backbone.generate(ids, mask, decoding, steering)
    plain = backbone.generate(ids, mask, decoding)
    assert written.shape != plain.shape or not torch.equal(written, plain)
    ends = (written == backbone.tokenizer.eos_token_id).cumsum(1)
    real = (ends - (written == backbone.tokenizer.eos_token_id).long()) == 0
    targets = written.masked_fill(~real, -100)
    if family == "mbart":  # the family finds its start at the end of the target
        start = torch.full((len(ids), 1), backbone.tokenizer.convert_tokens_to_ids("de_DE"))
        targets = torch.cat([written.masked_fill(~real, 5), start], dim=1)
    if isinstance(backbone, Causal):
        from continual.backbone.parallel import moved_together

        ids, mask = torch.cat([ids, written], 1), torch.cat([mask, real], 1)
        ids, mask = moved_together(ids, mask, right=False)
    logits = backbone.logits(backbone.below(ids, mask, steering.entry), mask, targets, steering)
    best = logits[:, : written.shape[1]].argmax(-1)
    assert torch.equal(best[real], written[real])


@each_kind
@unlike_family
def test_steering_is_what_the_tunings_own_layers_do(tiny_generator, family, kind):
    backbone = tiny_generator(family)
    tuning = build_tuning(SPECS[kind])
    tensors = drawn(tuning, backbone)
    ids, mask = encoded(backbone)
    hidden = backbone.below(ids, mask, tuning.entry(backbone))
    states, visible, soft = backbone.read_steered(hidden, mask, tuning.steering(backbone, tensors))
    own = final_states(tuning, backbone, hidden, mask, tensors)
    torch.testing.assert_close(states[:, soft:][mask], own[mask], **CLOSE)
    assert visible.shape[1] == soft + mask.shape[1]


# ---------------------------------------------------------------- changes against changed weights


def weight_of(module) -> torch.Tensor:
    """A linear layer's weight as [inputs, outputs]."""
    return module.weight if type(module).__name__ == "Conv1D" else module.weight.T


@each_family
def test_low_rank_additions_are_additions_to_the_weights(tiny_generator, family):
    backbone = tiny_generator(family)
    generator = torch.Generator().manual_seed(1)
    changes = {}
    changed = type(backbone)(copy.deepcopy(backbone.model), backbone.tokenizer, "changed", 24, 20)
    for layer, (parts, others) in enumerate(zip(backbone.body.blocks, changed.body.blocks, strict=True)):
        pairs = {}
        for name in ("query", "key", "value", "output", "up", "down"):
            linear = getattr(parts, name)
            first = torch.randn(1, linear.in_features, 2, generator=generator) * 0.2
            pairs[name] = LowRank(first, torch.randn(1, 2, linear.out_features, generator=generator) * 0.2)
            other = getattr(others, name)
            columns = slice(other.start, other.start + other.out_features)
            weight_of(other.module)[:, columns] += first[0] @ pairs[name].second[0]
        changes[layer] = Change(low_rank=pairs)
    ours = pair_logits(backbone, Steering(changes=changes))
    assert difference(ours, pair_logits(changed, UNSTEERED)) < 2e-3
    assert difference(ours, pair_logits(backbone, UNSTEERED)) > 0.1
    assert changed.fingerprint != backbone.fingerprint


@each_family
def test_norms_are_the_models_own_with_other_weights(tiny_generator, family):
    backbone = tiny_generator(family)
    generator = torch.Generator().manual_seed(1)
    changed = type(backbone)(copy.deepcopy(backbone.model), backbone.tokenizer, "changed", 24, 20)
    changes = {}
    for layer, parts in enumerate(changed.body.blocks):
        affines = {}
        for which in ("norm1", "norm2"):
            norm = getattr(parts, which)
            gain = 1 + 0.3 * torch.randn(backbone.width, generator=generator)
            bias = torch.zeros(backbone.width)
            norm.weight.data.copy_(gain)
            if getattr(norm, "bias", None) is not None:
                bias = torch.randn(backbone.width, generator=generator)
                norm.bias.data.copy_(bias)
            affines[which] = Affine(gain[None], bias[None])
        changes[layer] = Change(**affines)
    ours = pair_logits(backbone, Steering(changes=changes))
    assert difference(ours, pair_logits(changed, UNSTEERED)) < 1e-3
    twice = Steering(changes=changes).repeat(1)
    stacked = {
        layer: Change(
            norm1=Affine(change.norm1.gain.expand(len(SOURCES), -1), change.norm1.bias.expand(len(SOURCES), -1)),
            norm2=change.norm2,
        )
        for layer, change in twice.changes.items()
    }
    assert difference(ours, pair_logits(backbone, Steering(changes=stacked))) < 1e-3


@pytest.mark.parametrize("family", ["marian", "bart", "mbart", "gpt2"])
def test_an_adapter_of_nothing_but_a_bias_is_a_bias_of_the_layer_before_it(tiny_generator, family):
    backbone = tiny_generator(family)
    width, shift = backbone.width, torch.linspace(-1, 1, backbone.width)
    empty = torch.zeros(1, width, 2), torch.zeros(1, 2), torch.zeros(1, 2, width)
    for adapter, name in (("adapter1", "output"), ("adapter2", "down")):
        changed = type(backbone)(copy.deepcopy(backbone.model), backbone.tokenizer, "changed", 24, 20)
        getattr(changed.body.blocks[1], name).module.bias.data += shift
        ours = pair_logits(backbone, Steering(changes={1: Change(**{adapter: Adapter(*empty, shift[None])})}))
        assert difference(ours, pair_logits(changed, UNSTEERED)) < 1e-3
        assert difference(ours, pair_logits(backbone, UNSTEERED)) > 0.05


# ---------------------------------------------------------------- attention with a prefix, by hand


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_attention_behind_a_prefix_by_hand(causal, masked):
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(2, 4, 3, 5, generator=generator)
    key, value = (torch.randn(2, 2, 3, 5, generator=generator) for _ in range(2))
    keys, values = (torch.randn(2, 2, 10, generator=generator) for _ in range(2))
    bias = torch.randn(1, 4, 3, 3, generator=generator)
    real = torch.tensor([[True, True], [True, False]])
    module = nn.Identity()
    module.is_causal, module.num_key_value_groups, module.continual_site = causal, 2, ("here", 7)
    seen = torch.ones(2, 3, 3, dtype=torch.bool)
    if causal:
        seen = seen.tril()
    mask = None
    if masked:
        seen = seen & torch.tensor([[True, True, True], [True, True, False]])[:, None, :]
        mask = seen[:, None]
    with acting("here", {7: Change(prefix=Prefix(keys, values, real))}):
        ours, _ = _attention(module, query, key, value, mask, bias, scaling=0.7)
    for text in range(2):
        for head in range(4):
            own = head // 2
            all_keys = torch.cat([keys[text].view(2, 2, 5)[:, own], key[text, own]])
            all_values = torch.cat([values[text].view(2, 2, 5)[:, own], value[text, own]])
            for place in range(3):
                scores = []
                for other in range(5):
                    shown = real[text, other] if other < 2 else seen[text, place, other - 2]
                    shift = 0.0 if other < 2 else float(bias[0, head, place, other - 2])
                    score = 0.7 * float(query[text, head, place] @ all_keys[other]) + shift
                    scores.append(math.exp(score) if shown else 0.0)
                expected = sum(score * row for score, row in zip(scores, all_values, strict=True)) / sum(scores)
                torch.testing.assert_close(ours[text, place, head], expected, rtol=1e-4, atol=1e-5)


@each_family
def test_a_prefix_is_as_wide_as_the_keys(tiny_generator, family):
    backbone = tiny_generator(family)
    prefix = drawn(build_tuning(SPECS["deep-1"]), backbone)["prefix"]
    assert prefix.shape == (2, 2, 3, KEY_WIDTH.get(family, backbone.width))


# ---------------------------------------------------------------- where a prompt enters


@pytest.mark.parametrize("layer", [1, 2])
@each_family
def test_soft_tokens_enter_at_any_layer(tiny_generator, family, layer):
    backbone = tiny_generator(family)
    tuning = build_tuning({"name": "late", "layer": layer, "length": 2})
    steering = tuning.steering(backbone, drawn(tuning, backbone))
    assert difference(pair_logits(backbone, steering), pair_logits(backbone, UNSTEERED)) > 0.05
    if isinstance(backbone, Seq2Seq):
        assert backbone.write(SOURCES, SHORT, steering) != backbone.write(SOURCES, SHORT)


@pytest.mark.parametrize("kind", ["deep", "layer_norm", "lora", "compacter"])
@pytest.mark.parametrize("family", SEQ2SEQ)
def test_the_decoder_is_changed_alike(tiny_generator, family, kind):
    backbone = tiny_generator(family)
    tuning = build_tuning(SPECS[kind])
    prompts = [drawn(tuning, backbone.decoder, seed) for seed in range(len(SOURCES))]
    changes = tuning.steering(backbone.decoder, tuning.stack(prompts)).changes
    assert sorted(changes) == list(range(tuning.layer, backbone.decoder.depth))
    mixed = dataclasses.replace(steered(backbone, "input"), decoder=changes)
    logits, written = pair_logits(backbone, mixed), backbone.write(SOURCES, SHORT, mixed)
    assert difference(logits, pair_logits(backbone, steered(backbone, "input"))) > 0.05
    for row, prompt in enumerate(prompts):
        own = tuning.steering(backbone.decoder, prompt).changes
        alone = dataclasses.replace(steered(backbone, "input"), decoder=own)
        rows = ALL[row : row + 1]
        torch.testing.assert_close(logits[row], pair_logits(backbone, alone, rows)[0], **CLOSE)
        assert backbone.write(SOURCES[row : row + 1], SHORT, alone) == [written[row]]


@pytest.mark.parametrize("family", ["marian", "t5", "gpt2"])
def test_what_acts_is_gone_afterwards_and_acts_once(tiny_generator, family):
    backbone = tiny_generator(family)
    before = pair_logits(backbone, UNSTEERED)
    one = pair_logits(backbone, steered(backbone, "lora"))
    assert all(torch.equal(*pair) for pair in zip(before, pair_logits(backbone, UNSTEERED), strict=True))
    again = type(backbone)(backbone.model, backbone.tokenizer, "again", 24, 20)
    assert all(torch.equal(*pair) for pair in zip(one, pair_logits(again, steered(again, "lora")), strict=True))


@pytest.mark.parametrize("family", ["t5", "llama"])
def test_activations_are_seen_and_inputs_perturbed(tiny_generator, family):
    backbone = tiny_generator(family)
    ids, mask = encoded(backbone)
    seen = {}
    with backbone.observing(seen.__setitem__):
        hidden = backbone.run(backbone.embed(ids, mask), mask)
    assert {layer: units.shape for layer, units in seen.items()} == {
        layer: (*ids.shape, backbone.body.blocks[0].down.in_features) for layer in range(backbone.depth)
    }
    perturbed = backbone.perturbed(lambda states: states + 1)
    assert not torch.allclose(perturbed.run(backbone.embed(ids, mask), mask), hidden, atol=1e-3)
    assert torch.equal(backbone.run(backbone.embed(ids, mask), mask), hidden)
