"""Sweeps: every cell once, whatever happens in between, and the same numbers as runs of their own."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from run_samples import write_config
from test_cli import call

from continual.config import compose
from continual.errors import ConfigError, RunError
from continual.progress import Progress
from continual.run import Run
from continual.sweep import LocalBackend, Outcome, Sweep, Watch
from continual.sweep.cell import work
from continual.sweep.missing import missing_cells
from continual.sweep.process import ERROR, CellProcess, threads_of
from continual.sweep.record import read_record, runs_in

GRID = ("method=scratch,spot", "seed=0,1")
CELLS = ["method=scratch,seed=0", "method=scratch,seed=1", "method=spot,seed=0", "method=spot,seed=1"]


@pytest.fixture(scope="module")
def config(tmp_path_factory, tiny_folder) -> Path:
    """A small experiment: two tasks, one epoch."""
    from run_samples import TASKS

    stream = {"kind": "simulated", "name": "small", "tasks": TASKS[:2], "train": 24, "dev": 12, "test": 12}
    path = tmp_path_factory.mktemp("sweeps") / "small.yaml"
    training = {"epochs": 1, "min_steps": 0, "average": 0.5}
    return write_config(path, tiny_folder("bert"), stream=stream, training=training, threads=None)


class Recorded(Watch):
    """Keeps what it hears."""

    def __init__(self, heard: list[tuple]) -> None:
        self.heard = heard

    def learned(self, cell: str, done: int, tasks: int) -> None:
        self.heard.append((cell, done, tasks))

    def ended(self, outcome: Outcome) -> None:
        self.heard.append((outcome.cell, outcome.status))


@pytest.fixture(scope="module")
def heard() -> list[tuple]:
    """What was told of the finished sweep."""
    return []


@pytest.fixture(scope="module")
def done(config, heard) -> Path:
    """The folder of a finished sweep of four cells, two at a time."""
    sweep = Sweep.plan(config.parent / "done", str(config), GRID, threads=1)
    outcomes = sweep.run(LocalBackend(jobs=2), Recorded(heard))
    assert [(it.cell, it.status) for it in outcomes] == [(name, "finished") for name in CELLS]
    return sweep.folder


def numbers(run: Path) -> dict:
    summary = json.loads((run / "summary.json").read_text())
    return {"aware": summary["aware"], "routed": summary["routed"], "finished": summary["finished"]}


def times(folder: Path) -> dict[str, int]:
    """When each file of a folder was last changed."""
    return {str(path): path.stat().st_mtime_ns for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_cell_is_the_run_that_its_config_describes(config, done, tmp_path):
    assert sorted(path.name for path in done.iterdir() if path.is_dir()) == sorted(CELLS)
    alone = Run.create(tmp_path / "alone", compose(str(config), ["method=spot", "seed=1", "threads=1"]))
    alone.execute(Progress())
    assert numbers(done / "method=spot,seed=1") == numbers(alone.folder)
    assert numbers(done / "method=spot,seed=1") != numbers(done / "method=spot,seed=0")
    assert call("report", str(done / "method=spot,seed=1"))[0] == 0


def test_the_record_says_what_the_sweep_is(done):
    record = json.loads((done / "sweep.json").read_text())
    assert record["grid"] == {"method": ["scratch", "spot"], "seed": ["0", "1"]}
    assert [cell["name"] for cell in record["cells"]] == CELLS
    assert record["cells"][1]["settings"] == {"method": "scratch", "seed": "1"}
    assert len({cell["digest"] for cell in record["cells"]}) == 4


def test_a_finished_sweep_is_not_run_again(config, done):
    before = times(done)
    sweep = Sweep.plan(done, str(config), GRID, threads=2)
    assert [outcome.status for outcome in sweep.run()] == ["known"] * 4
    after = times(done)
    assert {path: when for path, when in after.items() if "seed=" in path} == {
        path: when for path, when in before.items() if "seed=" in path
    }
    assert [threads_of(done / name) for name in CELLS] == [1] * 4, "a cell keeps the threads that it was begun with"


def test_a_cell_that_another_sweep_has_finished_meanwhile_is_left_alone(done):
    cell = done / CELLS[0]
    before = times(cell)
    assert work(cell, 0, lambda event: None)["status"] == "known"
    assert times(cell) == before


def test_cells_are_known_by_their_settings_and_not_by_the_words_of_the_command(config, tmp_path):
    first = Sweep.plan(tmp_path / "s", str(config), ["seed=0,1"])
    assert [cell.name for cell in first.chosen] == ["seed=0", "seed=1"]
    wider = Sweep.plan(tmp_path / "s", str(config), ["method=panda,spot", "seed=range(0,3)"])
    assert [cell.name for cell in wider.chosen] == [
        "seed=0", "seed=1", "method=panda,seed=2", "method=spot,seed=0", "method=spot,seed=1", "method=spot,seed=2",
    ]  # fmt: skip
    assert len({cell.digest for cell in wider.cells}) == 6
    narrower = Sweep.plan(tmp_path / "s", str(config), ["method=spot", "seed=3"])
    assert [cell.name for cell in narrower.chosen] == ["method=spot,seed=3"], "the name still says what varies"
    assert len(narrower.cells) == len(Sweep(tmp_path / "s").chosen) == 7


def test_other_settings_for_a_cell_are_refused_before_anything_is_made(config, tmp_path):
    Sweep.plan(tmp_path / "s", str(config), ["seed=0,1"])
    before = times(tmp_path)
    with pytest.raises(RunError, match=r"training\.epochs was 1 and is 2 now; give the old ones"):
        Sweep.plan(tmp_path / "s", str(config), ["seed=0,1,2", "training.epochs=2"])
    assert times(tmp_path) == before
    Sweep.plan(tmp_path / "s", str(config), ["seed=0,1", "threads=7", "tracking.enabled=true"])  # decide nothing
    changed = tmp_path / "s" / "seed=1" / "config.yaml"
    changed.write_text(changed.read_text().replace("epochs: 1", "epochs: 5"))
    with pytest.raises(RunError, match=r"config\.yaml are not those"):
        Sweep.plan(tmp_path / "s", str(config), ["seed=0,1"])


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["training.epochs=1,many"], r"expected a whole number.*\(in the cell training\.epochs=many\)\.$"),
        (["method=scratch,spott"], r"did you mean 'spot'.*in the cell"),
        (["training.epoch=1,2"], r"did you mean 'training\.epochs'"),
    ],
)
def test_a_cell_that_cannot_be_composed_is_refused_before_anything_is_made(config, tmp_path, overrides, expected):
    with pytest.raises(ConfigError, match=expected):
        Sweep.plan(tmp_path / "s", str(config), overrides)
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    ("overrides", "own", "expected"),
    [
        (["method=scratch,olora"], {}, r"use tuning=lora \(in the cell method=olora\)\.$"),
        (["method=scratch,tapd"], {}, r"needs a second text.*\(in the cell method=tapd\)\.$"),
        (["tuning.layer=9,1"], {}, r"choose one of them.*\(in the cell tuning\.layer=9\)\.$"),
        (["method=naive", "tuning.layer=1"], {}, "method=naive does not read tuning.layer, which would change nothing"),
        (["method=naive,ewc", "tuning.layer=1"], {}, "method=ewc and naive do not read tuning.layer"),
        (["method=scratch,naive", "training.learning_rate=1,2"], {}, r"--for scratch training\.learning_rate=1,2\.$"),
        (
            ["method=scratch,linear_probe", "training.epochs=1,2"],
            {},
            "method=linear_probe does not read training.epochs",
        ),
        (["method=scratch"], {"olora": ["tuning=lora"]}, "--for olora names no method of this sweep"),
        (["method=scratch"], {"scratch": ["method=spot"]}, "would choose another method"),
        (["method=scratch,spot"], {"scratch": ["transfer.metric=panda"]}, "scratch does not read transfer.metric"),
    ],
)
def test_a_cell_that_cannot_run_or_would_repeat_another_is_refused_before_anything_is_made(
    config, tmp_path, overrides, own, expected
):
    with pytest.raises(ConfigError, match=expected):
        Sweep.plan(tmp_path / "s", str(config), overrides, own=own)
    assert not (tmp_path / "s").exists()


def test_a_method_without_its_setting_is_told_how_to_write_it(config, tmp_path):
    where = ["--runs-dir", str(tmp_path), "--name", "s"]
    code, _, err = call("sweep", str(config), "method=scratch", "--for", "scratch", *where)
    assert code == 2
    assert "--for scratch goes with a setting, as --for scratch KEY=VALUE" in err
    assert not list(tmp_path.iterdir())


def test_a_condition_of_all_cells_need_be_read_by_one_method_only(config, tmp_path):
    grid = ["method=scratch,naive,linear_probe", "training.learning_rate=0.02", "training.epochs=2"]
    assert len(Sweep.plan(tmp_path / "s", str(config), grid).cells) == 3


def test_methods_with_settings_of_their_own_are_one_sweep_that_repeats_nothing(config, tmp_path):
    given = [("olora", "tuning=lora"), ("olora", "tuning.layer=1"), ("naive", "method.learning_rate=0.002,0.003")]
    own = [word for method, override in given for word in ("--for", method, override)]
    arguments = ["sweep", str(config), "method=scratch,olora,naive", *own]
    where = ["--runs-dir", str(tmp_path), "--format", "json"]
    code, out, err = call(*arguments, *where)
    assert code == 0, err
    cells = json.loads(out)["cells"]
    assert [(it["cell"], it["status"]) for it in cells] == [
        ("method=scratch", "finished"),
        ("method=olora", "finished"),
        ("method=naive,method.learning_rate=0.002", "finished"),
        ("method=naive,method.learning_rate=0.003", "finished"),
    ]
    assert cells[1]["settings"]["tuning"] == "lora"
    folder = tmp_path / "small-method-learning_rate"
    before = {path: when for path, when in times(folder).items() if "method=" in path}
    code, out, err = call(*arguments, *where)
    assert (code, [it["status"] for it in json.loads(out)["cells"]]) == (0, ["known"] * 4), err
    assert {path: when for path, when in times(folder).items() if "method=" in path} == before
    with pytest.raises(RunError, match=r"method=olora was planned with other settings: .* give the old ones"):
        Sweep.plan(folder, str(config), ["method=olora", "tuning=lora", "tuning.layer=1", "tuning.rank=2"])


@pytest.mark.parametrize("reference", ["scrtch", "epochs=7", "method=panda", "scratch,kinds", ""])
def test_a_reference_that_no_cell_can_be_is_refused_before_anything_is_made(config, tmp_path, reference):
    with pytest.raises(ConfigError, match=r"There is no cell .* give --reference one of scratch, spot, or key=value"):
        Sweep.plan(tmp_path / "s", str(config), GRID, reference=reference)
    assert not list((tmp_path / "s").glob("[!.]*"))


@pytest.mark.parametrize("reference", ["scratch", "spot, epochs=1", "method=spot", "small · scratch · whatever"])
def test_a_reference_that_a_cell_can_be_is_taken(config, tmp_path, reference):
    Sweep.plan(tmp_path / "s", str(config), GRID, reference=reference)


def test_a_reference_may_be_a_cell_of_an_earlier_grid(config, tmp_path):
    Sweep.plan(tmp_path / "s", str(config), ["method=scratch"])
    Sweep.plan(tmp_path / "s", str(config), ["method=spot"], reference="scratch")


def test_a_folder_that_is_something_else_is_refused(config, done, tmp_path):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "mine.txt").touch()
    with pytest.raises(RunError, match="is not a sweep"):
        Sweep.plan(tmp_path / "s", str(config), ["seed=0"])
    with pytest.raises(RunError, match=r"no sweep\.json"):
        Sweep(tmp_path / "s")
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "sweep.json").write_text("{")
    with pytest.raises(RunError, match="is damaged"):
        read_record(damaged)


def test_what_a_killed_planner_left_behind_is_removed(config, tmp_path):
    leftover = tmp_path / "s" / ".seed=0.0123456789ab.new.tmp"
    leftover.mkdir(parents=True)
    Sweep.plan(tmp_path / "s", str(config), ["seed=0"])
    assert not leftover.exists()
    assert (tmp_path / "s" / "seed=0" / "config.yaml").is_file()


def command(config: Path, *more: str) -> list[str]:
    where = ["--runs-dir", str(config.parent), "--name", "disturbed"]
    return [sys.executable, "-m", "continual", "sweep", str(config), "method=scratch", GRID[1], *where, *more]


def wait_for(condition, seconds: float = 200.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.02)


def free(run: Path) -> bool:
    try:
        with Run(run).locked():
            return True
    except RunError:
        return False


def test_stopped_then_killed_then_run_again_gives_the_same_numbers(config, done):
    """Ctrl-C while the first cell is in work, then SIGKILL while the second one is, then to the end."""
    folder = config.parent / "disturbed"
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    first, second = folder / "seed=0", folder / "seed=1"
    stopped = subprocess.Popen(command(config), stderr=subprocess.PIPE, text=True, env=environment)
    wait_for(lambda: (first / "state.json").exists())
    stopped.send_signal(signal.SIGINT)
    _, said = stopped.communicate(timeout=60)
    assert stopped.returncode == 130
    assert "Go on with: continual sweep" in said
    assert "Traceback" not in said

    killed = subprocess.Popen(command(config), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=environment)
    wait_for(lambda: (second / "state.json").exists())
    before = times(first)
    killed.kill()
    killed.wait()
    wait_for(lambda: free(second))  # the cell ends by itself once its sweep is gone
    assert numbers(first)["finished"]

    code, out, err = call(*command(config, "--jobs", "2", "--format", "json")[3:])
    assert code == 0, err
    assert json.loads(out)["cells"][0]["status"] == "known"
    assert times(first) == before
    assert [numbers(first), numbers(second)] == [numbers(done / name) for name in CELLS[:2]]


def test_a_failing_cell_stops_no_other_and_is_listed(config, tmp_path):
    folder = tmp_path / "small-layer"
    Sweep.plan(folder, str(config), ["tuning.layer=0,1"])
    (folder / "tuning.layer=0" / "run.json").write_text("{")
    arguments = ["sweep", str(config), "tuning.layer=0,1", "--runs-dir", str(tmp_path), "--jobs", "2"]
    code, out, err = call(*arguments)
    assert code == 2
    assert "Traceback" not in err
    lines = err.strip().splitlines()
    assert lines[-1].startswith("failed: tuning.layer=0: ")
    assert "start a new run" in lines[-1]
    assert numbers(folder / "tuning.layer=1")["finished"]
    assert "start a new run" in (folder / "tuning.layer=0" / ERROR).read_text()
    assert "spot" in out or "panda" in out
    assert [path.name for path in runs_in(folder)] == ["tuning.layer=1"]
    _, _, noted = call("compare", str(folder))
    assert f"note: The cell tuning.layer=0 of {folder} failed and enters no mean; error.txt in its folder" in noted


def test_cells_that_are_not_begun_or_not_finished_are_named(config, done, tmp_path):
    grid = ["method=scratch,spot", "seed=range(0,6)"]
    folder = tmp_path / "partial"
    sweep = Sweep.plan(folder, str(config), grid)
    for name in CELLS[:2]:
        shutil.rmtree(folder / name)
        shutil.copytree(done / name, folder / name)
    (folder / "method=scratch,seed=2" / "state.json").write_text("{}")
    begun, scratch, spot = missing_cells(folder)
    assert begun == f"The cell method=scratch,seed=2 of {folder} is not finished and enters no mean."
    assert scratch.startswith(f"3 cells of {folder} (method=scratch,seed=3; ")
    assert spot.startswith(f"6 cells of {folder} (method=spot,seed=0; ")
    assert spot.endswith("; and 2 more) are not started and enter no mean.")
    assert sweep.compare().notes[:3] == [begun, scratch, spot]
    assert missing_cells(folder / CELLS[0]) == missing_cells(done) == []


def test_a_busy_cell_is_skipped_and_reported(config, tmp_path):
    sweep = Sweep.plan(tmp_path / "small-sweep", str(config), ["method=scratch"], threads=1)
    folder = sweep.folder / sweep.chosen[0].name
    with Run(folder).locked():
        code, _, err = call("sweep", str(config), "method=scratch", "--runs-dir", str(tmp_path))
    assert code == 0
    assert "another process works on it" in err
    assert not (folder / ERROR).exists()


def test_a_defect_leaves_its_traceback(config, tmp_path, monkeypatch, capfd):
    sweep = Sweep.plan(tmp_path / "s", str(config), ["seed=0"])
    monkeypatch.setattr(Run, "execute", lambda *_: 1 / 0)
    told = work(sweep.folder / "seed=0", 0, lambda event: None)
    assert told == {"status": "failed", "sentence": "ZeroDivisionError: division by zero", "defect": True}
    assert "Traceback" in capfd.readouterr().err


def test_a_cell_that_is_killed_says_so_and_leaves_a_file(config, tmp_path):
    sweep = Sweep.plan(tmp_path / "s", str(config), ["seed=0"])
    process = CellProcess(sweep.folder / "seed=0")
    os.kill(process._process.pid, signal.SIGKILL)
    outcome = process.outcome()
    assert outcome.status == "failed"
    assert "SIGKILL, perhaps for lack of memory; more in" in outcome.sentence
    assert "SIGKILL" in (sweep.folder / "seed=0" / ERROR).read_text()


def test_fewer_than_one_job_is_refused(config, tmp_path):
    code, _, err = call("sweep", str(config), "seed=0", "--jobs", "0", "--runs-dir", str(tmp_path))
    assert code == 2
    assert err == "error: --jobs is 0, expected at least 1.\n"
    code, _, err = call("sweep", str(config), "seed=0", "--ray-address", "here:1", "--runs-dir", str(tmp_path))
    assert code == 2
    assert "--backend ray" in err


def test_compare_takes_the_sweep_for_its_runs(done, tmp_path):
    figure = tmp_path / "figure.svg"
    code, out, err = call("compare", str(done), "--reference", "scratch", "--figure", str(figure), "--format", "json")
    assert code == 0, err
    value = json.loads(out)
    assert [(row["name"], row["seeds"]) for row in value["groups"]] == [("scratch", [0, 1]), ("spot", [0, 1])]
    assert [(row["first"].split(" · ")[1], row["second"].split(" · ")[1]) for row in value["tests"]] == [
        ("spot", "scratch")
    ]
    assert value["figure"] == str(figure)
    assert figure.read_text().startswith("<svg")


def test_progress_is_told(done, heard):
    for name in CELLS:
        assert [event[1:] for event in heard if event[0] == name] == [(0, 2), (1, 2), (2, 2), ("finished",)]
