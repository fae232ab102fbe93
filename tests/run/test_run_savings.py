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

    original, batches = frozen.freeze, []
    monkeypatch.setattr(frozen, "freeze", lambda *given, **more: original(*given, **(more | {"keep_states": False})))
    batch = frozen.ComputedStates.batch

    def counted(self, rows):
        batches.append(self._layer)
        return batch(self, rows)

    monkeypatch.setattr(frozen.ComputedStates, "batch", counted)
    assert executed(tmp_path / "run")[0] == plain[0]
    assert max(batches) > 0  # the layers below the prompt were run again


def test_the_same_matrix_when_texts_are_predicted_in_the_order_given(plain, tmp_path, monkeypatch):
    """Batches of texts of like length hold less padding, which no text sees. Training batches stay as they are."""
    import torch

    from continual import predictor
    from continual.backbone import frozen
    from continual.training import model

    used = []

    def in_order(lengths, size):
        used.append(len(lengths))
        return list(torch.arange(len(lengths)).split(size))

    for module in (predictor, frozen, model):
        monkeypatch.setattr(module, "by_length", in_order)
    assert executed(tmp_path / "run")[0] == plain[0]
    assert used


def test_the_same_matrix_when_teachers_answer_anew_in_each_step(tmp_path, monkeypatch):
    """PANDA's teachers do not change while the student learns, so they answer every text once."""
    from continual.methods.base import Lesson

    always = "transfer.metric=key_cosine"  # so that there is a teacher
    plain = executed(tmp_path / "plain", always)
    fit, asked = Lesson.fit, []

    class Anew:
        def __init__(self, teacher, examples):
            self.teacher, self.examples = teacher, examples

        def __getitem__(self, rows):
            asked.append(len(rows))
            return self.teacher.answers(self.examples, rows)[0].detach()

    def forgetful(self, stage, *given, **more):
        model = fit(self, stage, *given, **more)
        if stage.startswith("teacher"):
            model.logits = lambda examples: Anew(model, examples)
        return model

    monkeypatch.setattr(Lesson, "fit", forgetful)
    assert executed(tmp_path / "run", always)[0] == plain[0]
    assert asked


def test_the_same_bits_when_every_prediction_is_made_anew(plain, tmp_path, monkeypatch):
    """Answers of stored prompts are remembered; without that memory they are the same."""
    from continual.assessment import Assessor

    original = Assessor._labels

    def forgetful(self, *given):
        self._predicted.clear()
        return original(self, *given)

    monkeypatch.setattr(Assessor, "_labels", forgetful)
    assert executed(tmp_path / "run") == plain
