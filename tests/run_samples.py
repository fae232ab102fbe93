"""Small runs for tests: a simulated stream on a tiny random BERT, done in a second or two."""

from pathlib import Path
from typing import Any

import yaml

TASKS = [
    {"name": "kitchen", "topic": "kitchen", "cues": {"temperature": 1.0}},
    {"name": "harbour", "topic": "harbour", "cues": {"temperature": 0.8, "size": 0.6}},
    {"name": "office", "topic": "office", "cues": {"speed": 1.0}},
]


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


def work(folder: str) -> None:
    """Continues a run to its end; what a killed process was doing."""
    import continual.training.loop as loop
    from continual.progress import Progress
    from continual.run import Run

    loop._SECONDS_BETWEEN_CHECKPOINTS = 0.0  # every epoch, so that kills fall between many states
    Run(Path(folder)).execute(Progress())
