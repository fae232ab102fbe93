"""Whole runs of baselines: the same folder, summary and commands as for our own methods."""

import json
from pathlib import Path

import pytest
from command_line import call
from run_samples import write_config

from continual.unread import check_read

TRAINING = {"epochs": 2, "min_steps": 0, "batch_size": 16}


def settings(folder: Path, model: Path, name: str) -> Path:
    return write_config(folder / f"{name}.yaml", model, method={"name": name, "learning_rate": 3e-3}, training=TRAINING)


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
        (["predict", "{run}", "a text"], "is of the baseline 'naive', which is measured and leaves no prompts"),
        (["pool", "ls", "{run}"], "is of the baseline 'naive', which is measured and leaves no prompts"),
        (["validate", "quickstart", "method=naive", "method.learning_rate=0"], "expected a number above 0"),
        (["validate", "quickstart", "method=naive", "method.learnig_rate=1"], "did you mean 'method.learning_rate'"),
        (["validate", "quickstart", "method=naive", "tuning=lora"], "method=naive does not read tuning, which would"),
        (
            ["run", "quickstart", "method=ewc", "training.learning_rate=1"],
            "give method.learning_rate, or leave it out.",
        ),
        (["validate", "quickstart", "method=scratch", "transfer.metric=on"], "does not read transfer.metric"),
        (["validate", "quickstart", "method=naive", "readout.terms=0"], "does not read readout.terms"),
        (["run", "quickstart", "method=replay", "routing.keys=4"], "does not read routing.keys"),
        (["run", "quickstart", "method=naiv"], "did you mean 'naive'"),
        (["run", "quickstart", "method=osff"], "did you mean 'osf'"),
    ],
)
def test_what_baselines_refuse_is_one_sentence(runs, words, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = call(*(word.replace("{run}", str(runs["naive"])) for word in words))
    assert code == 2, out + err
    assert expected in err
    assert err.count("\n") == 1


def test_what_is_said_to_all_methods_of_a_comparison_is_taken_by_each():
    from benchmarks.methods.contestants import BUDGET, CONTESTANTS, STREAMS

    for contestant in CONTESTANTS.values():
        method = contestant.settings[0].partition("=")[2]
        searched = [f"{knob.setting}=0" for knob in contestant.knobs]
        check_read(method, [*contestant.settings, *BUDGET, *STREAMS["pheme"], *searched])


def test_the_listing_tells_baselines_from_our_methods(runs):
    code, out, _ = call("ls", "methods", "--format", "json")
    assert code == 0
    kinds = {entry["name"]: entry["kind"] for entry in json.loads(out)}
    assert kinds["panda"] == "method"
    assert kinds["ewc"] == kinds["linear_probe"] == "baseline"
