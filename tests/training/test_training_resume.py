"""A training that is cut off anywhere goes on to the same bits."""

import dataclasses
import json

import pytest
import torch
from safetensors.torch import save_file
from small_tasks import examples
from tiny_generators import SOURCES, TARGETS

from continual.baselines.translation.material import ParallelText
from continual.baselines.translation.model import WholeModel
from continual.errors import Interrupted, StorageError
from continual.training import loop
from continual.training.checkpoint import FolderCheckpoints, NoCheckpoints
from continual.training.config import TrainingConfig
from continual.training.model import PromptModel
from continual.training.watch import Silent
from continual.tuning import build_tuning

STEPS_PER_EPOCH, EPOCHS = 4, 5


@pytest.fixture(autouse=True)
def save_after_each_epoch(monkeypatch):
    monkeypatch.setattr(loop, "_SECONDS_BETWEEN_CHECKPOINTS", 0.0)


class Stop(Silent):
    """Asks to stop after some step, or when some epoch was scored."""

    def __init__(self, step: int | None = None, epoch: int | None = None):
        self.at_step, self.at_epoch = step, epoch
        self.seen: list[int] = []

    def step(self, stage, number, loss):
        self.seen.append(number)
        if number == self.at_step:
            raise Interrupted("Stopped.")

    def epoch(self, stage, number, scores):
        if number == self.at_epoch:
            raise Interrupted("Stopped.")


@pytest.fixture(scope="module", params=["late", "deep"])
def train(request, tiny_encoder):
    """Trains the same model from the same start; gives its tensors and the result."""
    encoder = tiny_encoder("bert")
    tuning = build_tuning({"name": request.param, "length": 3, "layer": 1})
    split = {
        name: examples(encoder, tuning, count=32, seed=seed, noise=0.2) for name, seed in (("train", 0), ("dev", 7))
    }

    tensors = tuning.initial(encoder, None, torch.Generator().manual_seed(1))

    def run(checkpoints=None, watcher=None, **settings):
        config = TrainingConfig(
            **{"epochs": EPOCHS, "min_steps": 0, "batch_size": 8, "patience": 0, "average": 0.8} | settings
        )
        model = PromptModel.begin(encoder, tuning, tensors, 2, split["train"].view)
        result = loop.fit(
            model,
            split["train"],
            split["dev"],
            config,
            torch.Generator().manual_seed(2),
            stage="student",
            checkpoints=checkpoints,
            watcher=watcher,
        )
        return model.trained(), result

    return run


@pytest.fixture(scope="module")
def undisturbed(train):
    return train()


def check_same(found, expected):
    (tensors, result), (wanted, other) = found, expected
    assert tensors.keys() == wanted.keys()
    assert all(torch.equal(value, wanted[name]) for name, value in tensors.items())
    assert result.curve == other.curve
    assert (result.steps, result.best_epoch) == (other.steps, other.best_epoch)


def interrupt(train, checkpoints, **where):
    with pytest.raises(Interrupted):
        train(checkpoints, Stop(**where))


@pytest.mark.parametrize("step", [1, 4, 5, 9, 14, 20])
def test_stopped_after_any_step(train, undisturbed, tmp_path, step):
    checkpoints = FolderCheckpoints(tmp_path)
    interrupt(train, checkpoints, step=step)
    watcher = Stop()
    check_same(train(FolderCheckpoints(tmp_path), watcher), undisturbed)
    assert watcher.seen == list(range(step + 1, EPOCHS * STEPS_PER_EPOCH + 1)), "no step is taken again"


class Killed(BaseException):
    """What nothing is saved for."""


class Kill(Silent):
    """Ends a training after some step as a kill does."""

    def __init__(self, step: int):
        self.at_step = step

    def step(self, stage, number, loss):
        if number == self.at_step:
            raise Killed


