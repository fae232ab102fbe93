"""Does a long stream slow down? Task 15 of equal tasks against task 2, evaluation included."""

import json
import tempfile
from pathlib import Path

from benchmarks.measure import Row

TASKS = 15
_TOPICS = ("kitchen", "harbour", "office", "station", "garden", "farm", "theatre", "stadium", "school", "hospital")
_CUES = ("temperature", "size", "speed", "age", "moisture", "light", "sound", "difficulty", "price")


def rows() -> list[Row]:
    """One run of fifteen simulated tasks of one size with the default method."""
    from continual.config import compose
    from continual.progress import Progress
    from continual.run import Run

    tasks = [
        f"{{name: t{number:02d}, topic: {_TOPICS[number % len(_TOPICS)]}, cues: {{{_CUES[number % len(_CUES)]}: 1.0}}}}"
        for number in range(TASKS)
    ]
    # Equal work for each task: early stopping would end some trainings sooner than others.
    overrides = ["training.epochs=2", "training.min_steps=0", "training.patience=0", "tracking.enabled=false"]
    overrides += [f"stream.tasks=[{','.join(tasks)}]", "stream.train=100", "stream.dev=50", "stream.test=100"]
    with tempfile.TemporaryDirectory() as folder:
        run = Run.create(Path(folder) / "run", compose("simulated", overrides))
        run.execute(Progress())
        tasks_done = json.loads((run.folder / "summary.json").read_text())["per_task"]
    seconds = [item["seconds"] for item in tasks_done]
    evaluation = [item["evaluate_seconds"] for item in tasks_done]
    total = [learn + judge for learn, judge in zip(seconds, evaluation, strict=True)]
    # One task is one measurement; neighbours are taken with it, so that a slow moment does not decide.
    early, late = sorted(total[1:4])[1], sorted(total[-3:])[1]
    ratio = late / early
    return [
        Row(
            what="learning task 15 of a stream, evaluation included (median of tasks 13 to 15)",
            against="task 2 (median of tasks 2 to 4)",
            goal="at most 1.15 times",
            measured=ratio,
            met=ratio <= 1.15,
            limits="routing all earlier tests once for each new task",
            details={"learn": seconds, "evaluate": evaluation},
        )
    ]
