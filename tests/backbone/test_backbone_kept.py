"""A saved model is opened as the backbone that it was, whoever names its folder."""

import pytest
import torch

from continual.backbone import BACKBONES
from continual.backbone.catalog import hub
from continual.backbone.generators import causal, seq2seq
from continual.backbone.kept import FILE, as_kept, digest_of
from continual.backbone.saving import save_backbone
from continual.config import compose, from_file
from continual.construction import construct_named
from continual.errors import BackboneError
from continual.growth.command import grow_model
from continual.growth.exact import Exact
from continual.growth.sizes import Amount
from continual.students.models import ModelSpec


@pytest.fixture
def pooled_by_cls(tiny_encoder, tmp_path):
    """The folder of an encoder whose vectors are those of the first token."""
    save_backbone(tiny_encoder("bert", "cls"), tmp_path / "cls")
    return tmp_path / "cls"


@pytest.mark.parametrize(
    "overrides",
    [["backbone=FOLDER"], ["backbone=hub", "backbone.path=FOLDER"], ["backbone.path=FOLDER", "backbone=hub"]],
)
def test_a_run_opens_a_saved_encoder_as_it_was(pooled_by_cls, tiny_encoder, overrides):
    config = compose("quickstart", [item.replace("FOLDER", str(pooled_by_cls)) for item in overrides])
    assert (config.backbone["pooling"], config.backbone["max_length"]) == ("cls", 48)
    assert config.resolved["backbone"] == config.backbone, "what decides the run is stored with it"
    assert (
        construct_named(BACKBONES, config.backbone, "backbone").fingerprint == tiny_encoder("bert", "cls").fingerprint
    )


def test_what_the_user_gives_counts_more(pooled_by_cls, tmp_path):
    config = compose("quickstart", ["backbone.pooling=mean", f"backbone={pooled_by_cls}"])
    assert (config.backbone["pooling"], config.backbone["max_length"]) == ("mean", 48)
    file = tmp_path / "mine.yaml"
    file.write_text(f"backbone: {{name: hub, path: '{pooled_by_cls}', max_length: 32}}\n", encoding="utf-8")
    backbone = from_file(file).backbone
    assert (backbone["pooling"], backbone["max_length"]) == ("cls", 32)
    assert from_file(file, ["backbone.pooling=mean"]).backbone["pooling"] == "mean"


def test_a_teacher_is_opened_as_it_was(pooled_by_cls, tiny_encoder):
    for named in (str(pooled_by_cls), {"path": str(pooled_by_cls)}):
        teacher = ModelSpec.parse(named, "backbone", "hub").load("backbone")
        assert teacher.fingerprint == tiny_encoder("bert", "cls").fingerprint
    other = ModelSpec.parse({"path": str(pooled_by_cls), "pooling": "mean"}, "backbone", "hub")
    assert other.load("backbone").fingerprint == tiny_encoder("bert").fingerprint


@pytest.mark.parametrize(("family", "kind"), [("t5", seq2seq), ("mbart", seq2seq), ("gpt2", causal)])
def test_a_generator_is_opened_as_it_was(tiny_generator, tmp_path, family, kind):
    plain = tiny_generator(family)
    between = {"between": " => "} if kind is causal else {}
    own = type(plain)(plain.model, plain.tokenizer, family, 24, 20, prefix="tell:\n", **between)
    save_backbone(own, tmp_path)
    again = construct_named(BACKBONES, as_kept({"name": kind.__name__, "path": str(tmp_path)}, ()), "backbone")
    assert again.fingerprint == own.fingerprint
    assert (again.prefix, again.max_length, again.max_target) == ("tell:\n", 24, 20)
    assert getattr(again, "between", None) == getattr(own, "between", None)
    sources = ["the red house"]
    assert torch.equal(again.tokenize(sources).ids.values, own.tokenize(sources).ids.values)


def test_a_grown_model_is_opened_as_the_one_that_has_grown(pooled_by_cls, tmp_path):
    grow_model(str(pooled_by_cls), tmp_path / "larger", Exact(), Amount(layers=1), seed=0)
    assert compose("quickstart", [f"backbone={tmp_path / 'larger'}"]).backbone["pooling"] == "cls"


def test_a_folder_that_says_nothing_is_opened_as_ever(tiny_folder):
    config = compose("quickstart", [f"backbone={tiny_folder('bert')}"])
    assert (config.backbone["pooling"], config.backbone["max_length"]) == ("mean", 128)


@pytest.mark.parametrize("content", ["{", "[]", '{"pooling": "cls"}', b"\xff"])
def test_a_damaged_record_is_refused(pooled_by_cls, content):
    file = pooled_by_cls / FILE
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(BackboneError, match=r"backbone\.json does not say how the model is opened; restore it"):
        compose("quickstart", [f"backbone={pooled_by_cls}"])
    file.unlink()
    assert hub(path=str(pooled_by_cls)).pooling == "mean"


@pytest.mark.parametrize("name", ["source.spm", "tokenizer.model.v3", "chat_template.jinja", "spiece.model"])
def test_every_file_that_decides_what_is_read_tells_models_apart(tmp_path, name):
    found = []
    for content in ("one", "other"):
        (tmp_path / name).write_text(content)
        found.append(digest_of(tmp_path))
    (tmp_path / "README.md").write_text("about")
    assert len({*found, digest_of(tmp_path)}) == 2
