"""Whole runs of baselines: the same folder, summary and commands as for our own methods."""

import json
from pathlib import Path

import pytest
from command_line import call
from run_samples import write_config

from continual.baselines.states import FOLDER
from continual.config import compose
from continual.errors import Interrupted
from continual.evaluation.summary import load_summary
from continual.progress import Progress
from continual.run import Run

TRAINING = {"epochs": 2, "min_steps": 0, "batch_size": 16}


class StopInTask(Progress):
    """Asks to stop after some steps."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps

    def advance(self, steps: int) -> None:
        self.steps -= steps
        if not self.steps:
            self._stopping.set()


def settings(folder: Path, model: Path, name: str) -> Path:
    return write_config(folder / f"{name}.yaml", model, method={"name": name, "learning_rate": 3e-3}, training=TRAINING)


def numbers(folder: Path) -> dict:
    """All of a summary that must not depend on interruptions."""
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["finished"]
    tasks = [
        {key: value for key, value in task.items() if "seconds" not in key and key != "stages"}
        | {"curves": [stage["curve"] for stage in task["stages"]]}
        for task in summary["per_task"]
    ]
    return {key: summary[key] for key in ("aware", "routed", "tasks", "method", "tuning")} | {"per_task": tasks}


@pytest.mark.parametrize("name", ["ewc", "joint", "per_task"])
def test_a_run_that_is_stopped_and_resumed_has_the_same_summary(name, tiny_folder, tmp_path):
    config = compose(str(settings(tmp_path, tiny_folder("bert"), name)))
    whole, stopped = (Run.create(tmp_path / folder, config) for folder in ("whole", "stopped"))
    whole.execute(Progress())
    with pytest.raises(Interrupted):
        stopped.execute(StopInTask(8))
    Run(stopped.folder).execute(Progress())
    assert numbers(stopped.folder) == numbers(whole.folder)
    Run(stopped.folder).execute(Progress())
    assert numbers(stopped.folder) == numbers(whole.folder)
    summary = load_summary(whole.folder)
    assert summary.tuning is None
    assert summary.trainable_parameters_per_task > 30_000
    assert summary.examples_per_second > 0
    matrix = summary.aware.matrix
    assert None not in matrix[0] + matrix[3]
    assert (matrix[1] == [None] * 3) == (name == "joint")
    assert (summary.routed.routing_accuracy is None) == (name != "per_task")
    assert not (whole.folder / FOLDER).exists()


@pytest.fixture(scope="module")
def runs(tmp_path_factory, tiny_folder) -> dict[str, Path]:
    """A finished run of two baselines and of one method of our own."""
    root = tmp_path_factory.mktemp("baselines")
    for name in ("naive", "joint"):
        code, out, err = call("run", str(settings(root, tiny_folder("bert"), name)), "--runs-dir", str(root))
        assert code == 0, out + err
        assert err.count("learned ") == 3
    own = write_config(root / "own.yaml", tiny_folder("bert"), method={"name": "scratch"}, training=TRAINING)
    assert call("run", str(own), "--runs-dir", str(root), "--name", "scratch")[0] == 0
    return {name: root / f"{name}-{name}-seed0" for name in ("naive", "joint")} | {"scratch": root / "scratch"}


def test_the_commands_around_runs_take_baselines(runs):
    for name in ("naive", "joint"):
        code, out, _ = call("report", str(runs[name]))
        assert code == 0
        assert "kitchen" in out
        html = (runs[name] / "report.html").read_text()
        assert html.startswith("<!")
        assert "Routing accuracy" not in html
    code, out, _ = call("compare", *map(str, runs.values()), "--format", "json")
    assert code == 0
    groups = {row["method"]: row for row in json.loads(out)["groups"]}
    assert set(groups) == {"naive", "joint", "scratch"}
    assert groups["joint"]["forgetting"] is None
    assert groups["naive"]["forgetting"] is not None
    assert groups["naive"]["tuning"] is None
    assert call("compare", *map(str, runs.values()))[0] == 0
    assert call("resume", str(runs["naive"]))[0] == 0


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["predict", "{run}", "a text"], "is of the baseline 'naive', which is measured and leaves nothing to predict"),
        (["pool", "ls", "{run}"], "has no pool, since its method is a baseline"),
        (["validate", "quickstart", "method=naive", "method.learning_rate=0"], "expected a number above 0"),
        (["validate", "quickstart", "method=naive", "method.learnig_rate=1"], "did you mean 'method.learning_rate'"),
        (["run", "quickstart", "method.name=naiv"], "did you mean 'naive'"),
        (["run", "quickstart", "method=osff"], "did you mean 'osf'"),
    ],
)
def test_what_baselines_refuse_is_one_sentence(runs, words, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = call(*(word.replace("{run}", str(runs["naive"])) for word in words))
    assert code == 2, out + err
    assert expected in err
    assert err.count("\n") == 1


def test_the_listing_tells_baselines_from_our_methods(runs):
    code, out, _ = call("ls", "methods", "--format", "json")
    assert code == 0
    kinds = {entry["name"]: entry["kind"] for entry in json.loads(out)}
    assert kinds["panda"] == "method"
    assert kinds["ewc"] == kinds["linear_probe"] == "baseline"
