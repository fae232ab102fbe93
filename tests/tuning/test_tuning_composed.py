"""Compositions: their arithmetic by hand, and what each must keep apart."""

import math

import pytest
import torch
from torch.nn import functional as F

from continual.backbone.frozen import Seen
from continual.errors import ConfigError
from continual.methods.tapd import TEMPLATES
from continual.tuning import COMPOSITIONS, build_tuning
from continual.tuning.composed.attention import Attention, mixture
from continual.tuning.composed.base import part
from continual.tuning.composed.chain import Chain, chained
from continual.tuning.composed.components import Components, component_weights, not_orthogonal, orthogonal_to
from continual.tuning.composed.generated import EMBEDDING, Generated
from continual.tuning.composed.low_rank_sum import LowRankSum
from continual.tuning.composed.reparametrised import Reparametrised
from continual.tuning.composed.selection import KEYS, Selection

LATE = {"name": "late", "length": 2, "layer": 1}
DEEP = {"name": "deep", "length": 2, "layer": 1}
WIDTH = 4


def prompt(start: float, length: int = 2) -> dict[str, torch.Tensor]:
    return {"prompt": torch.arange(length * WIDTH, dtype=torch.float32).view(length, WIDTH) + start}


def seen(*embeddings: list[float], hidden: torch.Tensor | None = None, mask: torch.Tensor | None = None) -> Seen:
    vectors = torch.tensor(embeddings)
    if hidden is None:
        hidden = torch.zeros(len(vectors), 3, WIDTH)
    if mask is None:
        mask = torch.ones(hidden.shape[:2], dtype=torch.bool)
    return Seen(hidden, mask, vectors)


ANY = seen([1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0])


# ---------------------------------------------------------------- chain


def test_a_chain_puts_the_own_prompt_first_and_the_oldest_last():
    tensors = chained(prompt(100), [prompt(20), prompt(3)])
    whole = Chain(LATE).compose(tensors, ANY)["prompt"]
    assert torch.equal(whole, torch.cat([prompt(100)["prompt"], prompt(20)["prompt"], prompt(3)["prompt"]]))


def test_a_chain_of_prefixes_grows_along_their_positions():
    own, earlier = ({"prefix": torch.full((3, 2, 2, WIDTH), value)} for value in (1.0, 2.0))
    whole = Chain(DEEP).compose(chained(own, [earlier]), ANY)["prefix"]
    assert whole.shape == (3, 2, 4, WIDTH)
    assert torch.equal(whole[2, 1, :, 0], torch.tensor([1.0, 1.0, 2.0, 2.0]))


def test_only_the_own_link_is_trained_and_lent():
    chain = Chain(LATE)
    tensors = chained(prompt(0), [prompt(5)])
    assert [name for name in tensors if not chain.fixed(name)] == ["own/prompt"]
    assert torch.equal(chain.lent(tensors)["prompt"], prompt(0)["prompt"])


def test_a_reparametrised_prompt_starts_as_itself_and_folds_by_hand():
    tuning = Reparametrised(LATE, bottleneck=3)
    network = tuning.network(WIDTH, torch.Generator().manual_seed(0))
    tensors = chained(prompt(0), [prompt(7)]) | network
    assert torch.equal(tuning.compose(tensors, ANY)["prompt"], Chain(LATE).compose(tensors, ANY)["prompt"])
    tensors["network/up"] = torch.full((WIDTH, 3), 0.5)
    own, down = prompt(0)["prompt"], tensors["network/down"]
    expected = own.clone()
    for token in range(2):
        for place in range(WIDTH):
            expected[token, place] += sum(0.5 * math.tanh(float(own[token] @ down[unit])) for unit in range(3))
    folded = tuning.folded(tensors)
    torch.testing.assert_close(folded["own/prompt"], expected)
    assert folded.keys() == {"own/prompt", "earlier/prompt"}


# ---------------------------------------------------------------- attention


