"""Does a long stream slow down? Task 15 of equal tasks against task 2, everything that a run does for a task included.

A task is met (scored before it is learned), learned, assessed with all earlier ones, and saved; the clock runs from
one finished task to the next. Each task has texts of its own and trains as often and as long: stopping early is off,
and every task but the first takes a teacher, however little its score promises (`method.minimum_score`). The stream is
longer than 15 tasks, because after its last task a run reads all that it stored anew.
"""

import json
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.measure import Row, Spread
from continual.progress import Progress

TASKS, LATE, EARLY = 16, 15, 2
_TOPICS = ("kitchen", "harbour", "office", "station", "garden", "farm", "theatre", "stadium", "school", "hospital")
_CUES = ("temperature", "size", "speed", "age", "moisture", "light", "sound", "difficulty", "price")
_EQUAL = (
    "training.epochs=2",
    "training.min_steps=0",
    "training.patience=0",
    "method.minimum_score=-2",
    "tracking.enabled=false",
)


class _Clock(Progress):
    """Notes when tasks are done."""

    def __init__(self) -> None:
        super().__init__()
        self.times = [time.perf_counter()]

    def task_done(self, task: str, scores: Mapping[str, float | None]) -> None:
        """See `Progress.task_done`."""
        self.times.append(time.perf_counter())
        super().task_done(task, scores)

    @property
    def seconds(self) -> list[float]:
        """What each task took."""
        return [after - before for before, after in zip(self.times, self.times[1:], strict=False)]


def rows(quick: bool = False) -> list[Row]:
    """Five runs of the default method; of each, task 15 against task 2, and the end against the task before it."""
    texts, repeats = (8, 1) if quick else (32, 5)
    runs = [_run(texts) for _ in range(repeats)]
    late, early = (Spread.of([run["whole"][number - 1] for run in runs]) for number in (LATE, EARLY))
    last, before = (Spread.of([run["assess"][place] for run in runs]) for place in (-1, -2))
    ratio, reading = late.over(early), last.over(before)
    details = {
        "texts": texts,
        "task 15": late.to_json(),
        "task 2": early.to_json(),
        "every task": _medians([run["whole"] for run in runs]),
        "of which learning": _medians([run["learn"] for run in runs]),
        "of which assessment": _medians([run["assess"] for run in runs]),
        "trainings": runs[0]["trainings"],
    }
    return [
        Row.of(
            ratio,
            f"task {LATE} of a stream of {TASKS}: met, learned and assessed with all before it",
            f"task {EARLY} of the same run and size ({early.median:.2f} s)",
            "at most 1.15 times",
            ratio.median <= 1.15,
            limits=f"assessment ({details['of which assessment'][LATE - 1]:.2f} s against "
            f"{details['of which assessment'][EARLY - 1]:.2f} s) routes all earlier tests once for each new task",
            details=details,
            n="1 run" if repeats == 1 else f"{repeats} runs",
        ),
        Row.of(
            reading,
            f"assessment after the last task, which reads all {TASKS} prompts from disk and answers all tests anew",
            f"assessment after the task before it ({before.median:.2f} s)",
            details={"last": last.to_json(), "before": before.to_json()},
            limits="it happens once in a run, so that the last row of the matrix is of what is stored",
            n="1 run" if repeats == 1 else f"{repeats} runs",
        ),
    ]


def _run(texts: int) -> dict[str, list[Any]]:
    """Seconds of each task of one run, whole and in parts, and how many trainings each had."""
    from continual.config import compose
    from continual.run import Run

    tasks = [
        f"{{name: t{number:02d}, topic: {_TOPICS[number % len(_TOPICS)]}, cues: {{{_CUES[number % len(_CUES)]}: 1.0}}}}"
        for number in range(TASKS)
    ]
    overrides = [f"stream.tasks=[{','.join(tasks)}]", *(f"stream.{part}={texts}" for part in ("train", "dev", "test"))]
    clock = _Clock()
    with tempfile.TemporaryDirectory() as folder:
        run = Run.create(Path(folder) / "run", compose("simulated", [*_EQUAL, *overrides]))
        clock.times = [time.perf_counter()]
        run.execute(clock)
        done = json.loads((run.folder / "summary.json").read_text())["per_task"]
    return {
        "whole": clock.seconds,
        "learn": [item["train_seconds"] for item in done],
        "assess": [item["evaluate_seconds"] for item in done],
        "trainings": [len(item["stages"]) for item in done],
    }


def _medians(runs: list[list[float]]) -> list[float]:
    """For each task the median over runs."""
    return [statistics.median(values) for values in zip(*runs, strict=True)]
