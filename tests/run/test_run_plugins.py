"""Runs that use parts of the user's own: killed and continued in new processes, and opened by every command."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command_line import call
from plugin_samples import SMALL, forgotten, write_plugin
from run_samples import numbers

from continual.files import read_json
from continual.methods import METHODS

WORDS = [
    "few",
    "plugins=[mine_for_tests.py]",
    "method=mine",
    "method.times=2",
    "tuning=later",
    "tuning.layer=1",
    *SMALL,
]


def begun(cwd: Path, *words: str) -> subprocess.Popen:
    """A command in a process of its own, which finds no module in the current folder by itself."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "continual", *words],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=dict(os.environ),
    )


def done(cwd: Path, *words: str) -> str:
    process = begun(cwd, *words)
    out = process.communicate(timeout=240)[0]
    assert process.returncode == 0, out
    return out


@pytest.fixture(scope="module")
def place(tmp_path_factory, tiny_folder) -> Path:
    """A folder with the plugin, and the undisturbed run `whole` with all that it registers."""
    folder = tmp_path_factory.mktemp("plugins")
    write_plugin(folder)
    done(folder, "run", *words_on(tiny_folder("bert")), "--name", "whole")
    return folder


def words_on(model: Path) -> list[str]:
    return [*WORDS, "backbone=small", f"backbone.path={model}"]


def test_a_run_is_killed_and_continued_from_another_folder_to_the_same_numbers(place, tiny_folder, tmp_path):
    process = begun(place, "run", *words_on(tiny_folder("bert")), "--name", "killed")
    run, until = place / "runs" / "killed", time.monotonic() + 200
    while not (run / "summary.json").exists() and time.monotonic() < until:  # it appears after the first task
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not read_json(run / "summary.json")["finished"]
    done(tmp_path, "resume", str(run))
    assert numbers(run) == numbers(place / "runs" / "whole")


def test_all_parts_of_the_plugin_are_in_the_results(place):
    summary = read_json(place / "runs" / "whole" / "summary.json")
    assert (summary["method"], summary["tuning"], summary["stream"], summary["backbone"]) == (
        "mine",
        "later",
        "few",
        "bert",
    )
    assert summary["aware"]["extra"] == {"worst_of_mine": min(summary["aware"]["matrix"][-1])}
    assert [stage["name"] for stage in summary["per_task"][0]["stages"]] == ["fit 0", "fit 1"]


def test_a_cell_of_a_sweep_imports_the_plugin_in_its_own_process(place, tiny_folder):
    words = words_on(tiny_folder("bert"))
    done(place, "sweep", *words[:2], "method=mine", *words[4:], "stream.order=[kitchen,harbour]", "--name", "swept")
    cells = [path.parent for path in (place / "runs" / "swept").glob("*/summary.json")]
    assert [read_json(cell / "summary.json")["finished"] for cell in cells] == [True]


@pytest.mark.parametrize(
    "words",
    [
        ("predict", "{run}", "the soup is hot"),
        ("report", "{run}"),
        ("pool", "ls", "{run}"),
        ("validate", "{run}/config.yaml"),
        ("learn", "{run}", "stream.order=[kitchen]"),
        ("grow", "{run}", "{out}", "--layers", "1"),
    ],
    ids=lambda words: words[0],
)
def test_every_command_that_opens_a_run_imports_its_plugins(place, tmp_path, words):
    """In this process, which has forgotten them; that the command then ends as it does without plugins is its own."""
    run = tmp_path / "run"
    shutil.copytree(place / "runs" / "whole", run)
    with forgotten(place):
        assert "mine" not in METHODS
        code, out, err = call(*(word.format(run=run, out=tmp_path / "out") for word in words))
        assert "mine" in METHODS, out + err
    if words[0] in ("predict", "report", "pool", "validate"):
        assert code == 0, err
    else:
        assert (code, err.count("\n")) == (2, 1), err


def test_a_pool_alone_is_told_its_plugins(place, tmp_path):
    archive, pool = str(tmp_path / "pool.zip"), str(tmp_path / "pool")
    with forgotten(place):
        assert call("pool", "export", str(place / "runs" / "whole"), archive)[0] == 0
    with forgotten(place):
        assert call("pool", "import", pool, archive)[0] == 0
        code, _, err = call("predict", pool, "the soup is hot")
        assert (code, err.count("\n")) == (2, 1)
        assert "one of your own is known once what registers it is imported" in err
        code, out, err = call(
            "predict", pool, "the soup is hot", "--plugin", str(place / "mine_for_tests.py"), "--format", "json"
        )
        assert code == 0, err
        assert json.loads(out)[0]["label"]


def test_a_plugin_that_is_gone_is_one_sentence(place, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(place / "runs" / "whole", run)
    text = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(text.replace("mine_for_tests.py", "moved_for_tests.py"))
    with forgotten(place):
        for words in (("resume",), ("report",), ("pool", "ls"), ("predict", "--task", "kitchen")):
            code, _, err = call(*words, str(run), *(["a text"] if words[0] == "predict" else []))
            assert (code, err.count("\n")) == (2, 1)
            assert "moved_for_tests.py, where nothing is; put it back, or correct the path" in err
