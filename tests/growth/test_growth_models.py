"""Grown models of every family: what they compute, what their weights are, and that others can load them."""

import copy

import pytest
import torch
from growth_samples import AMOUNTS, ENCODERS, FAMILIES, backbone
from tiny_models import redraw
from torch import nn

from continual.backbone.kept import opening
from continual.backbone.saving import save_model
from continual.errors import BackboneError
from continual.growth.change import difference
from continual.growth.command import grow_model
from continual.growth.elle import Elle
from continual.growth.exact import Exact
from continual.growth.models import grown_encoder, load_like, reopened
from continual.growth.sizes import Amount
from continual.growth.weights import grown, plan, sizes_of

EPSILON_IN_NORMS = ("marian",)
"""Families with an epsilon of 1e-5 in post-norms, which identities feel once more; the others' is 1e-12 here."""

SINGLE_IN_NORMS = ("t5", "mt5", "llama")
"""Families whose norms compute in single precision whatever their weights are, so that wider sums round otherwise."""


def allowed(family: str, amount: Amount) -> float:
    """The largest change in double precision, as a part of the largest output."""
    if family in SINGLE_IN_NORMS and amount.width:
        return 2e-5
    if not amount.layers:
        return 1e-13
    return 3e-5 if family in EPSILON_IN_NORMS else 2e-12


@pytest.fixture
def model_of(tiny_encoder, tiny_generator):
    return lambda family: backbone(family, tiny_encoder, tiny_generator)


def changed(encoder, expansion, amount: Amount, double: bool = False):
    model = copy.deepcopy(encoder.model).double() if double else encoder.model
    chosen = plan(model, expansion, amount)
    larger = grown(model, chosen, expansion.noise)
    return difference(model, larger.double() if double else larger, encoder.tokenizer, chosen, sentences=4)


@pytest.mark.parametrize("amount", AMOUNTS)
@pytest.mark.parametrize("family", FAMILIES)
def test_exact_growth_is_exact_in_double_precision_and_close_in_single(model_of, family, amount):
    encoder, amount = model_of(family), Amount(**AMOUNTS[amount])
    precise = changed(encoder, Exact(), amount, double=True)
    assert precise.largest < allowed(family, amount) * precise.scale, precise
    single = changed(encoder, Exact(), amount)
    assert single.largest < (3e-5 if family in (*EPSILON_IN_NORMS, "mt5") else 1e-5) * single.scale, single


@pytest.mark.parametrize("amount", AMOUNTS)
@pytest.mark.parametrize("family", ["roberta", "mpnet"])
def test_the_epsilon_of_published_checkpoints_is_felt_no_more_than_the_page_says(model_of, family, amount):
    encoder = copy.copy(model_of(family))
    config = copy.deepcopy(encoder.model.config)
    config.layer_norm_eps = 1e-5
    with torch.random.fork_rng(devices=[]):
        encoder.model = type(encoder.model)(config, add_pooling_layer=False).eval()
        redraw(encoder.model)
    found = changed(encoder, Exact(), Amount(**AMOUNTS[amount]))
    assert found.largest < (1e-5 if amount == "width" else 3e-5) * found.scale, found


def test_layers_that_know_their_number_get_no_others_before_them(model_of):
    encoder = model_of("gpt2")
    model = copy.deepcopy(encoder.model)
    model.config.scale_attn_by_inverse_layer_idx = True
    with pytest.raises(BackboneError, match="grow its width alone"):
        plan(model, Exact(), Amount(layers=2))
    plan(model, Exact(), Amount(width=32))


@pytest.mark.parametrize("setting", ["scale_attn_by_inverse_layer_idx", "reorder_and_upcast_attn"])
def test_settings_of_gpt2s_attention_stay_exact_where_they_are_not_refused(model_of, setting):
    encoder = copy.copy(model_of("gpt2"))
    config = copy.deepcopy(encoder.model.config)
    setattr(config, setting, True)
    encoder.model = type(encoder.model)(config).eval().requires_grad_(False)
    amounts = [Amount(width=32), Amount(inner=20)]
    amounts += [Amount(layers=2, width=32)] if setting == "reorder_and_upcast_attn" else []
    for attention in ("sdpa", "eager"):
        encoder.model.set_attn_implementation(attention)
        for amount in amounts:
            assert changed(encoder, Exact(), amount).largest < 1e-5, (attention, amount)


