"""Small runs for tests: a simulated stream on a tiny random BERT, done in a second or two."""

import json
from pathlib import Path
from typing import Any

import yaml

from continual.baselines import BASELINES
from continual.errors import Interrupted
from continual.methods import METHODS
from continual.progress import Progress

TASKS = [
    {"name": "kitchen", "topic": "kitchen", "cues": {"temperature": 1.0}},
    {"name": "harbour", "topic": "harbour", "cues": {"temperature": 0.8, "size": 0.6}},
    {"name": "office", "topic": "office", "cues": {"speed": 1.0}},
]
STANCE = {"kind": "stance_simulated", "train": 48, "dev": 24, "test": 24, "tasks": ["wind-turbines", "coal-power"]}


def write_config(path: Path, model: Path, **changes: Any) -> Path:
    """Writes the YAML of a small run on the tiny model in the folder `model`."""
    config = {
        "stream": {"kind": "simulated", "name": "small", "tasks": TASKS, "train": 48, "dev": 20, "test": 24},
        "backbone": {"name": "hub", "path": str(model), "max_length": 48},
        "tuning": {"name": "late", "length": 4, "layer": 1},
        "training": {"epochs": 3, "min_steps": 0, "average": 0.9},
        "routing": {"keys": 4},
        "tracking": {"enabled": False},
        "threads": 1,
    }
    path.write_text(yaml.safe_dump(config | changes))
    return path


def needs(name: str) -> dict[str, Any]:
    """What must be written in a config so that a method or a baseline can learn."""
    if name in BASELINES:
        return {"method": {"name": name} | ({} if name == "linear_probe" else {"learning_rate": 3e-3})}
    more: dict[str, Any] = {"method": {"name": name}}
    if name == "olora":
        more["tuning"] = {"name": "lora", "layer": 1}
    if METHODS.load(name).pairs:
        more["stream"] = STANCE
    return more


def work(folder: str) -> None:
    """Continues a run to its end; what a killed process was doing."""
    import continual.training.loop as loop
    from continual.run import Run

    loop._SECONDS_BETWEEN_CHECKPOINTS = 0.0  # every epoch, so that kills fall between many states
    Run(Path(folder)).execute(Progress())


class Stops(Progress):
    """Asks a run to stop, after some steps of training or after some tasks.

    Args:
        steps: After how many steps.
        tasks: After how many tasks.
    """

    def __init__(self, steps: int | None = None, tasks: int | None = None) -> None:
        super().__init__()
        self._left = {"steps": steps, "tasks": tasks}

    def watcher(self, task, tracker):
        watcher = super().watcher(task, tracker)
        step = watcher.step

        def counted(stage, number, loss):
            step(stage, number, loss)
            self._count("steps")

        watcher.step = counted
        return watcher

    def task_done(self, task, scores):
        super().task_done(task, scores)
        self._count("tasks")

    def _count(self, what: str) -> None:
        if self._left[what] is not None:
            self._left[what] -= 1
            if self._left[what] == 0:
                raise Interrupted("Stopped.")


def numbers(folder: Path) -> dict[str, Any]:
    """All of a finished run's summary that must not depend on interruptions."""
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["finished"]
    tasks = [
        {key: value for key, value in task.items() if "seconds" not in key and key != "stages"}
        | {"curves": [stage["curve"] for stage in task["stages"]]}
        for task in summary["per_task"]
    ]
    return {key: summary[key] for key in ("aware", "routed", "tasks", "method", "tuning")} | {"per_task": tasks}