def test_attention_by_hand():
    tuning = Attention(LATE, bottleneck=2, temperature=3.0)
    network = part(
        "network",
        {
            "down": torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]]),
            "up": torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0]]),
            "gain": torch.ones(WIDTH),
            "shift": torch.zeros(WIDTH),
        },
    )
    own, source = prompt(0), {"prompt": -prompt(0)["prompt"]}
    hidden = torch.tensor([[[2.0, -1.0, 0.0, 0.0], [1.0, 0.5, 0.0, 0.0], [9.0, 9.0, 9.0, 9.0]]])
    mask = torch.tensor([[True, True, False]])  # the padding must not be looked at
    text = seen([1.0, 0, 0, 0], hidden=hidden, mask=mask)
    silu = [x / (1 + math.exp(-x)) for x in (2.0, 0.5)]
    raised = [silu[0], silu[1], silu[0] + silu[1], 0.0]
    mean = sum(raised) / 4
    deviation = math.sqrt(sum((x - mean) ** 2 for x in raised) / 4 + 1e-5)
    query = [(x - mean) / deviation for x in raised]
    keys = [[0.0, -1.0, -2.0, -3.0], [4.0, 5.0, 6.0, 7.0]]  # largest of each coordinate over the tokens
    scores = [sum(k * q for k, q in zip(key, query, strict=True)) / 3.0 for key in keys]
    total = sum(math.exp(score) for score in scores)
    weights = [math.exp(score) / total for score in scores]
    tensors = mixture(own, [source], network)
    torch.testing.assert_close(tuning.weights(tensors, text)[0], torch.tensor(weights))
    expected = own["prompt"] + weights[0] * source["prompt"] + weights[1] * own["prompt"]
    torch.testing.assert_close(tuning.compose(tensors, text)["prompt"][0], expected)


def test_attention_without_sources_is_on_the_own_prompt():
    tuning = Attention(LATE)
    tensors = mixture(prompt(1), [], tuning.network(WIDTH, torch.Generator().manual_seed(0)))
    found = tuning.compose(tensors, ANY)["prompt"]
    assert torch.equal(found, torch.stack([2 * prompt(1)["prompt"]] * 2))


def test_the_published_temperature_is_the_width_times_e():
    one, other = Attention(LATE), Attention(LATE, temperature=WIDTH * math.e)
    tensors = mixture(prompt(0), [prompt(3)], one.network(WIDTH, torch.Generator().manual_seed(0)))
    text = seen([1.0, 0, 0, 0], hidden=torch.randn(1, 3, WIDTH, generator=torch.Generator().manual_seed(1)))
    torch.testing.assert_close(one.weights(tensors, text), other.weights(tensors, text))


def test_sources_and_layer_norm_are_fixed_and_the_network_has_its_own_pace():
    tuning = Attention(LATE, attention_pace=0.1)
    tensors = mixture(prompt(0), [prompt(3)], tuning.network(WIDTH, torch.Generator()))
    trained = {name for name in tensors if not tuning.fixed(name)}
    assert trained == {"own/prompt", "network/down", "network/up"}
    assert {name: tuning.pace(name) for name in sorted(trained)} == {
        "network/down": 0.1,
        "network/up": 0.1,
        "own/prompt": 1.0,
    }


def test_sources_can_be_added_and_taken_away_later():
    tuning = Attention(LATE)
    network = tuning.network(WIDTH, torch.Generator().manual_seed(0))
    sizes = [
        tuning.weights(mixture(prompt(0), [prompt(n) for n in range(count)], network), ANY).shape[1]
        for count in (1, 3, 2)
    ]
    assert sizes == [2, 4, 3]


# ---------------------------------------------------------------- selection


def test_selection_takes_the_nearest_keys_in_order_of_their_cosine():
    tuning = Selection(LATE, size=3, top=2)
    pool = torch.stack([prompt(100 * number)["prompt"] for number in range(3)])
    keys = torch.tensor([[1.0, 0, 0, 0], [0.0, 5.0, 0, 0], [3.0, 3.0, 0, 0]])
    tensors = {"own/prompt": pool, KEYS: keys}
    found = tuning.compose(tensors, seen([1.0, 0.1, 0, 0], [0.1, 1.0, 0, 0]))["prompt"]
    assert torch.equal(found[0], torch.cat([pool[0], pool[2]]))
    assert torch.equal(found[1], torch.cat([pool[1], pool[2]]))
    half = math.sqrt(0.5)
    pulled = tuning.pull(tensors, torch.tensor([[1.0, 0, 0, 0]]))
    assert float(pulled) == pytest.approx(1.0 + half)


def test_selected_prefixes_stand_behind_each_other_in_every_layer():
    tuning = Selection(DEEP, size=2, top=2)
    pool = torch.randn(2, 3, 2, 2, WIDTH, generator=torch.Generator().manual_seed(0))
    tensors = {"own/prefix": pool, KEYS: torch.eye(2, WIDTH)}
    found = tuning.compose(tensors, seen([0.1, 1.0, 0, 0]))["prefix"]
    assert torch.equal(found[0], torch.cat([pool[1], pool[0]], dim=-2))


# ---------------------------------------------------------------- components


