"""Ctrl-C while tasks are answered: it stops after a batch, what was answered stays, and the numbers are the same."""

import json
from pathlib import Path

import pytest
from run_samples import numbers, work, write_config
from safetensors.torch import load_file
from translation_samples import write_translation_config

from continual.backbone.frozen import freeze
from continual.backbone.generation import Decoding
from continual.config import compose
from continual.errors import Interrupted
from continual.files import read_json
from continual.progress import Progress
from continual.run import Run
from continual.stopping import may_stop, stopped_by
from continual.translator import NO_READOUT, plain


class Killed(BaseException):
    """What nothing is saved for."""


class Stops:
    """Asks to stop when it is asked for the n-th time."""

    def __init__(self, number: int, how: type[BaseException] = Interrupted) -> None:
        self.left, self.how = number, how

    def __call__(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise self.how("stop")


def test_a_stop_reaches_whoever_is_asked_within(monkeypatch):
    may_stop()
    progress = Progress()
    with progress.running("stream", ["task"], 0):
        may_stop()
        progress._stopping.set()
        with pytest.raises(Interrupted):
            may_stop()
    may_stop()


def test_translating_stops_after_a_batch(tiny_generator):
    texts = ["the red house"] * 40  # two batches
    decoding = Decoding(max_new_tokens=2)
    for number, stops in ((1, True), (2, True), (3, False)):
        with stopped_by(Stops(number)):
            if stops:
                with pytest.raises(Interrupted):
                    plain(tiny_generator("t5"), texts, decoding)
            else:
                assert len(plain(tiny_generator("t5"), texts, decoding)) == 40


def test_reading_stops_after_a_batch(tiny_encoder):
    encoder = tiny_encoder("bert")
    texts = encoder.tokenize(["the red house"] * 100)  # two batches
    with stopped_by(Stops(2)), pytest.raises(Interrupted):
        freeze(encoder, texts, 0, NO_READOUT)


class StopWhileAnswering(Progress):
    """Asks to stop some checks after a prompt was stored: while the tasks learned so far are answered."""

    def __init__(self, prompt: Path, stop: Stops) -> None:
        super().__init__()
        self.prompt, self.stop = prompt, stop

    def check(self) -> None:
        if self.prompt.exists():
            self.stop()


@pytest.fixture(scope="module", params=["classification", "translation"])
def finished(request, tmp_path_factory, tiny_folder, tiny_generator_folder) -> Run:
    """An undisturbed run."""
    root = tmp_path_factory.mktemp("undisturbed")
    if request.param == "classification":
        path = write_config(root / "small.yaml", tiny_folder("bert"))
    else:
        path = write_translation_config(root / "small.yaml", tiny_generator_folder("t5"), "t5")
    run = Run.create(root / "run", compose(str(path)))
    work(str(run.folder))
    return run


def stopped(finished: Run, folder: Path, stop: Stops) -> tuple[Run, list[str]]:
    """A run that was stopped before the second row was finished, and what it remembers of its newest prompt."""
    task = json.loads((finished.folder / "summary.json").read_text())["tasks"][1]
    run = Run.create(folder, finished.config)
    with pytest.raises(stop.how):
        run.execute(StopWhileAnswering(run.folder / "pool" / "prompts" / f"{task}-v1", stop))
    assert read_json(run.folder / "state.json")["stream"]["cursor"] == 1
    return run, [name for name in remembered(run.folder) if f"/{task}-v1" in name]


def remembered(folder: Path) -> list[str]:
    """Of which prompts answers to which task's test are on disk."""
    if (folder / "translations.json").exists():
        return [name for name, texts in read_json(folder / "translations.json").items() if any(texts)]
    return [name for name, answers in load_file(folder / "predictions.safetensors").items() if (answers >= 0).any()]


@pytest.mark.parametrize("checks", [2, 3, 4])
def test_stopped_while_answering_goes_on_to_the_same_numbers(finished, tmp_path, checks):
    run, answers = stopped(finished, tmp_path / "run", Stops(checks))
    assert answers or checks < 3
    work(str(run.folder))
    assert numbers(run.folder) == numbers(finished.folder)


def test_a_kill_while_answering_leaves_what_was_saved_in_between(finished, tmp_path, monkeypatch):
    monkeypatch.setattr("continual.run._SECONDS_BETWEEN_SAVES", 0.0)
    run, answers = stopped(finished, tmp_path / "run", Stops(4, Killed))
    assert answers
    work(str(run.folder))
    assert numbers(run.folder) == numbers(finished.folder)
