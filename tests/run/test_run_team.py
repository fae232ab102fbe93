"""Two processes that learn one run together give what one gives with twice the batch."""

import json
import subprocess
from pathlib import Path

import pytest
from run_samples import work, write_config
from safetensors.torch import load_file

from benchmarks import launch
from continual.config import compose
from continual.run import Run

SETTINGS = (
    "stream.train=41",
    "stream.test=24",
    "stream.dev=16",
    "stream.tasks=[{name: kitchen, topic: kitchen, cues: {temperature: 1.0}}, {name: again, like: kitchen}]",
    "training.epochs=2",
    "training.min_steps=0",
    "training.average=0.5",
    "training.hype=uniform",
    "training.hype_scale=0.01",
    "threads=1",
)


def arguments(folder: Path, name: str, batch: int, *more: str) -> list[str]:
    settings = [*SETTINGS, f"training.batch_size={batch}", "tracking.enabled=false", *more]
    return ["run", "simulated", *settings, "--runs-dir", str(folder), "--name", name]


def together(words: list[str], **environment: str) -> subprocess.CompletedProcess:
    return start(launch.together(words), **environment)


def alone(words: list[str]) -> subprocess.CompletedProcess:
    return start(launch.alone(words))


def start(command: list[str], **environment: str) -> subprocess.CompletedProcess:
    options = {"capture_output": True, "text": True, "timeout": 300, "check": False}
    return subprocess.run(command, env=launch.environment(**environment), **options)


def results(folder: Path) -> dict:
    return json.loads((folder / "summary.json").read_text())


def prompts(folder: Path) -> dict[str, dict]:
    return {file.parent.name: load_file(file) for file in sorted((folder / "pool").rglob("tensors.safetensors"))}


@pytest.mark.timeout(600)
def test_two_processes_are_one_with_twice_the_batch(tmp_path):
    odd = ("method.divide_by_batch=true",)  # with 41 texts and batches of 8, the last batch has one
    both = together(arguments(tmp_path, "both", 4, *odd), TMPDIR=str(tmp_path))
    assert both.returncode == 0, both.stderr[-3000:]
    single = alone(arguments(tmp_path, "single", 8, *odd))
    assert single.returncode == 0, single.stderr[-3000:]
    assert results(tmp_path / "both")["aware"]["matrix"] == results(tmp_path / "single")["aware"]["matrix"]
    expected = prompts(tmp_path / "single")
    found = prompts(tmp_path / "both")
    assert found.keys() == expected.keys()
    for prompt, tensors in expected.items():
        for name, value in tensors.items():
            # Sums are taken in another order, nothing else differs.
            largest = max(1.0, float(value.abs().max()))
            assert (found[prompt][name] - value).abs().max() <= 1e-4 * largest, (prompt, name)
    assert both.stdout.count("report:") == 1
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.timeout(300)
def test_what_the_leader_refuses_ends_all(tmp_path):
    words = arguments(tmp_path, "taken", 4)
    (tmp_path / "taken").mkdir()
    found = together(words)
    assert found.returncode != 0
    assert found.stderr.count("exists already") == 1


@pytest.mark.timeout(300)
def test_a_run_is_continued_with_as_many_processes(tmp_path, tiny_folder):
    config = compose(str(write_config(tmp_path / "small.yaml", tiny_folder("bert"))))
    run = Run.create(tmp_path / "run", config)
    work(str(run.folder))
    found = together(["resume", str(run.folder)])
    assert found.returncode != 0
    assert found.stderr.count("was begun with 1 processes and cannot be continued with 2") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "small.yaml"]
