"""What every kind of tuning must do on every family: gradients, mixed batches, starts, specs and refusals."""

import pytest
import torch
from tiny_models import BLOCKWISE, DEPTH, TEXTS, WHOLE, WIDTH
from tuning_samples import ALL, CLOSE, COMBINATIONS, LAYERED, SPECS, fresh, generator, last, learned, states

from continual.backbone.change import LINEAR
from continual.backbone.frozen import freeze
from continual.backbone.readout import Readout
from continual.errors import BackboneError, ConfigError
from continual.training.model import PromptModel
from continual.tuning import TUNINGS, build_tuning

PLAIN = Readout(terms=0)
each_combination = pytest.mark.parametrize(("family", "kind"), COMBINATIONS)
each_kind = pytest.mark.parametrize("kind", SPECS)


def test_every_registered_tuning_is_tested_here():
    assert {spec["name"] for spec in SPECS.values()} == set(TUNINGS.names())
    assert {SPECS[kind]["name"] for _, kind in COMBINATIONS} == set(TUNINGS.names())


@pytest.mark.parametrize("entry", TUNINGS.values(), ids=lambda entry: entry.name)
def test_every_tuning_is_explained_and_cites_its_paper(entry):
    assert entry.load().name == entry.name
    assert entry.help
    assert "arXiv" in entry.paper


@each_combination
def test_the_gradient_reaches_every_trained_vector_and_nothing_else(tiny_encoder, family, kind):
    encoder, tuning = tiny_encoder(family), build_tuning(SPECS[kind])
    tensors = {name: value.requires_grad_() for name, value in learned(encoder, tuning).items()}
    hidden, mask = last(encoder, tuning, tensors)
    (hidden[mask] * torch.randn(int(mask.sum()), WIDTH, generator=generator(1))).sum().backward()
    for name, value in tensors.items():
        assert value.grad.isfinite().all(), name
        assert value.grad.flatten(0, -2).abs().sum(dim=1).gt(0).all(), name
    assert all(weight.grad is None for weight in encoder.model.parameters())


@each_combination
def test_the_output_follows_the_prompt(tiny_encoder, family, kind):
    encoder, tuning = tiny_encoder(family), build_tuning(SPECS[kind])
    (first, mask), (second, _) = (last(encoder, tuning, learned(encoder, tuning, seed)) for seed in (0, 1))
    assert (first - second)[mask].abs().max() > 1e-2


@each_combination
def test_each_trained_tensor_has_a_say(tiny_encoder, family, kind):
    encoder, tuning = tiny_encoder(family), build_tuning(SPECS[kind])
    tensors, others = learned(encoder, tuning), learned(encoder, tuning, seed=1)
    before, mask = last(encoder, tuning, tensors)
    for name, value in others.items():
        after, _ = last(encoder, tuning, tensors | {name: value})
        assert (after - before)[mask].abs().max() > 1e-4, name


@each_combination
def test_padding_changes_nothing_under_a_prompt(tiny_encoder, family, kind):
    encoder, tuning = tiny_encoder(family), build_tuning(SPECS[kind])
    tensors = learned(encoder, tuning)
    together, mask = last(encoder, tuning, tensors)
    for row in ALL.tolist():
        alone, _ = last(encoder, tuning, tensors, torch.tensor([row]))
        torch.testing.assert_close(together[row][mask[row]], alone[0], **CLOSE)


# A model that is run as a whole counts positions from the longest prompt of the batch, so there lengths must agree.
MIXTURES = [(*combination, None) for combination in COMBINATIONS]
MIXTURES += [
    (family, kind, (1, 6, 3)) for family, kind in COMBINATIONS if family in BLOCKWISE and "length" in SPECS[kind]
]


@pytest.mark.parametrize(("family", "kind", "lengths"), MIXTURES)
def test_a_mixed_batch_equals_one_by_one(tiny_encoder, family, kind, lengths):
    encoder = tiny_encoder(family)
    specs = [SPECS[kind] | ({"length": length} if length else {}) for length in lengths or (None, None, None)]
    shapes = [build_tuning(spec) for spec in specs]
    prompts = [learned(encoder, tuning, seed) for seed, tuning in enumerate(shapes)]
    rows = torch.arange(3)
    mixed, mask = last(encoder, shapes[0], shapes[0].stack(prompts), rows)
    for row in rows.tolist():
        alone, _ = last(encoder, shapes[row], prompts[row], rows[row : row + 1])
        torch.testing.assert_close(mixed[row][mask[row]], alone[0], rtol=1e-5, atol=1e-5)


@each_combination
def test_a_stack_of_one_serves_a_whole_batch(tiny_encoder, family, kind):
    encoder, tuning = tiny_encoder(family), build_tuning(SPECS[kind])
    tensors = learned(encoder, tuning)
    assert torch.equal(last(encoder, tuning, tuning.stack([tensors]))[0], last(encoder, tuning, tensors)[0])