@pytest.mark.parametrize("step", [1, 4, 5, 7, 20])
@pytest.mark.parametrize("settings", [{}, {"hype": "normal", "hype_scale": 0.1}], ids=str)
def test_killed_after_any_step_of_an_epoch_that_is_saved_within(train, monkeypatch, tmp_path, step, settings):
    """Dropout and noise draw from the generator that has shuffled the epoch."""
    expected = train(**settings)
    monkeypatch.setattr(loop, "_SECONDS_BETWEEN_CHECKPOINTS", 1e9)
    monkeypatch.setattr(loop, "_SECONDS_WITHIN_AN_EPOCH", 0.0)
    with pytest.raises(Killed):
        train(FolderCheckpoints(tmp_path), Kill(step), **settings)
    watcher = Stop()
    check_same(train(FolderCheckpoints(tmp_path), watcher, **settings), expected)
    assert watcher.seen[0] == step


def test_remembered_pairs_that_join_each_batch_are_those_of_an_undisturbed_epoch(tiny_generator, monkeypatch, tmp_path):
    """They are drawn from the same generator, between the batches."""
    monkeypatch.setattr(loop, "_SECONDS_WITHIN_AN_EPOCH", 0.0)
    backbone = tiny_generator("marian")
    texts = ParallelText(backbone.parallel_texts(SOURCES * 3, TARGETS * 3), remembered=5)
    config = TrainingConfig(epochs=2, min_steps=0, batch_size=3, average=0.0)

    def run(checkpoints=None, watcher=None):
        model, generator = WholeModel(backbone), torch.Generator().manual_seed(3)
        result = loop.fit(model, texts, texts, config, generator, checkpoints=checkpoints, watcher=watcher)
        return model.trained(), result

    with pytest.raises(Killed):
        run(FolderCheckpoints(tmp_path), Kill(3))
    check_same(run(FolderCheckpoints(tmp_path)), run())


def test_a_checkpoint_between_epochs_that_says_nothing_of_steps_within_is_taken_up(train, undisturbed, tmp_path):
    checkpoints = FolderCheckpoints(tmp_path)
    with pytest.raises(Killed):
        train(checkpoints, Kill(11))
    tensors, state = checkpoints.load("student")
    assert state.pop("losses") == []
    checkpoints.save("student", tensors, state)
    check_same(train(checkpoints), undisturbed)


@pytest.mark.parametrize("epoch", [0, 1, 3, 5])
def test_stopped_after_any_epoch(train, undisturbed, tmp_path, epoch):
    checkpoints = FolderCheckpoints(tmp_path)
    interrupt(train, checkpoints, epoch=epoch)
    check_same(train(checkpoints), undisturbed)


def test_stopped_again_and_again(train, undisturbed, tmp_path):
    checkpoints = FolderCheckpoints(tmp_path)
    for step in (2, 6, 7, 13, 18):
        interrupt(train, checkpoints, step=step)
    check_same(train(checkpoints), undisturbed)


def test_patience_survives_an_interruption(train, tmp_path):
    settings = {"patience": 1, "learning_rate": 50.0, "epochs": 10}
    expected = train(**settings)
    assert expected[1].steps < 10 * STEPS_PER_EPOCH
    checkpoints = FolderCheckpoints(tmp_path)
    with pytest.raises(Interrupted):
        train(checkpoints, Stop(epoch=len(expected[1].curve) - 1), **settings)
    check_same(train(checkpoints, **settings), expected)


def test_a_finished_training_is_not_repeated(train, undisturbed, tmp_path):
    checkpoints = FolderCheckpoints(tmp_path)
    first = train(checkpoints)
    watcher = Stop()
    again = train(checkpoints, watcher)
    check_same(again, undisturbed)
    assert watcher.seen == []
    assert again[1].earlier_seconds == first[1].seconds
    assert dataclasses.replace(again[1], earlier_seconds=0.0) == first[1]


def test_seconds_are_summed_over_interruptions(train, tmp_path):
    checkpoints = FolderCheckpoints(tmp_path)
    interrupt(train, checkpoints, step=18)
    tensors, state = checkpoints.load("student")
    assert state["seconds"] > 0
    checkpoints.save("student", tensors, state | {"seconds": 1000.0})
    assert 1000 < train(checkpoints)[1].seconds < 1100


