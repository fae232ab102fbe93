"""Small students of every recipe that is not about translation: a simulated stream, a tiny model, seconds."""

from pathlib import Path
from typing import Any

import yaml
from run_samples import TASKS

from continual.progress import Progress
from continual.students.session import Student, compose

_SIMULATED = {"kind": "simulated", "name": "small", "tasks": TASKS[:2], "train": 24, "dev": 12, "test": 12}
_TRAINING = {
    "minutes": 1,
    "steps": 6,
    "batch_tokens": 200,
    "learning_rate": 0.001,
    "warmup": 2,
    "cooldown": 0.3,
    "label_smoothing": 0.0,
    "evaluate_every": 3,
}
_STUDENT = {"layers": 2, "start": "uniform"}
_FEW = {"steps": 4}

RECIPES: dict[str, dict[str, Any]] = {
    "tinybert": {
        "student": {"layers": 2, "width": 24, "inner": 20, "start": "random"},
        "augmentation": {"copies": 1, "candidates": 3},
        "general": _FEW,
        "fine_tuning": _FEW,
    },
    "disco": {"student": _STUDENT, "disco": {"bank": 30}, "contrast": _FEW},
    "fsd": {"student": {"layers": 2, "start": "first"}, "fsd": {"memory": 3, "positions": 8}, "fine_tuning": _FEW},
    "online": {
        "assistant": {"layers": 2},
        "students": [
            {"name": "small", "layers": 1},
            {"name": "slim", "layers": 1, "width": 16, "inner": 20, "start": "random"},
        ],
    },
    "in_context": {
        "student": _STUDENT,
        "context": {"demonstrations": 1, "shots": 3, "text_tokens": 10, "separator": "."},
        "in_context": {"course": "falling", "draws": 2, "tested": 6},
        "tuning": _FEW,
    },
}
"""What each recipe is given beside stream, backbone and training."""


def settings(recipe: str, model: Path, **changes: Any) -> dict[str, Any]:
    """The whole settings of a small student."""
    return {
        "kind": recipe,
        "stream": _SIMULATED,
        "backbone": str(model),
        "training": _TRAINING,
        "tracking": {"enabled": False},
        "threads": 1,
        **RECIPES[recipe],
        **changes,
    }


def student(folder: Path, given: dict[str, Any], *overrides: str, name: str = "made") -> Student:
    """The student of these settings in `folder/runs/NAME`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "settings.yaml"
    path.write_text(yaml.safe_dump(given))
    return Student(compose(str(path), overrides), folder / "runs", name)


def made(folder: Path, given: dict[str, Any], *overrides: str, name: str = "made") -> Student:
    """The same, finished."""
    it = student(folder, given, *overrides, name=name)
    it.execute(Progress())
    return it


def models(it: Student) -> list[Path]:
    """The folders of all models of a finished student."""
    return sorted(path.parent for path in it.folder.rglob("config.json"))


def numbers(it: Student) -> dict[str, Any]:
    """All of a summary that must not depend on interruptions."""
    summary = it.summary()
    stages = [
        {key: value for key, value in stage.items() if key not in ("seconds", "curve")}
        | {"curve": [{key: value for key, value in entry.items() if key != "seconds"} for entry in stage["curve"]]}
        for stage in summary["stages"]
    ]
    return {key: value for key, value in summary.items() if key not in ("seconds", "stages")} | {"stages": stages}
