"""One check that every baseline must pass."""

import math
import random

import pytest
import torch
from baseline_samples import SIZES, learn, opened, step, stream

from continual.baselines import BASELINES, training
from continual.baselines.states import FOLDER
from continual.errors import Interrupted, RunError
from continual.training.watch import Silent

NAMES = BASELINES.names()
SHARED = [name for name in NAMES if name not in ("per_task", "linear_probe")]
each = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(scope="module")
def encoder(tiny_encoder):
    return tiny_encoder("bert")


@pytest.fixture(scope="module")
def learned(encoder, tmp_path_factory):
    """Every baseline's undisturbed way through the small stream, made at first use."""
    kept = {}

    def of(name: str):
        if name not in kept:
            folder = tmp_path_factory.mktemp(name)
            torch.manual_seed(1)
            participant = opened(name, folder, encoder)
            kept[name] = (participant, learn(participant, stream(), folder))
        return kept[name]

    return of


def plain(found: list[tuple]) -> list:
    """All of it that must not depend on time."""
    return [
        (
            {key: value for key, value in vars(record).items() if key not in ("seconds", "stages")},
            [{key: value for key, value in stage.items() if key != "seconds"} for stage in record.stages],
            met,
            scores,
        )
        for record, met, scores in found
    ]


# ---------------------------------------------------------------- what every baseline must do


@each
def test_a_separable_task_is_learned_and_recorded(learned, name):
    _, found = learned(name)
    record, _, scores = found[-1] if name == "joint" else found[0]
    chance = 1 / 3 if name == "joint" else 1 / 2
    assert record.dev_accuracy >= chance + 0.15
    assert scores["town"].aware.main >= 0.65
    (stage,) = record.stages
    assert stage["curve"][stage["best_epoch"]]["dev_accuracy"] == record.dev_accuracy
    assert stage["curve"][stage["best_epoch"]]["dev_loss"] == min(point["dev_loss"] for point in stage["curve"])
    assert [point["epoch"] for point in stage["curve"]] == list(range(len(stage["curve"])))
    assert stage["steps"] == (len(stage["curve"]) - 1) * math.ceil(record.train_examples / 6)
    assert record.trained_parameters > 0
    assert record.seconds > 0


@each
def test_every_row_has_a_score_for_every_task_so_far(learned, name):
    _, found = learned(name)
    for row, (_, met, scores) in enumerate(found):
        assert list(scores) == list(stream().names[: row + 1])
        for task, score in scores.items():
            if name == "joint" and row < 2:
                assert score.aware is score.routed is None
                continue
            assert 0 <= score.routed.main <= 1
            assert 0 <= score.aware.second <= 1
            if name in SHARED:  # fewer labels to choose from cannot make a right answer wrong
                assert score.aware.main >= score.routed.main
                assert score.routed.prompts is score.routed.own is None
            else:
                assert len(score.routed.prompts) == SIZES["test"]
                assert score.aware.prompts == [task] * SIZES["test"]
        # Nothing knows the labels of the first and of the last task before they are learned.
        assert (met is None) == (row in (0, 2)) or name == "joint"


@each
def test_learning_is_deterministic_and_leaves_the_global_generators_alone(learned, encoder, name, tmp_path):
    expected = learned(name)[1]
    torch.manual_seed(2)
    random.seed(2)
    before = torch.get_rng_state(), random.getstate()
    again = learn(opened(name, tmp_path / "again", encoder), stream(), tmp_path / "again", stop=2)
    assert plain(again) == plain(expected[:2])
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    if name not in ("joint", "linear_probe"):  # the one needs the last task, the other draws nothing
        other = learn(opened(name, tmp_path / "other", encoder, seed=1), stream(), tmp_path / "other", stop=1)
        assert other[0][0].stages[0]["curve"] != expected[0][0].stages[0]["curve"]


@each
def test_the_frozen_encoder_stays_as_it_is(tiny_folder, name, tmp_path):
    from continual.backbone.catalog import hub

    own = hub(path=str(tiny_folder("bert")), max_length=48)
    before = {key: value.clone() for key, value in own.model.state_dict().items()}
    learn(opened(name, tmp_path, own), stream("town"), tmp_path)
    assert not own.model.training
    assert not any(value.requires_grad for value in own.model.parameters())
    after = own.model.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(value, after[key]) for key, value in before.items())


class StopAfter(Silent):
    def __init__(self, steps: int) -> None:
        self.steps = steps

    def step(self, stage, number, loss) -> None:
        self.steps -= 1
        if not self.steps:
            raise Interrupted("Stopped.")


@pytest.mark.parametrize("name", [name for name in NAMES if name != "linear_probe"])
def test_stopped_within_a_task_and_resumed_to_the_same_bits(learned, encoder, name, tmp_path, monkeypatch):
    """The first session learns a task and dies in the next, after an epoch that was saved; the second goes on."""
    monkeypatch.setattr(training, "_SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    tasks, stopped = stream(), 2 if name == "joint" else 1
    first = opened(name, tmp_path, encoder)
    found = learn(first, tasks, tmp_path, stop=stopped)
    task = tasks.task(tasks.names[stopped])
    met = first.unseen(task, stopped)
    with pytest.raises(Interrupted):
        step(first, task, stopped, tmp_path, StopAfter(20 if name == "joint" else 7))
    assert list((tmp_path / "checkpoint").rglob("*.safetensors"))
    second = opened(name, tmp_path, encoder)
    assert second.stored(task, stopped) is None
    assert second.unseen(task, stopped) == met
    record = step(second, task, stopped, tmp_path)
    scores = {other: second.scores(tasks.task(other), stopped + 1) for other in tasks.names[: stopped + 1]}
    assert plain([*found, (record, met, scores)]) == plain(learned(name)[1][: stopped + 1])


@pytest.mark.parametrize("name", [name for name in NAMES if name != "joint"])
def test_a_task_that_was_learned_but_not_noted_is_found_on_disk(encoder, learned, name, tmp_path):
    tasks = stream("town", "coast")
    found = learn(opened(name, tmp_path, encoder, stream()), tasks, tmp_path)
    again = opened(name, tmp_path, encoder, stream())
    again.check(1)
    assert again.stored(tasks.task("coast"), 1) == found[1][0]
    assert again.stored(stream().task("topics"), 2) is None
    assert {task: again.scores(tasks.task(task), 2) for task in tasks.names} == found[1][2]
    with pytest.raises(RunError, match="holds more tasks than state"):
        again.check(0)


@each
def test_rereading_changes_no_score_and_finishing_leaves_no_weights(encoder, name, tmp_path):
    tasks = stream("town", "coast")
    participant = opened(name, tmp_path, encoder, tasks)
    *_, (_, _, expected) = learn(participant, tasks, tmp_path)
    participant.reread([tasks.task(task) for task in tasks.names])
    assert {task: participant.scores(tasks.task(task), 2) for task in tasks.names} == expected
    assert list((tmp_path / FOLDER).iterdir())
    participant.finish()
    assert not (tmp_path / FOLDER).exists()


def test_a_missing_state_is_one_sentence(encoder, tmp_path):
    tasks = stream("town", "coast")
    learn(opened("naive", tmp_path, encoder, tasks), tasks, tmp_path, stop=1)
    (tmp_path / FOLDER / "0001.safetensors").unlink()
    with pytest.raises(RunError, match=r"0001\.safetensors is missing or damaged, .*; start a new run\.$"):
        opened("naive", tmp_path, encoder, tasks).unseen(tasks.task("coast"), 1)