def test_a_checkpoint_of_other_settings_is_not_taken_up(train, undisturbed, tmp_path):
    checkpoints = FolderCheckpoints(tmp_path)
    train(checkpoints, epochs=2)
    check_same(train(checkpoints), undisturbed)


def test_nothing_is_saved_between_epochs_that_follow_each_other_quickly(train, monkeypatch, tmp_path):
    monkeypatch.setattr(loop, "_SECONDS_BETWEEN_CHECKPOINTS", 60.0)
    checkpoints = FolderCheckpoints(tmp_path)
    with pytest.raises(Killed):
        train(checkpoints, Kill(18))
    assert checkpoints.load("student") is None


# ---------------------------------------------------------------- damaged checkpoints: start again, same bits


def cut(path):
    path.write_bytes(path.read_bytes()[:-10])


def empty(path):
    path.write_bytes(b"")


def garbage(path):
    path.write_bytes(b"\xff" * 1000)


def foreign(path):
    save_file({"x": torch.zeros(1)}, path)


def no_json(path):
    save_file({"x": torch.zeros(1)}, path, metadata={"state": "{"})


@pytest.mark.parametrize("damage", [cut, empty, garbage, foreign, no_json], ids=lambda damage: damage.__name__)
def test_a_damaged_checkpoint_costs_time_and_nothing_else(train, undisturbed, tmp_path, damage):
    checkpoints = FolderCheckpoints(tmp_path)
    interrupt(train, checkpoints, step=18)
    damage(tmp_path / "student.safetensors")
    watcher = Stop()
    check_same(train(checkpoints, watcher), undisturbed)
    assert watcher.seen[0] == 1


# ---------------------------------------------------------------- the folder


def test_what_is_saved_comes_back(tmp_path):
    checkpoints = FolderCheckpoints(tmp_path / "deep" / "folder")
    tensors = {"a/b": torch.arange(6.0).reshape(2, 3).T, "step": torch.tensor(3.0), "bytes": torch.ByteTensor([1, 2])}
    state = {"epoch": 3, "curve": [{"dev_loss": 0.1, "train_loss": None}], "finished": False}
    checkpoints.save("teacher-1", tensors, state)
    checkpoints.save("student", {"x": torch.zeros(1)}, {})
    loaded, read = checkpoints.load("teacher-1")
    assert read == state
    assert loaded.keys() == tensors.keys()
    assert all(
        torch.equal(value, tensors[name]) and value.dtype == tensors[name].dtype for name, value in loaded.items()
    )
    assert sorted(path.name for path in checkpoints.folder.iterdir()) == [
        "student.safetensors",
        "teacher-1.safetensors",
    ]


def test_saving_replaces_and_clearing_forgets(tmp_path):
    checkpoints = FolderCheckpoints(tmp_path / "run")
    checkpoints.clear()
    assert checkpoints.load("student") is None
    for number in range(2):
        checkpoints.save("student", {"x": torch.tensor(number)}, {"number": number})
    assert checkpoints.load("student") == ({"x": torch.tensor(1)}, {"number": 1})
    checkpoints.clear()
    assert checkpoints.load("student") is None


def test_a_checkpoint_that_cannot_be_written_says_so_and_keeps_the_old_one(tmp_path):
    checkpoints = FolderCheckpoints(tmp_path / "run")
    (tmp_path / "run").write_text("in the way")
    with pytest.raises(StorageError, match=r"Could not write .*student\.safetensors"):
        checkpoints.save("student", {"x": torch.zeros(1)}, {})


def test_a_state_that_is_no_json_leaves_the_old_checkpoint(tmp_path):
    checkpoints = FolderCheckpoints(tmp_path)
    checkpoints.save("student", {"x": torch.zeros(1)}, {"number": 1})
    with pytest.raises(TypeError):
        checkpoints.save("student", {"x": torch.zeros(1)}, {"number": object()})
    assert json.dumps(checkpoints.load("student")[1]) == '{"number": 1}'
    assert len(list(tmp_path.iterdir())) == 1


def test_without_checkpoints_nothing_is_kept():
    checkpoints = NoCheckpoints()
    checkpoints.save("student", {"x": torch.zeros(1)}, {})
    assert checkpoints.load("student") is None
