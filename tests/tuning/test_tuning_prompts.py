"""Every kind of prompt on every family: gradients, mixed batches, and the arithmetic itself."""

import math

import pytest
import torch
from tiny_models import BLOCKWISE, DEPTH, HEADS, TEXTS, WHOLE, WIDTH
from torch.nn import functional as F

from continual.backbone.frozen import freeze
from continual.backbone.readout import Readout
from continual.backbone.states import ComputedStates
from continual.errors import BackboneError, ConfigError
from continual.training.model import PromptModel
from continual.tuning import TUNINGS, build_tuning
from continual.tuning.base import Tuning, pad_stack

ALL = torch.arange(len(TEXTS))
PLAIN = Readout(terms=0)
CLOSE = {"rtol": 0.0, "atol": 1e-5}

SPECS = {
    "input": {"name": "input", "length": 4},
    "late-0": {"name": "late", "length": 4, "layer": 0},
    "late-1": {"name": "late", "length": 4, "layer": 1},
    "late-2": {"name": "late", "length": 4, "layer": 2},
    "deep-0": {"name": "deep", "length": 4, "layer": 0},
    "deep-1": {"name": "deep", "length": 4, "layer": 1},
    "deep-2": {"name": "deep", "length": 4, "layer": 2},
}
COMBINATIONS = [(family, kind) for family in BLOCKWISE for kind in ("input", "late-1", "deep-0", "deep-1")]
COMBINATIONS += [(family, "input") for family in WHOLE]
each_combination = pytest.mark.parametrize(("family", "kind"), COMBINATIONS)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def fresh(encoder, tuning: Tuning, seed: int = 0) -> dict[str, torch.Tensor]:
    return tuning.initial(encoder, None, generator(seed))


def states(encoder, tuning: Tuning) -> ComputedStates:
    return ComputedStates(encoder, encoder.tokenize(TEXTS), tuning.entry(encoder))


def last(encoder, tuning: Tuning, tensors, rows=ALL) -> tuple[torch.Tensor, torch.Tensor]:
    """The text's last states under a prompt, and the mask."""
    hidden, mask = states(encoder, tuning).batch(rows)
    every = list(tuning.layers(encoder, hidden, mask, tensors))
    assert len(every) == encoder.depth - tuning.entry(encoder)
    assert all(layer.shape == hidden.shape for layer in every)
    return every[-1], mask


@each_combination
def test_the_gradient_reaches_the_prompt_and_nothing_else(tiny_encoder, family, kind):
    encoder, tuning = tiny_encoder(family), build_tuning(SPECS[kind])
    tensors = {name: value.requires_grad_() for name, value in fresh(encoder, tuning).items()}
    hidden, mask = last(encoder, tuning, tensors)
    (hidden[mask] * torch.randn(int(mask.sum()), WIDTH, generator=generator(1))).sum().backward()
    for value in tensors.values():
        assert value.grad.isfinite().all()
        assert value.grad.flatten(0, -2).abs().sum(dim=1).gt(0).all()  # every vector of the prompt
    assert all(weight.grad is None for weight in encoder.model.parameters())


@each_combination
def test_the_output_follows_the_prompt(tiny_encoder, family, kind):
    encoder, tuning = tiny_encoder(family), build_tuning(SPECS[kind])
    (first, mask), (second, _) = (last(encoder, tuning, fresh(encoder, tuning, seed)) for seed in (0, 1))
    assert (first - second)[mask].abs().max() > 1e-2


@each_combination
def test_padding_changes_nothing_under_a_prompt(tiny_encoder, family, kind):
    encoder, tuning = tiny_encoder(family), build_tuning(SPECS[kind])
    tensors = fresh(encoder, tuning)
    together, mask = last(encoder, tuning, tensors)
    for row in ALL.tolist():
        alone, _ = last(encoder, tuning, tensors, torch.tensor([row]))
        torch.testing.assert_close(together[row][mask[row]], alone[0], **CLOSE)


# A model that is run as a whole counts positions from the longest prompt of the batch, so there lengths must agree.
MIXTURES = [(*combination, (4, 4, 4)) for combination in COMBINATIONS]
MIXTURES += [(*combination, (1, 6, 3)) for combination in COMBINATIONS if combination[0] in BLOCKWISE]