@pytest.mark.parametrize("family", FAMILIES)
def test_elle_is_exact_where_nothing_but_feed_forward_units_grow_and_no_noise_is_added(model_of, family):
    encoder = model_of(family)
    assert changed(encoder, Elle(noise=0.0), Amount(inner=20), double=True).largest < 1e-6
    assert changed(encoder, Elle(noise=0.01), Amount(inner=20)).largest > 1e-4


@pytest.mark.parametrize("family", FAMILIES)
def test_elle_changes_the_function_more_than_exact_growth(model_of, family):
    encoder = model_of(family)
    for amount in (Amount(layers=2), Amount(width=32)):
        assert changed(encoder, Elle(), amount).largest > 10 * changed(encoder, Exact(), amount).largest


@pytest.mark.parametrize("family", FAMILIES)
def test_a_grown_model_is_loaded_by_transformers_alone(model_of, family, tmp_path):
    import transformers

    encoder = model_of(family)
    larger, _ = grown_encoder(encoder, Exact(), Amount(layers=2, width=32), seed=0)
    save_model(larger.model, larger.tokenizer, tmp_path)
    auto = "AutoModel" if family in ENCODERS else "AutoModelForCausalLM"
    auto = "AutoModelForSeq2SeqLM" if family in ("marian", "t5", "mt5") else auto
    loaded = getattr(transformers, auto).from_pretrained(tmp_path).eval()
    assert sizes_of(loaded) == sizes_of(larger.model)
    own, theirs = larger.model.state_dict(), loaded.state_dict()
    assert all(torch.equal(own[name], theirs[name]) for name in own if not name.startswith("pooler."))
    again = load_like(encoder, tmp_path, larger.name)
    assert again.fingerprint == larger.fingerprint
    assert type(again) is type(encoder)
    assert again.max_length == encoder.max_length


@pytest.mark.parametrize("stored", ["one", "shards", "torch", "without"])
def test_a_trained_pooler_grows_with_its_model_however_it_is_stored(model_of, tmp_path, stored):
    from safetensors.torch import load_file

    encoder = model_of("bert")
    model = type(encoder.model)(encoder.model.config, add_pooling_layer=stored != "without")
    encoder.tokenizer.save_pretrained(tmp_path / "model")
    model.save_pretrained(tmp_path / "model", max_shard_size="20KB" if stored == "shards" else "1GB")
    if stored == "torch":
        (tmp_path / "model" / "model.safetensors").unlink()
        torch.save(model.state_dict(), tmp_path / "model" / "pytorch_model.bin")
    grow_model(str(tmp_path / "model"), tmp_path / "larger", Exact(), Amount(layers=1), 0)
    larger = load_file(tmp_path / "larger" / "model.safetensors")
    assert ("pooler.dense.weight" in larger) == (stored != "without")
    if stored != "without":
        assert torch.equal(larger["pooler.dense.weight"], model.pooler.dense.weight)


def test_growing_twice_is_growing(model_of):
    encoder = model_of("bert")
    once, _ = grown_encoder(encoder, Exact(), Amount(layers=1), 0)
    twice, chosen = grown_encoder(once, Exact(), Amount(layers=1, width=32), 0)
    assert sizes_of(twice.model).to_json() == {"layers": 5, "width": 64, "heads": 8, "inner": 96}
    assert difference(once.model, twice.model, encoder.tokenizer, chosen, 4).largest < 1e-5


def test_exact_depth_moves_the_affine_of_a_post_norm_behind_the_new_layer(model_of):
    encoder = model_of("bert")
    larger, _ = grown_encoder(encoder, Exact(), Amount(layers=1), 0)
    old, (*_, source, fresh) = encoder.model.encoder.layer[2], larger.model.encoder.layer
    assert torch.equal(fresh.output.LayerNorm.weight, old.output.LayerNorm.weight)
    assert torch.equal(fresh.output.LayerNorm.bias, old.output.LayerNorm.bias)
    for norm in (source.output.LayerNorm, fresh.attention.output.LayerNorm):
        assert norm.weight.unique().tolist() == [1.0]
        assert norm.bias.unique().tolist() == [0.0]
    assert not fresh.attention.output.dense.weight.any()
    assert not fresh.output.dense.bias.any()
    assert torch.equal(fresh.intermediate.dense.weight, old.intermediate.dense.weight)
    assert torch.equal(source.attention.output.LayerNorm.weight, old.attention.output.LayerNorm.weight)