SHAPES = [
    ({"name": "lora", "rank": 2}, {"name": "lora", "rank": 3}, r"tuning=lora .* query_a is \(3, 32, 2\) in one and"),
    ({"name": "lora"}, {"name": "lora", "targets": ["query"]}, r"value_a is \(3, 32, 8\) in one and missing in"),
    ({"name": "layer_norm"}, {"name": "layer_norm", "norms": "attention"}, r"gains is \(3, 2, 32\) in one and \(3, 1,"),
    (
        {"name": "prefix_layer_norm"},
        {"name": "prefix_layer_norm", "parts": "biases"},
        r"tuning=prefix_layer_norm .* gains is \(3, 2, 32\) in one and missing in another; give their texts",
    ),
    ({"name": "compacter", "reduction": 4}, {"name": "compacter", "reduction": 8}, r"tuning=compacter .* down_t is"),
]


@pytest.mark.parametrize(("one", "other", "message"), SHAPES)
def test_prompts_of_different_shapes_are_refused_in_one_batch(tiny_encoder, one, other, message):
    encoder = tiny_encoder("bert")
    first, second = build_tuning(one), build_tuning(other)
    with pytest.raises(ConfigError, match=message):
        first.stack([fresh(encoder, first), fresh(encoder, second)])


@each_combination
def test_features_are_the_same_with_and_without_kept_lower_layers(tiny_encoder, family, kind):
    encoder, tuning = tiny_encoder(family), build_tuning(SPECS[kind])
    texts, entry = encoder.tokenize(TEXTS), tuning.entry(encoder)
    kept, computed = (freeze(encoder, texts, entry, PLAIN, keep_states=keep) for keep in (True, False))
    model = PromptModel.begin(encoder, tuning, fresh(encoder, tuning), 2, kept)
    torch.testing.assert_close(model.all_features(kept), model.all_features(computed), rtol=0, atol=1e-3)
    # And both are what running everything from the token ids gives.
    hidden, mask = last(encoder, tuning, fresh(encoder, tuning))
    found = model.all_features(kept) * model.scaling.scale + model.scaling.mean
    torch.testing.assert_close(found, encoder.pool(hidden, mask), rtol=0, atol=1e-4)


# ---------------------------------------------------------------- starts


@each_kind
def test_a_fresh_prompt_depends_on_the_generator_alone(tiny_encoder, kind):
    encoder, tuning = tiny_encoder("bert"), build_tuning(SPECS[kind])
    source = states(encoder, tuning)
    torch.manual_seed(1)
    first = tuning.initial(encoder, source, generator(5))
    torch.manual_seed(2)
    again, other = tuning.initial(encoder, source, generator(5)), tuning.initial(encoder, source, generator(6))
    given = ("gains", "biases", "down_bias", "up_bias")  # by the backbone, or zero
    for name, value in first.items():
        assert torch.equal(value, again[name])
        assert torch.equal(value, other[name]) == (name in given or name.endswith("_b")), name


@pytest.mark.parametrize("kind", [kind for kind in SPECS if SPECS[kind]["name"] in ("layer_norm", "lora")])
@pytest.mark.parametrize("family", ["bert", "mpnet", "distilbert"])
def test_at_the_start_nothing_is_changed_bit_for_bit(tiny_encoder, family, kind):
    encoder, tuning = tiny_encoder(family), build_tuning(SPECS[kind])
    hidden, mask = states(encoder, tuning).batch(ALL)
    expected = encoder.run(hidden, mask, tuning.entry(encoder))
    assert torch.equal(last(encoder, tuning, fresh(encoder, tuning))[0], expected)


@pytest.mark.parametrize("kind", [kind for kind in SPECS if "compacter" in SPECS[kind]["name"]])
@pytest.mark.parametrize("family", ["bert", "mpnet", "distilbert"])
def test_a_fresh_compacter_changes_next_to_nothing(tiny_encoder, family, kind):
    encoder, tuning = tiny_encoder(family), build_tuning(SPECS[kind])
    hidden, mask = states(encoder, tuning).batch(ALL)
    expected = encoder.run(hidden, mask, tuning.entry(encoder))
    torch.testing.assert_close(last(encoder, tuning, fresh(encoder, tuning))[0], expected, rtol=0, atol=1e-5)


@each_kind
def test_a_prompt_as_a_list_of_vectors(tiny_encoder, kind):
    encoder, tuning = tiny_encoder("bert"), build_tuning(SPECS[kind])
    tokens = tuning.tokens(fresh(encoder, tuning))
    if "length" not in SPECS[kind]:
        assert tokens.numel() == 0
        return
    layers = DEPTH - tuning.entry(encoder)
    assert tokens.shape == (4 if SPECS[kind]["name"] in ("input", "late") else layers * 2 * 4, WIDTH)


@each_kind
def test_every_trained_tensor_has_a_pace(tiny_encoder, kind):
    encoder, tuning = tiny_encoder("bert"), build_tuning(SPECS[kind])
    assert all(tuning.pace(name) > 0 for name in fresh(encoder, tuning))


