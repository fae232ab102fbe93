"""Backbones with some of their weights on disk keep to the limit and give the same bits."""

import gc
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny_models import TEXTS, save_tiny
from torch import nn

from continual.backbone.catalog import hub
from continual.backbone.frozen import freeze
from continual.backbone.offload import device_map
from continual.backbone.readout import Readout
from continual.errors import BackboneError


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """The folder for temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def _bytes(model: nn.Module) -> int:
    return sum(4 * value.numel() for value in model.parameters())


def _expect_same_bits(plain, spread) -> None:
    assert spread.fingerprint == plain.fingerprint
    views = [freeze(encoder, encoder.tokenize(TEXTS), encoder.depth, Readout()) for encoder in (plain, spread)]
    assert torch.equal(views[0].features, views[1].features)
    assert torch.equal(views[0].embedding, views[1].embedding)


@pytest.mark.parametrize("share", [0.0001, 0.5, 0.9])
@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "albert", "mpnet", "electra", "deberta-v2"])
def test_the_same_bits_with_weights_on_disk(family, share, tmp_path, temporary):
    folder = str(save_tiny(family, tmp_path / "model"))
    plain = hub(folder)
    spread = hub(folder, memory_mb=share * _bytes(plain.model) / 1e6)
    _expect_same_bits(plain, spread)
    assert any(value.is_meta for value in spread.model.parameters()) or share > 0.01
    assert list(temporary.glob("continual-*"))
    del spread
    gc.collect()
    assert not list(temporary.glob("continual-*"))


@pytest.mark.parametrize("share", [0.0001, 0.5])
def test_a_checkpoint_of_half_precision(share, tmp_path):
    folder = save_tiny("bert", tmp_path / "model")
    from transformers import AutoModel

    AutoModel.from_pretrained(folder, dtype="float16").save_pretrained(folder)
    plain = hub(str(folder))
    _expect_same_bits(plain, hub(str(folder), memory_mb=share * _bytes(plain.model) / 1e6))


def test_layers_are_held_before_embeddings_as_far_as_the_limit_goes():
    model = nn.Sequential(nn.Embedding(10, 10), nn.Linear(10, 10), nn.LayerNorm(10), nn.Linear(10, 10))
    # Bytes: 400, 440, 80, 440. What is too large does not keep out what follows and fits.
    assert device_map(model, 0) == {"1": "disk", "2": "disk", "3": "disk", "0": "disk"}
    assert device_map(model, 439) == {"1": "disk", "2": "cpu", "3": "disk", "0": "disk"}
    assert device_map(model, 520) == {"1": "cpu", "2": "cpu", "3": "disk", "0": "disk"}
    assert device_map(model, 959) == {"1": "cpu", "2": "cpu", "3": "disk", "0": "cpu"}
    assert device_map(model, 960) == {"1": "cpu", "2": "cpu", "3": "cpu", "0": "disk"}
    assert device_map(model, 1360) == {"1": "cpu", "2": "cpu", "3": "cpu", "0": "cpu"}


def test_a_module_with_weights_of_its_own_stays_whole():
    class Weighing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.own = nn.Parameter(torch.zeros(5))
            self.inner = nn.Linear(2, 2)

    assert device_map(nn.Sequential(Weighing(), nn.ReLU()), 44) == {"0": "cpu"}
    assert device_map(nn.Sequential(Weighing(), nn.ReLU()), 43) == {"0": "disk"}


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_the_limit_is_used(share, tmp_path):
    folder = str(save_tiny("bert", tmp_path / "model"))
    limit = share * _bytes(hub(folder).model)
    model = hub(folder, memory_mb=limit / 1e6).model
    tables = [module.weight for module in model.modules() if isinstance(module, nn.Embedding)]
    held = sum(
        4 * value.numel()
        for value in model.parameters()
        if not value.is_meta and not any(value is table for table in tables)
    )
    largest = max(4 * sum(value.numel() for value in layer.parameters()) for layer in model.encoder.layer)
    layers = sum(4 * value.numel() for value in model.encoder.parameters())
    assert min(limit - largest, layers) <= held <= limit


def test_a_model_that_fits_stays_in_memory(tmp_path):
    encoder = hub(str(save_tiny("bert", tmp_path / "model")), memory_mb=1000)
    assert not any(value.is_meta for value in encoder.model.parameters())


def test_nothing_is_said_and_nothing_stays(tmp_path):
    folder, temporary = save_tiny("bert", tmp_path / "model"), tmp_path / "temporary"
    temporary.mkdir()
    program = (
        "import sys; from continual.backbone.catalog import hub\n"
        "encoder = hub(sys.argv[1], memory_mb=0.01)\n"
        "encoder.body.embed(encoder.tokenize(['some words']).ids.values[None], None, None)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"TMPDIR": str(temporary)},
    )
    assert (done.stdout, done.stderr) == ("", "")
    assert not list(temporary.glob("continual-*"))


def test_a_model_that_cannot_be_loaded_leaves_nothing(tmp_path, temporary):
    folder = save_tiny("bert", tmp_path / "model")
    (folder / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(BackboneError, match="Could not load"):
        hub(str(folder), memory_mb=0.01)
    assert not list(temporary.glob("continual-*"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"is_decoder": True}))
    with pytest.raises(BackboneError, match="expected an encoder"):
        hub(str(folder), memory_mb=0.01)
    assert not list(temporary.glob("continual-*"))


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_without_room_is_refused(tmp_path: Path, limit):
    with pytest.raises(BackboneError, match="memory_mb"):
        hub(str(tmp_path), memory_mb=limit)