def test_elle_copies_whole_layers_and_puts_noise_on_replicas_alone(model_of):
    encoder = model_of("bert")
    chosen = plan(encoder.model, Elle(), Amount(layers=1))
    larger = grown(encoder.model, chosen)
    number = next(place for place, layer in enumerate(chosen.reader.layers) if layer.fresh)
    before, after = larger.encoder.layer[number - 1].state_dict(), larger.encoder.layer[number].state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    chosen = plan(encoder.model, Elle(), Amount(inner=20))
    quiet, noisy = (grown(encoder.model, chosen, noise).encoder.layer[0] for noise in (0.0, 0.01))
    differs = (quiet.output.dense.weight != noisy.output.dense.weight).any(0)
    assert differs.tolist() == chosen.reader.layers[0].inner.extra.tolist()
    assert torch.equal(quiet.intermediate.dense.weight, noisy.intermediate.dense.weight)


@pytest.mark.parametrize("family", ENCODERS)
def test_a_masked_language_model_keeps_its_head(tiny_folder, family, tmp_path):
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    with torch.random.fork_rng(devices=[]):
        model = AutoModelForMaskedLM.from_pretrained(tiny_folder(family)).eval()
        redraw(model)
    words = AutoTokenizer.from_pretrained(tiny_folder(family))
    for amount in (Amount(layers=2), Amount(width=32)):
        chosen = plan(model, Exact(), amount)
        larger = grown(model, chosen)
        found = difference(model, larger, words, chosen, 4)
        assert found.what == "logits"
        assert found.largest < 1e-5 * found.scale, found
    save_model(larger, words, tmp_path / family)
    loaded = AutoModelForMaskedLM.from_pretrained(tmp_path / family).eval()
    assert difference(larger, loaded, words, chosen, 4).largest == 0


def test_the_given_model_stays_as_it_is_and_nothing_random_is_shifted(model_of):
    encoder = model_of("bert")
    before = {name: value.clone() for name, value in encoder.model.state_dict().items()}
    torch.manual_seed(5)
    first = torch.rand(3)
    torch.manual_seed(5)
    grown_encoder(encoder, Elle(), Amount(layers=1, width=8), 0)
    assert torch.equal(torch.rand(3), first)
    assert all(torch.equal(value, before[name]) for name, value in encoder.model.state_dict().items())


def test_other_families_and_unknown_weights_are_refused(tiny_encoder):
    with pytest.raises(BackboneError, match="family 'distilbert' cannot grow, expected one of bert, roberta"):
        plan(tiny_encoder("distilbert").model, Exact(), Amount(layers=1))
    odd = copy.deepcopy(tiny_encoder("bert").model)
    odd.more = nn.Linear(2, 2)
    with pytest.raises(BackboneError, match=r"the weight 'more\.weight', which growing a bert does not know"):
        grown(odd, plan(odd, Exact(), Amount(layers=1)))


@pytest.mark.parametrize("settings", [{"tie_word_embeddings": False}, {"share_encoder_decoder_embeddings": False}])
def test_a_wider_marian_with_a_head_or_vocabularies_of_its_own_computes_the_same(model_of, tmp_path, settings):
    from transformers import AutoModelForSeq2SeqLM

    encoder = model_of("marian")
    config = copy.deepcopy(encoder.model.config)
    for name, value in ({"scale_embedding": True} | settings).items():
        setattr(config, name, value)
    config.decoder_vocab_size = config.vocab_size
    with torch.random.fork_rng(devices=[]):
        model = type(encoder.model)(config).eval()
        redraw(model)
    chosen = plan(model, Exact(), Amount(width=32))
    larger = grown(model, chosen)
    assert difference(model, larger, encoder.tokenizer, chosen, 4).largest < 3e-5
    save_model(larger, encoder.tokenizer, tmp_path)
    loaded = AutoModelForSeq2SeqLM.from_pretrained(tmp_path).eval()
    assert difference(model, loaded, encoder.tokenizer, chosen, 4).largest < 3e-5