# ---------------------------------------------------------------- specs and refusals


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS.keys())
def test_a_spec_rebuilds_its_tuning(spec):
    tuning = build_tuning(spec)
    assert tuning.spec() == build_tuning(tuning.spec()).spec()
    assert spec.items() <= tuning.spec().items()
    assert tuning.spec()["name"] == tuning.name
    assert type(tuning) is TUNINGS.load(spec["name"])


@pytest.mark.parametrize("family", WHOLE)
@pytest.mark.parametrize("kind", LAYERED)
def test_an_unknown_family_takes_prompts_at_the_input_only(tiny_encoder, family, kind):
    with pytest.raises(BackboneError, match="use tuning=input"):
        build_tuning(SPECS[kind]).entry(tiny_encoder(family))


@pytest.mark.parametrize("family", WHOLE)
def test_an_unknown_family_refuses_changes_whoever_asks(tiny_encoder, family):
    encoder = tiny_encoder(family)
    hidden, mask = states(encoder, build_tuning(SPECS["input"])).batch(ALL)
    with pytest.raises(BackboneError, match=f"family '{family}' is run as a whole.*use tuning=input"):
        encoder.run(hidden, mask, changes={})


@pytest.mark.parametrize("name", [name for name in TUNINGS.names() if name != "input"])
def test_a_layer_that_is_not_there_is_refused(tiny_encoder, name):
    tuning = build_tuning({"name": name, "layer": DEPTH})
    with pytest.raises(BackboneError, match=rf"tuning\.layer is {DEPTH}, but .* 0 to {DEPTH - 1}"):
        tuning.entry(tiny_encoder("bert"))


@pytest.mark.parametrize(
    ("options", "found"),
    [({"phm_dim": 5}, "phm_dim=5"), ({"reduction": 16}, "// tuning.reduction=16 = 2"), ({"reduction": 33}, "= 0;")],
)
@pytest.mark.parametrize("name", ["compacter", "compacter_pp"])
def test_widths_that_do_not_divide_are_refused(tiny_encoder, name, options, found):
    tuning = build_tuning({"name": name, "reduction": 4} | options)
    with pytest.raises(BackboneError, match=r"must divide the width 32 of the backbone .*; change one of them") as info:
        tuning.entry(tiny_encoder("bert"))
    assert found in str(info.value)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"name": "input", "length": 0}, r"tuning\.length is 0"),
        ({"name": "late", "layer": -1}, r"tuning\.layer is -1"),
        ({"name": "deep", "length": 0}, r"tuning\.length is 0"),
        ({"name": "deep", "layer": -1}, r"tuning\.layer is -1"),
        ({"name": "late", "init": "zeros"}, r"tuning\.init is 'zeros', expected states or normal"),
        ({"name": "late", "length": "many"}, r"tuning\.length is 'many', expected a whole number"),
        ({"name": "late", "length": 4.5}, r"tuning\.length is 4\.5, expected a whole number"),
        ({"name": "late", "lenght": 4}, r"tuning\.lenght \(did you mean 'length'\?\)"),
        ({"name": "input", "layer": 1}, r"has no option tuning\.layer"),
        ({"name": "lat"}, r"no tuning named 'lat' \(did you mean 'late'\?\)"),
        ({}, "no tuning named ''"),
        ({"name": "layer_norm", "layer": -1}, r"tuning\.layer is -1, expected 0 or more"),
        ({"name": "layer_norm", "norms": "all"}, r"norms is 'all', expected one of both, attention, feed_forward"),
        ({"name": "layer_norm", "parts": "gain"}, r"parts is 'gain', expected one of both, gains, biases"),
        ({"name": "prefix_layer_norm", "length": 0}, r"tuning\.length is 0"),
        ({"name": "prefix_layer_norm", "parts": ""}, r"parts is '', expected one of both, gains, biases"),
        ({"name": "lora", "rank": 0}, r"tuning\.rank is 0, expected 1 or more"),
        ({"name": "lora", "alpha": float("nan")}, r"tuning\.alpha is nan"),
        ({"name": "lora", "targets": []}, rf"targets is \[\], expected different ones of {', '.join(LINEAR)}"),
        ({"name": "lora", "targets": ["query", "q"]}, r"targets is \['query', 'q'\]"),
        ({"name": "lora", "targets": ["up", "up"]}, r"targets is \['up', 'up'\]"),
        ({"name": "lora", "targets": [["up"]]}, r"targets is \[\['up'\]\]"),
        ({"name": "lora", "targets": 7}, r"targets is \['7'\]"),
        ({"name": "compacter", "reduction": 0}, r"tuning\.reduction is 0, expected 1 or more"),
        ({"name": "compacter_pp", "phm_dim": 0}, r"tuning\.phm_dim is 0"),
        ({"name": "compacter", "layer_norms": "yes"}, r"layer_norms is 'yes', expected true or false"),
    ],
)
def test_bad_specs_are_refused(spec, message):
    with pytest.raises(ConfigError, match=message):
        build_tuning(spec)
