"""Backbones with most of their weights on disk give the same bits."""

import gc
from pathlib import Path

import pytest
import torch
from tiny_models import TEXTS, save_tiny

from continual.backbone.catalog import hub
from continual.backbone.frozen import freeze
from continual.backbone.readout import Readout
from continual.errors import BackboneError


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "albert"])
def test_the_same_bits_with_the_weights_on_disk(family, tmp_path, monkeypatch):
    folder, temporary = save_tiny(family, tmp_path / "model"), tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    plain, spread = hub(str(folder)), hub(str(folder), memory_mb=0.001)
    on_disk = [name for name, value in spread.model.named_parameters() if value.is_meta]
    assert on_disk
    assert spread.fingerprint == plain.fingerprint
    views = [freeze(encoder, encoder.tokenize(TEXTS), encoder.depth, Readout()) for encoder in (plain, spread)]
    assert torch.equal(views[0].features, views[1].features)
    assert torch.equal(views[0].embedding, views[1].embedding)
    assert list(temporary.iterdir())
    del spread, views
    gc.collect()
    assert not list(temporary.iterdir())


def test_a_model_that_fits_stays_in_memory(tmp_path):
    encoder = hub(str(save_tiny("bert", tmp_path / "model")), memory_mb=1000)
    assert not any(value.is_meta for value in encoder.model.parameters())


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_without_room_is_refused(tmp_path: Path, limit):
    with pytest.raises(BackboneError, match="memory_mb"):
        hub(str(tmp_path), memory_mb=limit)