def drawn_anew(model: nn.Module, apart: tuple[str, ...] = ()) -> nn.Module:
    """The model with other weights; each of those in `apart` is no longer one with any other."""
    with torch.random.fork_rng(devices=[]):
        redraw(model)
        for name in apart:
            module, _, own = name.rpartition(".")
            value = model.get_parameter(name)
            setattr(model.get_submodule(module), own, nn.Parameter(torch.randn_like(value) * 0.3))
    return model.eval().requires_grad_(False)


def expect_unchanged(model: nn.Module, words, amount: Amount, folder, within: float = 1e-5) -> nn.Module:
    """Grows a model exactly; it computes the same, also when `transformers` has loaded it from disk."""
    chosen = plan(model, Exact(), amount)
    larger = grown(model, chosen)
    save_model(larger, words, folder)
    for other in (larger, type(larger).from_pretrained(folder).eval()):
        found = difference(model, other, words, chosen, 4)
        assert found.largest < within * found.scale, found
    return larger


APART = {
    "one": (),
    "head": ("lm_head.weight",),
    "tables": ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight"),
    "all": ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight"),
}


@pytest.mark.parametrize("amount", ["depth", "width"])
@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("apart", APART)
def test_matrices_of_a_t5_stay_apart_or_one_and_its_scale_is_made_up_for(model_of, tmp_path, apart, scaled, amount):
    encoder = model_of("t5")
    config = copy.deepcopy(encoder.model.config)
    config.scale_decoder_outputs = scaled
    model = drawn_anew(type(encoder.model)(config), APART[apart])
    larger = expect_unchanged(model, encoder.tokenizer, Amount(**AMOUNTS[amount]), tmp_path, 3e-5)
    own = {name for name in APART["all"] if larger.get_parameter(name) is not larger.shared.weight}
    assert own == set(APART[apart])


@pytest.mark.parametrize("amount", ["depth", "width"])
def test_a_head_that_a_checkpoint_has_beside_its_embeddings_stays_its_own(tiny_folder, tmp_path, amount):
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    head = "cls.predictions.decoder.weight"
    model = drawn_anew(AutoModelForMaskedLM.from_pretrained(tiny_folder("bert")), (head,))
    assert model.config.tie_word_embeddings
    words = AutoTokenizer.from_pretrained(tiny_folder("bert"))
    larger = expect_unchanged(model, words, Amount(**AMOUNTS[amount]), tmp_path)
    assert larger.get_parameter(head) is not larger.bert.embeddings.word_embeddings.weight
    assert larger.cls.predictions.bias is larger.cls.predictions.decoder.bias


def test_a_growth_that_would_not_be_exact_is_refused(model_of, tmp_path, monkeypatch):
    from continual.growth import weights

    monkeypatch.setattr(weights, "_finish", lambda *given: None)  # as if its family were described wrongly
    model_of("t5").model.save_pretrained(tmp_path / "model")
    model_of("t5").tokenizer.save_pretrained(tmp_path / "model")
    with pytest.raises(BackboneError, match=r"logits of the grown model differ by .* takes it for; grow another"):
        grow_model(str(tmp_path / "model"), tmp_path / "larger", Exact(), Amount(width=32), 0)
    assert [path.name for path in tmp_path.iterdir() if path.name != ".larger.lock"] == ["model"]
    grow_model(str(tmp_path / "model"), tmp_path / "larger", Elle(), Amount(width=32), 0)


