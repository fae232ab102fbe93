"""A run goes on with tasks that were added to its stream, to the numbers of a run that had them from the start."""

import csv
import json
import multiprocessing
from pathlib import Path

import pytest
import yaml
from command_line import call
from kills import kill_at_random
from run_samples import Stops, needs, numbers, work, write_config

from continual.config import compose
from continual.errors import Interrupted
from continual.extension import extend
from continual.progress import Progress
from continual.run import Run

FIRST = "stream.order=[kitchen,harbour]"
ALL = "stream.order=[kitchen,harbour,office]"


@pytest.fixture(scope="module")
def config(tmp_path_factory, tiny_folder):
    """Writes the settings of a small run of a method."""

    def written(method: str) -> str:
        folder = tmp_path_factory.mktemp("learn")
        training = {"epochs": 2, "min_steps": 0}
        return str(write_config(folder / "small.yaml", tiny_folder("bert"), training=training, **needs(method)))

    return written


@pytest.fixture(scope="module")
def whole(tmp_path_factory, config):
    """A run that had all tasks from the start."""
    return run_of(tmp_path_factory.mktemp("whole") / "run", config("spot"), ALL)


@pytest.fixture
def short(tmp_path, config):
    """A finished run of the first two tasks."""
    return run_of(tmp_path / "run", config("spot"), FIRST)


def run_of(folder: Path, settings: str, *overrides: str) -> Path:
    Run.create(folder, compose(settings, overrides)).execute(Progress())
    return folder


def prompts(folder: Path) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in sorted(folder.glob("pool/prompts/*/tensors.safetensors"))}


def test_a_finished_run_learns_one_more_task_as_if_it_had_been_there_from_the_start(whole, short):
    code, out, err = call("learn", str(short), ALL)
    assert code == 0, err
    assert "office" in out
    assert numbers(short) == numbers(whole)
    assert prompts(short) == prompts(whole)
    with (short / "matrix.csv").open() as file:
        assert next(csv.reader(file))[2:] == ["kitchen", "harbour", "office"]
    assert "office" in (short / "report.html").read_text()
    assert call("resume", str(short))[0] == 0
    assert numbers(short) == numbers(whole)


def test_a_run_that_is_killed_while_it_learns_more_goes_on(whole, short):
    run = extend(Run(short), [ALL])
    with pytest.raises(Interrupted):
        run.execute(Stops(steps=3))
    summary = json.loads((short / "summary.json").read_text())
    assert (summary["finished"], summary["tasks"]) == (False, ["kitchen", "harbour", "office"])
    context = multiprocessing.get_context("forkserver")
    kill_at_random(lambda: context.Process(target=work, args=(str(short),)), 2, (2, 5), seed=0)
    code, _, err = call("learn", str(short), ALL)  # the same command again goes on too
    # On a quick machine a process was done before it was killed, and nothing is left to learn.
    assert code == 0 or "has learned all tasks" in err
    assert numbers(short) == numbers(whole)


@pytest.mark.parametrize("method", ["naive", "replay", "joint", "per_task"])
def test_a_baseline_that_was_stopped_takes_more_tasks(tmp_path, config, method):
    settings = config(method)
    all_at_once = run_of(tmp_path / "all", settings, ALL)
    folder = tmp_path / "run"
    with pytest.raises(Interrupted):
        Run.create(folder, compose(settings, [FIRST])).execute(Stops(tasks=1))
    code, _, err = call("learn", str(folder), ALL)
    assert code == 0, err
    assert numbers(folder) == numbers(all_at_once)


def test_a_task_that_was_not_begun_can_be_left_out(tmp_path, config):
    folder = tmp_path / "run"
    with pytest.raises(Interrupted):
        Run.create(folder, compose(config("spot"), [ALL])).execute(Stops(tasks=1))
    assert call("learn", str(folder), "stream.order=[kitchen,office]")[0] == 0
    assert numbers(folder)["tasks"] == ["kitchen", "office"]


def test_new_texts_in_the_data_are_learned_when_that_is_asked_for(tmp_path, config):
    table, rows = tmp_path / "shop.csv", ["text,label,domain"]
    for domain in ("books", "music"):
        rows += [f"{domain} {'good' if n % 2 else 'bad'} {n},{n % 2},{domain}" for n in range(40)]
    table.write_text("\n".join(rows[:41]) + "\n")
    settings = tmp_path / "shop.yaml"
    stream = {"kind": "table", "name": "shop", "path": str(table), "domain": "domain"}
    settings.write_text(yaml.safe_dump(yaml.safe_load(Path(config("spot")).read_text()) | {"stream": stream}))
    folder = run_of(tmp_path / "run", str(settings))
    code, _, err = call("learn", str(folder))
    assert code == 2
    assert "has learned all tasks of its stream (books)" in err
    table.write_text("\n".join(rows) + "\n")
    code, _, err = call("resume", str(folder))
    assert code == 2
    assert f"(music); learn them with `continual learn {folder}`" in err
    assert call("learn", str(folder))[0] == 0
    assert numbers(folder) == numbers(run_of(tmp_path / "all", str(settings)))


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["stream.order=[harbour,kitchen,office]"], "has begun with the tasks kitchen, harbour in this order"),
        (["stream.order=[kitchen]"], "has begun with the tasks kitchen, harbour in this order"),
        (["stream.order=[kitchen,harbour,attic]"], "attic"),
        ([FIRST], "has learned all tasks of its stream (kitchen, harbour)"),
        ([ALL, "seed=1"], "'seed=1' is no setting of the stream"),
        ([ALL, "stream.max_test=4"], "resume with the configuration it was saved under"),
        ([ALL, "stream.test=30"], "The test texts of task 'kitchen' are not those"),
    ],
)
def test_what_cannot_be_learned_leaves_the_run_as_it_was(short, overrides, expected):
    before = {path: path.read_bytes() for path in short.glob("*.*")}
    code, _, err = call("learn", str(short), *overrides)
    assert code == 2
    assert expected in err
    assert err.count("\n") == 1
    assert {path: path.read_bytes() for path in short.glob("*.*")} == before


@pytest.mark.parametrize(
    ("method", "stops", "expected"),
    [
        ("naive", None, "keeps its models only until then"),
        ("joint", None, "depends on how many tasks there are"),
        ("osf", 1, "depends on how many tasks there are"),
    ],
)
def test_a_baseline_says_why_it_cannot_learn_more(tmp_path, config, method, stops, expected):
    folder = tmp_path / "run"
    run = Run.create(folder, compose(config(method), [FIRST]))
    if stops is None:
        run.execute(Progress())
    else:
        with pytest.raises(Interrupted):
            run.execute(Stops(tasks=stops))
    code, _, err = call("learn", str(folder), ALL)
    assert code == 2
    assert expected in err
