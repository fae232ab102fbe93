"""Grids on a tiny backbone: the same trainings as the product's, and the same numbers however often it is stopped."""

import json
import shutil
from dataclasses import replace

import pytest
import yaml

from continual.cli import command
from continual.errors import ConfigError, Interrupted, RunError, StreamError
from continual.evaluation.typed import to_json
from continual.grid.grid import Grid
from continual.grid.plan import plan_grid
from continual.grid.records import load_measured
from continual.learner import Learner
from continual.progress import Progress
from streams import build_stream

SOURCES, TARGETS = ("kitchen", "harbour"), ("harbour", "office")


class Stopping(Progress):
    """Asks to stop after so many looks."""

    def __init__(self, looks):
        super().__init__()
        self.looks = looks

    def check(self):
        self.looks -= 1
        if self.looks < 0:
            raise Interrupted("stop")


@pytest.fixture(scope="module")
def config(tmp_path_factory, tiny_folder):
    """The YAML of a small stream on a tiny model; the metric gives scores near 1, so PANDA distils."""
    settings = {
        "stream": {"kind": "simulated", "name": "small", "train": 48, "dev": 20, "test": 24},
        "backbone": {"name": "hub", "path": str(tiny_folder("bert")), "max_length": 48},
        "tuning": {"name": "late", "length": 4, "layer": 1},
        "training": {"epochs": 3, "min_steps": 0, "average": 0.9},
        "transfer": {"metric": "panda_state"},
        "routing": {"keys": 4},
        "threads": 1,
    }
    path = tmp_path_factory.mktemp("grid") / "small.yaml"
    path.write_text(yaml.safe_dump(settings))
    return str(path)


def small_plan(config, seeds=(0,), **changes):
    return plan_grid(config, **{"sources": SOURCES, "targets": TARGETS, "seeds": seeds, "examples": 32, **changes})


@pytest.fixture(scope="module")
def finished(config, tmp_path_factory):
    grid = Grid(tmp_path_factory.mktemp("grid") / "whole", small_plan(config))
    grid.run(Progress())
    return grid


def numbers(measured):
    """Everything but wall time."""
    value = to_json(measured) | {"seconds": 0}
    for outcome in [item["outcome"] for item in value["own"]] + [
        item[method] for item in value["pairs"] for method in ("transfer", "panda")
    ]:
        outcome["seconds"] = 0
    return value


def test_every_cell_is_measured_and_on_disk(finished):
    measured = finished.measured
    assert [(own.task, own.seed) for own in measured.own] == [("kitchen", 0), ("harbour", 0), ("office", 0)]
    names = [(pair.source, pair.target) for pair in measured.pairs]
    assert names == [("kitchen", "harbour"), ("kitchen", "office"), ("harbour", "office")]
    assert measured.finished
    assert load_measured(finished.folder / "grid.json") == measured
    found = json.loads((finished.folder / "grid.json").read_text())["findings"]
    assert found == to_json(finished.findings())
    assert (finished.folder / "grid.html").read_text().startswith("<!")
    assert all(set(pair.scores) >= {"panda", "on", "e_avg", "key_cosine"} for pair in measured.pairs)


def test_plain_prompt_tuning_is_the_default_and_can_be_changed(config):
    plan = small_plan(config)
    learner = plan.configs[0].learner
    assert (learner.readout.layers, learner.readout.terms) == ("none", 0)
    assert learner.training.head_learning_rate == 0.001
    assert plan.configs[0].stream["max_train"] == 32
    other = plan_grid(config, ["readout.terms=7", "training.warmup=0.2"]).configs[0].learner
    assert (other.readout.layers, other.readout.terms, other.training.warmup) == ("none", 7, 0.2)


@pytest.mark.parametrize("method", ["scratch", "spot", "panda"])
def test_a_cell_is_what_the_learner_does(finished, tiny_encoder, tmp_path, method):
    """A pool with the source alone, from which the target is learned by the method itself."""
    plan = finished.plan.configs[0]
    settings = replace(plan.learner, method={"name": method})
    learner = Learner(tmp_path / "pool", tiny_encoder("bert"), replace(settings, method={"name": "scratch"}))
    stream = build_stream(plan.stream, 0)
    learner.learn(stream.task("kitchen"))
    learner = Learner(tmp_path / "pool", tiny_encoder("bert"), settings)
    record = learner.learn(stream.task("harbour"))
    stages = {stage["name"]: stage for stage in record.provenance["stages"]}
    measured = finished.measured
    pair = measured.pairs[0]
    own = next(item for item in measured.own if item.task == "harbour")
    assert (pair.source, pair.target) == ("kitchen", "harbour")
    expected = {"scratch": own.outcome, "spot": pair.transfer, "panda": pair.panda}[method]
    assert record.provenance["dev_accuracy"] == expected.dev
    assert stages["student"]["best_epoch"] == expected.epoch
    assert stages["student"]["curve"][1]["dev_accuracy"] == expected.first
    if method == "panda":
        assert pair.distilled
        assert stages["teacher-1"]["best_epoch"] == pair.transfer.epoch
        assert stages["teacher-1"]["curve"][1]["dev_accuracy"] == pair.transfer.first
    if method != "scratch":
        assert record.provenance["candidates"][0]["scores"] == pair.scores