def test_component_weights_by_hand():
    queries = torch.tensor([[1.0, 2.0, 0.0, 0.0]])
    attention = torch.tensor([[1.0, 1.0, 1.0, 1.0], [2.0, 0.0, 1.0, 1.0]])
    keys = torch.tensor([[0.0, 3.0, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0]])
    # (1, 2) against (0, 3); (2, 0) against (1, 1)
    expected = [2 / math.sqrt(5), 1 / math.sqrt(2)]
    torch.testing.assert_close(component_weights(queries, attention, keys)[0], torch.tensor(expected))


def test_a_prompt_of_components_is_their_weighted_sum_and_only_new_ones_are_trained():
    tuning = Components(LATE, size=1)
    old = {"prompt": prompt(0)["prompt"][None], "keys": torch.eye(1, WIDTH), "attention": torch.ones(1, WIDTH)}
    new = {"prompt": prompt(50)["prompt"][None], "keys": torch.eye(2, WIDTH)[1:], "attention": torch.ones(1, WIDTH)}
    tensors = part("earlier", old) | part("own", new)
    found = tuning.compose(tensors, seen([0.6, 0.8, 0.0, 0.0]))["prompt"][0]
    torch.testing.assert_close(found, 0.6 * prompt(0)["prompt"] + 0.8 * prompt(50)["prompt"])
    assert {name for name in tensors if tuning.fixed(name)} == {f"earlier/{name}" for name in old}


def test_new_rows_are_orthogonal_to_old_ones_and_to_each_other():
    generator = torch.Generator().manual_seed(0)
    old = torch.randn(3, 2, 5, generator=generator)
    basis = orthogonal_to(None, old)
    new = orthogonal_to(basis, torch.randn(4, 2, 5, generator=generator))
    whole = torch.cat([basis, new]).flatten(1)
    torch.testing.assert_close(whole @ whole.T, torch.eye(7), rtol=0, atol=1e-5)
    assert float(not_orthogonal(torch.cat([basis, new]))) == pytest.approx(0.0, abs=1e-8)


def test_more_rows_than_dimensions_stay_as_they_were_drawn():
    drawn = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    made = orthogonal_to(None, drawn)
    torch.testing.assert_close(made[3:], F.normalize(drawn[3:], dim=1))
    assert made.isfinite().all()


def test_fresh_components_of_any_size_are_not_penalised():
    tuning = Components({"name": "deep", "length": 2}, 3)
    rows = orthogonal_to(None, torch.randn(6, 2, 2, 5, generator=torch.Generator().manual_seed(0)))
    vectors = orthogonal_to(None, torch.randn(6, 7, generator=torch.Generator().manual_seed(1)))
    old, new = (
        {"prefix": 40 * rows[some], "keys": vectors[some], "attention": vectors[some]}
        for some in (slice(3), slice(3, 6))
    )
    assert float(tuning.not_orthogonal(part("earlier", old) | part("own", new))) == pytest.approx(0.0, abs=1e-8)
    same = new | {"prefix": old["prefix"]}
    # Each of three rows has the cosine 1 with one other: 2 * 3 entries of 6 * 6.
    assert float(tuning.not_orthogonal(part("earlier", old) | part("own", same))) == pytest.approx(6 / 36)


def test_the_penalty_by_hand():
    rows = torch.tensor([[1.0, 0.0], [1.0, 1.0]])
    # R R^T - I = [[0, 1], [1, 1]]
    assert float(not_orthogonal(rows)) == pytest.approx(3 / 4)


# ---------------------------------------------------------------- low-rank sum


def test_a_sum_of_products_is_one_product_of_their_factors_side_by_side():
    tuning = LowRankSum({"name": "lora", "rank": 2, "layer": 1})
    generator = torch.Generator().manual_seed(0)
    own, earlier = (
        {"query_a": torch.randn(3, 5, 2, generator=generator), "query_b": torch.randn(3, 2, 4, generator=generator)}
        for _ in range(2)
    )
    tensors = part("own", own) | part("earlier", earlier)
    whole = tuning.compose(tensors, ANY)
    expected = own["query_a"] @ own["query_b"] + earlier["query_a"] @ earlier["query_b"]
    torch.testing.assert_close(whole["query_a"] @ whole["query_b"], expected)
    assert {name for name in tensors if tuning.fixed(name)} == {"earlier/query_a", "earlier/query_b"}


