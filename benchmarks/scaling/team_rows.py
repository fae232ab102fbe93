"""Two gloo processes with half the batch each against one with the whole batch, one thread for each process."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import launch
from benchmarks.measure import Row, Spread, seconds_of

_SETTINGS = (
    "method=scratch",
    "training.epochs=3",
    "training.min_steps=0",
    "training.patience=0",
    "tracking.enabled=false",
    "threads=1",
)
_EVENTS = ("ferguson", "ottawashooting")
_FEW = ("stream.max_train=48", "stream.max_dev=24", "stream.max_test=24")
_BATCH = 16


def rows(repeats: int, quick: bool = False) -> list[Row]:
    """Both runs in turns.

    Args:
        repeats: How many turns.
        quick: Learn from few texts.
    """
    with tempfile.TemporaryDirectory() as folder:
        turns = [_turn(Path(folder) / str(number), quick) for number in range(repeats)]
    return compared([one for one, _ in turns], [two for _, two in turns])


def compared(single: list[dict[str, Any]], double: list[dict[str, Any]]) -> list[Row]:
    """The rows of summaries of runs in one process and, turn by turn, in two.

    Args:
        single: Summaries of the runs in one process, each with `whole`, the seconds of the process.
        double: Likewise in two.
    """
    apart = Spread.of([_apart(one, two) for one, two in zip(single, double, strict=True)])
    seconds = [Spread.of([run["seconds"]["train"] for run in runs]) for runs in (single, double)]
    faster = seconds[0].over(seconds[1])
    whole = [Spread.of([run["whole"] for run in runs]).to_json() for runs in (single, double)]
    return [
        Row.of(
            apart,
            "two processes with half the batch each: largest difference in the accuracy matrix",
            "one process with the whole batch",
            "0",
            apart.high == 0,
            "",
            "the order of sums; a prediction flips where two labels are equally likely",
        ),
        Row.of(
            faster,
            "two processes, one thread each: learning time",
            "one process with one thread",
            "at least 1.3 times faster",
            faster.median >= 1.3,
            limits="the ground and the scores on dev, which each process computes for itself, and memory",
            details={
                "learning, s": {"single": seconds[0].to_json(), "double": seconds[1].to_json()},
                "whole runs, s": {"single": whole[0], "double": whole[1]},
            },
        ),
    ]


def _apart(one: dict[str, Any], two: dict[str, Any]) -> float:
    matrices = [np.array(run["aware"]["matrix"][1:], dtype=float) for run in (one, two)]
    return float(np.nanmax(np.abs(matrices[0] - matrices[1])))


def _turn(folder: Path, quick: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    return (
        _run(folder, "single", _BATCH, launch.alone, quick),
        _run(folder, "double", _BATCH // launch.PROCESSES, launch.together, quick),
    )


def _run(folder: Path, name: str, batch: int, start: Callable[[list[str]], list[str]], quick: bool) -> dict[str, Any]:
    """The summary of a run, with the seconds of the whole process."""
    few = _FEW if quick else ()
    words = ["run", "pheme", f"stream.tasks=[{','.join(_EVENTS)}]", *_SETTINGS, *few]
    command = start([*words, f"training.batch_size={batch}", "--runs-dir", str(folder), "--name", name])

    def run() -> None:
        environment = launch.environment(OMP_NUM_THREADS="1")
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        if done.returncode:
            sys.exit(done.stderr[-2000:])

    whole = seconds_of(run)
    return json.loads((folder / name / "summary.json").read_text()) | {"whole": whole}