def test_a_metric_that_gives_no_weight_leaves_the_targets_own_prompt(config, tmp_path):
    plan = small_plan(config, overrides=["method.minimum_score=2"], sources=["kitchen"], targets=["office"])
    measured = Grid(tmp_path / "grid", plan).run(Progress())
    own = next(item for item in measured.own if item.task == "office").outcome
    assert not measured.pairs[0].distilled
    assert measured.pairs[0].panda == own


@pytest.mark.parametrize("looks", [0, 2, 9, 20, 40])
def test_a_stopped_grid_ends_with_the_same_numbers(finished, config, tmp_path, looks):
    folder = tmp_path / "grid"
    with pytest.raises(Interrupted):
        Grid(folder, small_plan(config)).run(Stopping(looks))
    begun = load_measured(folder / "grid.json")
    assert not begun.finished
    measured = Grid(folder, small_plan(config)).run(Progress())
    assert measured.own[: len(begun.own)] == begun.own  # not measured again, or the seconds would differ
    assert numbers(measured) == numbers(finished.measured)


def test_a_finished_grid_is_only_read_and_can_be_widened(config, tmp_path):
    folder = tmp_path / "grid"
    first = Grid(folder, small_plan(config, sources=["kitchen"])).run(Progress())
    again = Grid(folder, small_plan(config, sources=["kitchen"]))
    assert again.measured.finished
    assert again.run(Stopping(0)).pairs == first.pairs
    wider = Grid(folder, small_plan(config, seeds=(0, 1)))
    assert not wider.measured.finished
    assert wider.run(Progress()).pairs[: len(first.pairs)] == first.pairs
    assert len(wider.measured.wanted()) == 6
    assert Grid(folder, small_plan(config, sources=["kitchen"])).measured.finished


def test_a_grid_goes_on_with_other_threads_and_memory(finished, config):
    plan = small_plan(config, overrides=["threads=1", "cache_mb=100"])
    assert Grid(finished.folder, plan).measured.finished


def test_the_number_of_examples_takes_the_place_of_the_streams_own_cap(config, monkeypatch, tmp_path):
    monkeypatch.setenv("CONTINUAL_DATA", str(tmp_path))
    for examples in (32, None):
        (capped,) = small_plan("cl5", examples=examples).configs.values()
        assert capped.stream["max_train"] == capped.resolved["stream"]["max_train"] == examples


def test_bad_grids_are_refused(finished, config, tmp_path):
    with pytest.raises(StreamError, match=r"The option --targets was given an unknown task 'ofice' \(did you mean"):
        Grid(tmp_path / "a", small_plan(config, targets=["ofice"]))
    with pytest.raises(ConfigError, match="a source and another task as target"):
        Grid(tmp_path / "a", small_plan(config, sources=["office"], targets=["office"]))
    with pytest.raises(RunError, match=r"holds a grid with other settings: \S+ was \S+ and is \S+ now"):
        Grid(finished.folder, small_plan(config, examples=20))
    with pytest.raises(ConfigError, match="different whole numbers"):
        small_plan(config, seeds=(1, 1))
    with pytest.raises(ConfigError, match="give them as --seeds"):
        small_plan(config, overrides=["seed=3"])
    with pytest.raises(ConfigError, match=r"give --examples N, or 0 for all, instead of stream\.max_train"):
        small_plan(config, overrides=["stream.max_train=50"])
    with pytest.raises(ConfigError, match="leave method out"):
        small_plan(config, overrides=["method=spot"])
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "file").touch()
    with pytest.raises(RunError, match="holds no grid"):
        Grid(tmp_path / "b", small_plan(config))
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "grid.json").write_text('{"stream": 3}')
    with pytest.raises(RunError, match="is not the record of a grid"):
        Grid(tmp_path / "c", small_plan(config))


def test_two_processes_do_not_work_on_one_grid(finished):
    from filelock import FileLock

    with FileLock(finished.folder / ".lock"), pytest.raises(RunError, match="being worked on"):
        Grid(finished.folder, finished.plan).run(Progress())


def test_the_command_prints_tables_and_json(finished, config, tmp_path, capsys):
    shutil.copytree(finished.folder, tmp_path / "grid-small")
    arguments = [config, "--sources", "kitchen,harbour", "--targets", "harbour, office", "--examples", "32"]
    place = ["--runs-dir", str(tmp_path)]
    command(["grid", *arguments, *place], standalone_mode=False)
    printed = capsys.readouterr().out
    for part in ("harbour", "office", "key_cosine", "PANDA above scratch", "grid.html"):
        assert part in printed
    command(["grid", *arguments, *place, "--format", "json"], standalone_mode=False)
    assert json.loads(capsys.readouterr().out) == json.loads((tmp_path / "grid-small" / "grid.json").read_text())


def test_examples_zero_means_all(config):
    assert "max_train" not in plan_grid(config, examples=None).configs[0].stream


def test_what_is_done_is_said(finished):
    import io

    from rich.console import Console

    from continual.grid.grid import _pair_line

    place = io.StringIO()
    Progress(Console(file=place, width=200)).done(_pair_line(finished.measured.pairs[0]))
    assert place.getvalue().startswith("kitchen to harbour, seed 0: transfer 0.")