def test_the_overlap_of_input_directions_by_hand():
    tuning = LowRankSum({"name": "lora", "rank": 1, "layer": 1})
    own = {"query_a": torch.tensor([[[1.0], [2.0]]]), "query_b": torch.zeros(1, 1, 3)}
    earlier = {"query_a": torch.tensor([[[3.0, 2.0], [-2.0, -1.0]]]), "query_b": torch.ones(1, 2, 3)}
    # (3, -2) . (1, 2) = -1 and (2, -1) . (1, 2) = 0
    assert float(tuning.overlap(part("own", own) | part("earlier", earlier))) == 1.0
    assert float(tuning.overlap(part("own", own))) == 0.0


def test_other_tunings_cannot_be_summed():
    with pytest.raises(ConfigError, match="tuning=late is not; use tuning=lora"):
        LowRankSum(LATE)


# ---------------------------------------------------------------- generated


def test_a_hypernetwork_writes_token_by_token():
    tuning = Generated(LATE, embedding=2, hidden=1)
    network = {
        "network/prompt-task": torch.tensor([[1.0, 2.0]]),
        "network/prompt-place": torch.tensor([[0.0], [1.0]]),
        "network/prompt-out": torch.tensor([[1.0], [0.0], [2.0], [-1.0]]),
    }
    tensors = network | part("start", prompt(0)) | part("shared", prompt(9)) | {EMBEDDING: torch.tensor([0.5, 0.25])}
    first, second = math.tanh(1.0), math.tanh(2.0)
    written = torch.tensor([[first, 0.0, 2 * first, -first], [second, 0.0, 2 * second, -second]])
    own = prompt(0)["prompt"] + written
    torch.testing.assert_close(tuning.prompt(tensors)["prompt"], own)
    torch.testing.assert_close(tuning.compose(tensors, ANY)["prompt"], torch.cat([own, prompt(9)["prompt"]]))


@pytest.mark.parametrize(
    ("train_shared", "fixed"), [(False, {"start/prompt", "shared/prompt"}), (True, {"start/prompt"})]
)
def test_start_is_fixed_and_shared_after_the_first_domain(train_shared, fixed):
    tuning = Generated(LATE, train_shared=train_shared)
    names = ["start/prompt", "shared/prompt", "own/embedding", "network/prompt-task"]
    assert {name for name in names if tuning.fixed(name)} == fixed


def test_a_fresh_hypernetwork_writes_little():
    tuning = Generated(DEEP)
    shapes = {"prefix": torch.Size((2, 2, 2, 32))}
    generator = torch.Generator().manual_seed(0)
    network = tuning.network(shapes, generator)
    written = tuning.written(network, torch.randn(16, generator=generator), shapes)["prefix"]
    assert written.shape == (2, 2, 2, 32)
    assert 0 < written.abs().mean() < 0.05


# ---------------------------------------------------------------- all of them


@pytest.mark.parametrize("name", COMPOSITIONS.names())
@pytest.mark.parametrize("base", [LATE, DEEP], ids=["late", "deep"])
def test_a_spec_rebuilds_its_composition(name, base):
    options = {"template": TEMPLATES[1]} if name == "templated" else {}
    if name == "low_rank_sum":
        base = {"name": "lora", "layer": 1}
    tuning = COMPOSITIONS.load(name)(base, **options)
    again = build_tuning(tuning.spec())
    assert again.spec() == tuning.spec()
    assert again.base.spec() == build_tuning(base).spec()
    assert type(again) is type(tuning)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Attention(LATE, bottleneck=0), "bottleneck is 0, expected 1 or more"),
        (lambda: Selection(LATE, size=2, top=3), "expected 1 <= top <= size"),
        (lambda: Components(LATE, size=0), "expected at least 1"),
        (lambda: Generated(LATE, hidden=0), "hidden is 0, expected 1 or more"),
        (lambda: Reparametrised(LATE, bottleneck=0), "or at least 1"),
    ],
)
def test_bad_options_are_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


# ---------------------------------------------------------------- templates


def rendered(encoder, template: str, texts: list[str], targets: list[str] | None):
    tuning = build_tuning({"name": "templated", "base": LATE, "template": template})
    return tuning.texts(encoder, encoder.tokenize(texts, targets))