def test_nothing_is_drawn_or_copied_twice_for_a_larger_model(model_of):
    from continual.growth.weights import _built

    for family in ("llama", "bert", "marian"):
        empty = _built(model_of(family).model, model_of(family).model.config)
        assert all(value.is_meta for value in empty.parameters())
        assert not any(value.is_meta for value in empty.buffers())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_grown_model_shares_no_numbers_with_the_given_one(model_of, family):
    model = model_of(family).model
    larger = grown(model, plan(model, Exact(), Amount(layers=1)))
    places = {value.data_ptr() for value in model.parameters()}
    assert not places & {value.data_ptr() for value in larger.parameters()}
    assert not any(value.is_meta for value in larger.buffers())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_model_on_a_gpu_grows_from_a_copy(model_of):
    model = copy.deepcopy(model_of("gpt2").model).cuda()
    for expansion in (Exact(), Elle()):
        larger = grown(model, plan(model, expansion, Amount(layers=1, width=32)), expansion.noise)
        assert larger.device.type == "cpu"
    assert model.device.type == "cuda"


@pytest.mark.parametrize("family", ["marian", "t5", "gpt2", "llama"])
def test_a_grown_model_writes_what_it_wrote_as_it_was_told_to(model_of, tmp_path, family):
    encoder = model_of(family)
    model = copy.deepcopy(encoder.model)
    asked = model.generation_config
    asked.max_length, asked.repetition_penalty, asked.bad_words_ids = 19, 1.3, [[7]]
    asked.num_beams = 3
    larger = expect_unchanged(model, encoder.tokenizer, Amount(layers=1, width=32), tmp_path, 3e-5)
    again = type(larger).from_pretrained(tmp_path)
    ids = encoder.tokenizer(["The soup was cold"], return_tensors="pt")["input_ids"]
    written = [one.generate(input_ids=ids).tolist() for one in (model, larger, again)]
    assert written[0] == written[1] == written[2]
    assert again.generation_config.to_diff_dict() == asked.to_diff_dict()


def test_copies_learn_different_things(model_of):
    """Adam takes the size out of a gradient, so that copies whose gradients differ in size alone would stay alike."""
    encoder = model_of("bert")
    chosen = plan(encoder.model, Exact(), Amount(width=32))
    larger = grown(encoder.model, chosen).requires_grad_(True)
    weight = larger.encoder.layer[1].intermediate.dense.weight
    start, sources = weight.detach().clone(), chosen.reader.layers[1].inner.sources
    read = encoder.tokenizer(["The soup was cold.", "A plane.", "?", "great value"], padding=True, return_tensors="pt")
    head = torch.linspace(-1, 1, 64)
    optimiser = torch.optim.AdamW(larger.parameters(), lr=3e-4, weight_decay=0.0)
    for _ in range(20):
        optimiser.zero_grad()
        answers = larger(**read).last_hidden_state[:, 0] @ head
        torch.nn.functional.binary_cross_entropy_with_logits(answers, torch.tensor([1.0, 0, 0, 1])).backward()
        optimiser.step()
    moved = (weight - start).detach()
    first, second = (torch.stack([moved[sources == unit][place] for unit in range(48)]) for place in (0, 1))
    assert float((first - second).norm() / first.norm()) > 0.2


@pytest.mark.parametrize("family", ["t5", "gpt2"])
def test_a_grown_generator_reads_behind_the_same_prefix(tiny_generator, tmp_path, family):
    plain = tiny_generator(family)
    between = [plain.between] if family == "gpt2" else []
    encoder = type(plain)(plain.model, plain.tokenizer, family, 24, 20, *between, "tell: ")
    larger, _ = grown_encoder(encoder, Exact(), Amount(layers=1), 0)
    assert torch.equal(larger.tokenize(["a b"]).ids.values, encoder.tokenize(["a b"]).ids.values)
    save_model(larger.model, larger.tokenizer, tmp_path / family)
    for again in (
        load_like(encoder, tmp_path / family, larger.name),
        reopened(tmp_path / family, larger.name, opening(larger)),
    ):
        assert again.prefix == "tell: "
        assert again.fingerprint == larger.fingerprint


@pytest.mark.parametrize(
    ("amount", "number"), [({"layers": 1}, 1), ({"layers": 1, "inner": 8}, 4), ({"inner": 8}, 3), ({"width": 32}, 3)]
)
def test_added_layers_learn_alone_unless_units_were_added_to_the_others(model_of, amount, number):
    from continual.growth.learning import learning_layers

    assert len(learning_layers(plan(model_of("bert").model, Exact(), Amount(**amount)))) == number