@pytest.mark.parametrize(("family", "kind", "lengths"), MIXTURES)
def test_a_mixed_batch_equals_one_by_one(tiny_encoder, family, kind, lengths):
    encoder = tiny_encoder(family)
    shapes = [build_tuning(SPECS[kind] | {"length": length}) for length in lengths]
    prompts = [fresh(encoder, tuning, seed) for seed, tuning in enumerate(shapes)]
    rows = torch.arange(3)
    mixed, mask = last(encoder, shapes[0], shapes[0].stack(prompts), rows)
    for row in rows.tolist():
        alone, _ = last(encoder, shapes[row], prompts[row], rows[row : row + 1])
        torch.testing.assert_close(mixed[row][mask[row]], alone[0], **CLOSE)


@each_combination
def test_a_stack_of_one_serves_a_whole_batch(tiny_encoder, family, kind):
    encoder, tuning = tiny_encoder(family), build_tuning(SPECS[kind])
    tensors = fresh(encoder, tuning)
    assert torch.equal(last(encoder, tuning, tuning.stack([tensors]))[0], last(encoder, tuning, tensors)[0])


def test_pad_stack_by_hand():
    first, second = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0], [5.0, 6.0]])
    stacked, mask = pad_stack([first, second], axis=0)
    assert stacked.tolist() == [[[1, 2], [0, 0]], [[3, 4], [5, 6]]]
    assert mask.tolist() == [[True, False], [True, True]]
    stacked, mask = pad_stack([second, second], axis=0)
    assert stacked.shape == (2, 2, 2)
    assert mask is None


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


# ---------------------------------------------------------------- the arithmetic, by hand


def linear(module: torch.nn.Linear, vector: torch.Tensor) -> torch.Tensor:
    return module.weight.double() @ vector + module.bias.double()


def norm(module: torch.nn.LayerNorm, vector: torch.Tensor) -> torch.Tensor:
    centred = vector - vector.mean()
    return centred / (centred.square().mean() + module.eps).sqrt() * module.weight.double() + module.bias.double()


def layer_by_hand(
    block, position: int, others: list[torch.Tensor], keys: list[torch.Tensor], values: list[torch.Tensor], bias=None
) -> torch.Tensor:
    """One post-norm block for one position, number by number: its query meets `keys`, then the keys of `others`."""
    size = WIDTH // HEADS
    query = linear(block.query, others[position])
    keys = keys + [linear(block.key, other) for other in others]
    values = values + [linear(block.value, other) for other in others]
    heads = []
    for head in range(HEADS):
        part = slice(head * size, (head + 1) * size)
        scores = torch.stack([query[part] @ key[part] / math.sqrt(size) for key in keys])
        if bias is not None:
            scores = scores + bias[head]
        weights = scores.exp() / scores.exp().sum()
        heads.append(sum(weight * value[part] for weight, value in zip(weights, values, strict=True)))
    attended = norm(block.norm1, others[position] + linear(block.output, torch.cat(heads)))
    units = linear(block.up, attended)
    gelu = units * 0.5 * (1 + torch.erf(units / math.sqrt(2)))
    return norm(block.norm2, attended + linear(block.down, gelu))


def mpnet_bias(encoder, text: int, unbiased: int) -> torch.Tensor:
    """MPNet's relative bias of a text's positions, [heads, text, unbiased + text], with zeros for prompt positions."""
    table = encoder.model.encoder.relative_attention_bias.weight.double()
    bias = torch.zeros(HEADS, text, unbiased + text, dtype=torch.double)
    for query in range(text):
        for key in range(text):
            distance = query - key  # buckets: 0..7 for keys at or before the query, 16..23 for those behind it
            assert abs(distance) < 8
            bias[:, query, unbiased + key] = table[distance if distance >= 0 else 16 - distance]
    return bias