@pytest.mark.parametrize("family", ["bert", "roberta", "mpnet", "distilbert"])
def test_a_text_and_its_target_are_put_into_the_template(tiny_encoder, family):
    encoder = tiny_encoder(family)
    texts, targets = ["the soup was rude", "in the rain"], ["police", "the north"]
    space = "" if family == "roberta" else " "  # its published masks take the space before them
    made = rendered(encoder, "{target} ? {mask} . {text}", texts, targets)
    tokenizer = encoder.tokenizer
    for row, (text, target) in enumerate(zip(texts, targets, strict=True)):
        start, end = made.ids.offsets[row : row + 2].tolist()
        ids, marks = (values[start:end].tolist() for values in (made.ids.values, made.marks.values))
        whole = tokenizer(f"{target} ?{space}{tokenizer.mask_token} . {text}")["input_ids"]
        assert ids == whole
        size = len(tokenizer(target, add_special_tokens=False)["input_ids"])
        assert marks[1 : 1 + size] == [2] * size
        assert marks[ids.index(tokenizer.mask_token_id)] == 1
        assert sum(mark != 0 for mark in marks) == size + 1


@pytest.mark.parametrize("family", ["bert", "mpnet", "roberta"])
def test_unknown_words_are_words(tiny_encoder, family):
    """They and masks are special tokens of a tokenizer, but none that parts text and target."""
    encoder = tiny_encoder(family)
    tokenizer = encoder.tokenizer
    made = rendered(encoder, "{target} ? {mask} . {text}", ["the \U0001f9a0 rain"], ["police \U0001f9a0 the north"])
    space = "" if family == "roberta" else " "
    whole = tokenizer(f"police \U0001f9a0 the north ?{space}{tokenizer.mask_token} . the \U0001f9a0 rain")["input_ids"]
    assert made.ids.values.tolist() == whole
    size = len(tokenizer("police \U0001f9a0 the north", add_special_tokens=False)["input_ids"])
    assert made.marks.values.tolist()[1 : 1 + size] == [2] * size


def test_words_behind_a_space_are_those_of_the_midst_of_a_sentence(tiny_encoder):
    """A byte-level vocabulary has other tokens for a word at the beginning."""
    encoder = tiny_encoder("roberta")
    tokenizer = encoder.tokenizer
    made = rendered(encoder, "{text} . The attitude to {target} is {mask} .", ["the rain"], ["the police"])
    sentence = f"the rain . The attitude to the police is{tokenizer.mask_token} ."
    assert made.ids.values.tolist() == tokenizer(sentence)["input_ids"]
    police = tokenizer(" the police", add_special_tokens=False)["input_ids"]
    assert made.ids.values[made.marks.values == 2].tolist() == police


def test_a_text_that_is_too_long_loses_its_end_and_nothing_else(tiny_encoder):
    encoder = tiny_encoder("bert")
    made = rendered(encoder, TEMPLATES[0], ["rain " * 99], ["police"])
    assert int(made.ids.lengths[0]) == encoder.max_length
    assert made.marks.values.tolist().count(1) == 1
    assert made.marks.values.tolist().count(2) == 1


def test_a_text_without_a_target_is_read_at_the_mask(tiny_encoder):
    encoder = tiny_encoder("bert")
    made = rendered(encoder, TEMPLATES[0], ["the rain"], None)
    assert made.marks.values.tolist().count(2) == 0
    tuning = build_tuning({"name": "templated", "base": LATE, "template": TEMPLATES[0]})
    states = torch.randn(1, len(made.ids.values), encoder.width, generator=torch.Generator().manual_seed(0))
    text = Seen(states, torch.ones(states.shape[:2], dtype=torch.bool), torch.zeros(1, 1), made.marks.values[None])
    mask, target, both = tuning.read(encoder, text, states).split(encoder.width, dim=1)
    assert torch.equal(mask[0], states[0, made.marks.values.tolist().index(1)])
    assert not target.any()
    assert not both.any()


def test_what_is_read_by_hand(tiny_encoder):
    encoder = tiny_encoder("bert")
    tuning = build_tuning({"name": "templated", "base": LATE, "template": TEMPLATES[0]})
    states = torch.zeros(1, 5, encoder.width)
    states[0, :, 0] = torch.tensor([9.0, 3.0, 2.0, 4.0, 9.0])
    marks = torch.tensor([[0, 1, 2, 2, 0]])
    text = Seen(states, torch.ones(1, 5, dtype=torch.bool), torch.zeros(1, 1), marks)
    mask, target, both = tuning.read(encoder, text, states).split(encoder.width, dim=1)
    assert (float(mask[0, 0]), float(target[0, 0]), float(both[0, 0])) == (3.0, 3.0, 9.0)


@pytest.mark.parametrize(
    "template", ["{text} {mask}", "{text} {text} {target} {mask}", "{text} {target} {mask} {word}"]
)
def test_a_template_needs_every_place_once(template):
    with pytest.raises(ConfigError, match=r"expected \{text\}, \{target\} and \{mask\} once each"):
        build_tuning({"name": "templated", "base": LATE, "template": template})
