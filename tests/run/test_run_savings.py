"""What saves time or memory changes no number: whole runs with and without each saving."""

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file

from continual.config import compose
from continual.progress import Progress
from continual.run import Run

SETTINGS = [
    "stream.tasks=[{name: kitchen, topic: kitchen, cues: {temperature: 1.0}}, {name: again, like: kitchen}]",
    "stream.train=40",
    "stream.dev=16",
    "stream.test=24",
    "training.epochs=2",
    "training.min_steps=0",
    "tracking.enabled=false",
    "threads=1",
]


def executed(folder: Path, *settings: str) -> tuple[dict, dict]:
    """The matrices and the tensors of all prompts of a run."""
    run = Run.create(folder, compose("simulated", [*SETTINGS, *settings]))
    run.execute(Progress())
    summary = json.loads((folder / "summary.json").read_text())
    tensors = {
        f"{file.parent.name}/{name}": value.numpy().tobytes()
        for file in sorted((folder / "pool").rglob("tensors.safetensors"))
        for name, value in load_file(file).items()
    }
    return {kind: summary[kind]["matrix"] for kind in ("aware", "routed")}, tensors


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> tuple[dict, dict]:
    return executed(tmp_path_factory.mktemp("plain") / "run")


@pytest.mark.parametrize(
    "settings",
    [("cache_mb=0",), ("cache_mb=3",)],
    ids=["everything on disk", "views dropped and computed again"],
)
def test_the_same_bits_whatever_memory_there_is(plain, tmp_path, settings):
    assert executed(tmp_path / "run", *settings) == plain


def test_the_same_matrix_when_lower_layers_are_computed_each_time(plain, tmp_path, monkeypatch):
    """Kept states of the layers below the prompt against states computed for every batch.

    The sums of a batch's matrix products may differ in the last bits, and the padding of a batch with them.
    """
    from continual.backbone import frozen

    original = frozen.freeze
    monkeypatch.setattr(frozen, "freeze", lambda *given, **more: original(*given, **(more | {"keep_states": False})))
    assert executed(tmp_path / "run")[0] == plain[0]


def test_the_same_bits_when_every_prediction_is_made_anew(plain, tmp_path, monkeypatch):
    """Answers of stored prompts are remembered; without that memory they are the same."""
    from continual.assessment import Assessor

    original = Assessor._labels

    def forgetful(self, *given):
        self._predicted.clear()
        return original(self, *given)

    monkeypatch.setattr(Assessor, "_labels", forgetful)
    assert executed(tmp_path / "run")[0] == plain[0]