@pytest.mark.parametrize("family", ["bert", "mpnet", "distilbert", "electra", "roberta"])
def test_a_deep_prefix_is_attention_to_given_keys_and_values(tiny_encoder, family):
    encoder = tiny_encoder(family)
    tuning = build_tuning({"name": "deep", "length": 2, "layer": DEPTH - 1})
    prefix = fresh(encoder, tuning)["prefix"]
    assert prefix.shape == (1, 2, 2, WIDTH)
    before, mask = states(encoder, tuning).batch(torch.tensor([1, 0]))
    text = int(mask[0].sum())
    assert text < mask.shape[1]  # the padding behind it must not be seen
    found, _ = last(encoder, tuning, {"prefix": prefix}, torch.tensor([1, 0]))
    bias = mpnet_bias(encoder, text, 2) if family == "mpnet" else None
    tokens = list(before[0, :text].double())
    for position in range(text):
        expected = layer_by_hand(
            encoder.body.blocks[-1],
            position,
            tokens,
            list(prefix[0, 0].double()),
            list(prefix[0, 1].double()),
            None if bias is None else bias[:, position],
        )
        torch.testing.assert_close(found[0, position].double(), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("family", ["bert", "mpnet", "distilbert", "electra", "roberta"])
def test_late_tokens_are_positions_of_the_layer(tiny_encoder, family):
    encoder = tiny_encoder(family)
    tuning = build_tuning({"name": "late", "length": 2, "layer": DEPTH - 1})
    prompt = fresh(encoder, tuning)["prompt"]
    before, mask = states(encoder, tuning).batch(torch.tensor([1, 0]))
    text = int(mask[0].sum())
    found, _ = last(encoder, tuning, {"prompt": prompt}, torch.tensor([1, 0]))
    bias = mpnet_bias(encoder, text, 2) if family == "mpnet" else None
    positions = [*prompt.double(), *before[0, :text].double()]
    for position in range(text):
        expected = layer_by_hand(
            encoder.body.blocks[-1], 2 + position, positions, [], [], None if bias is None else bias[:, position]
        )
        torch.testing.assert_close(found[0, position].double(), expected, rtol=0, atol=1e-5)


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


@pytest.mark.parametrize("kind", SPECS)
def test_a_fresh_prompt_depends_on_the_generator_alone(tiny_encoder, kind):
    encoder, tuning = tiny_encoder("bert"), build_tuning(SPECS[kind])
    source = states(encoder, tuning)
    torch.manual_seed(1)
    first = tuning.initial(encoder, source, generator(5))
    torch.manual_seed(2)
    again, other = tuning.initial(encoder, source, generator(5)), tuning.initial(encoder, source, generator(6))
    for name, value in first.items():
        assert torch.equal(value, again[name])
        assert not torch.equal(value, other[name])


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


# ---------------------------------------------------------------- specs and refusals


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS.keys())
def test_a_spec_rebuilds_its_tuning(spec):
    tuning = build_tuning(spec)
    assert tuning.spec() == build_tuning(tuning.spec()).spec()
    assert spec.items() <= tuning.spec().items()
    assert tuning.spec()["name"] == tuning.name
    assert type(tuning) is TUNINGS.load(spec["name"])


@pytest.mark.parametrize("family", WHOLE)
@pytest.mark.parametrize("kind", ["late-1", "deep-0"])
def test_an_unknown_family_takes_prompts_at_the_input_only(tiny_encoder, family, kind):
    with pytest.raises(BackboneError, match="use tuning=input"):
        build_tuning(SPECS[kind]).entry(tiny_encoder(family))


@pytest.mark.parametrize("family", WHOLE)
def test_an_unknown_family_refuses_prefixes_whoever_asks(tiny_encoder, family):
    encoder = tiny_encoder(family)
    hidden, mask = states(encoder, build_tuning(SPECS["input"])).batch(ALL)
    with pytest.raises(BackboneError, match=f"family '{family}' is run as a whole.*use tuning=input"):
        encoder.run(hidden, mask, prefixes={})


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


@pytest.mark.parametrize("name", ["late", "deep"])
def test_a_layer_that_is_not_there_is_refused(tiny_encoder, name):
    tuning = build_tuning({"name": name, "layer": DEPTH})
    with pytest.raises(BackboneError, match=rf"tuning\.layer is {DEPTH}, but .* 0 to {DEPTH - 1}"):
        tuning.entry(tiny_encoder("bert"))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"name": "input", "length": 0}, r"tuning\.length is 0"),
        ({"name": "late", "layer": -1}, r"tuning\.layer -1"),
        ({"name": "deep", "length": 0}, r"tuning\.length is 0"),
        ({"name": "deep", "layer": -1}, r"tuning\.layer -1"),
        ({"name": "late", "init": "zeros"}, r"tuning\.init is 'zeros', expected states or normal"),
        ({"name": "late", "length": "many"}, r"tuning\.length is 'many', expected a whole number"),
        ({"name": "late", "length": 4.5}, r"tuning\.length is 4\.5, expected a whole number"),
        ({"name": "late", "lenght": 4}, r"tuning\.lenght \(did you mean 'length'\?\)"),
        ({"name": "input", "layer": 1}, r"has no option tuning\.layer"),
        ({"name": "lat"}, r"no tuning named 'lat' \(did you mean 'late'\?\)"),
        ({}, "no tuning named ''"),
    ],
)
def test_bad_specs_are_refused(spec, message):
    with pytest.raises(ConfigError, match=message):
        build_tuning(spec)
