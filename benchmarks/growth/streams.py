"""Streams with growth and without: one that prompts hold badly, and two that they hold."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.runs import finished
from continual.config import compose
from continual.evaluation.summary import Summary

HARD = ("agnews", "qqp", "mnli", "boolq")
"""An easy task, then tasks on pairs that a small sentence encoder holds badly."""

SMALL = (
    *("method=scratch", "readout.layers=none", "readout.terms=0"),
    *("tuning.layer=5", "tuning.length=4", "training.epochs=6"),  # as much time makes more of it
    *("stream.max_train=1200", "stream.max_dev=400", "stream.dev_fraction=0.25"),
)
"""Prompts too small for them: four tokens in the last layer, and no ground."""

EASY = ("pheme", "cl5")

COMMON = ("tracking.enabled=false", "stream.max_test=400", "backbone.max_length=48", "growth.probe_layer=2")
"""For all; the probe begins above the second layer, which makes the test a third cheaper."""

DEFAULT = ("method=scratch", "stream.max_train=400", "stream.max_dev=300")
"""Prompts of the default size with their ground. They hold the easy streams, and of the hard tasks as much as more
capacity would on so few texts."""

QUICK = ("stream.max_train=60", "stream.max_dev=40", "stream.max_test=20", "training.epochs=1", "growth.steps=8")


@dataclass(frozen=True)
class Place:
    """Where the runs of one seed are, and what they share.

    Attributes:
        folder: Of the runs.
        stream: Name of the stream.
        settings: Of all runs on it.
        seed: Decides splits, prompts and batches.
    """

    folder: Path
    stream: str
    settings: tuple[str, ...]
    seed: int

    def run(self, growth: str, *more: str) -> tuple[dict[str, Any], Summary]:
        """A finished run: what the result holds of it, and all that it measured."""
        path = self.folder / f"{self.stream}-{growth.replace(' ', '-')}-seed{self.seed}"
        summary = finished(path, compose(self.stream, [*self.settings, f"seed={self.seed}", *more]))
        found = {"stream": self.stream, "growth": growth, "seed": self.seed} | measured(summary)
        print({key: found[key] for key in ("stream", "growth", "seed", "average", "grown", "seconds")}, flush=True)
        return found, summary


def needed(folder: Path, seeds: Sequence[int], quick: bool) -> dict[str, Any]:
    """Growing by the test, never, and never with as much time as the test and the growth took.

    Args:
        folder: Where the runs are kept.
        seeds: Of the runs.
        quick: Whether few texts are enough.
    """
    chosen = (*COMMON, *SMALL, f"stream.tasks=[{','.join(HARD)}]")
    runs = []
    for seed in seeds:
        place = Place(folder, "cl10", (*chosen, *(QUICK if quick else ())), seed)
        by_test, _ = place.run("capacity", "growth.when=capacity")
        never, measured_epochs = place.run("never")
        epochs = epochs_within(by_test["seconds"], never["seconds"], measured_epochs)
        longer, _ = place.run("as much time", f"training.epochs={epochs}", f"training.patience={epochs}")
        runs += [by_test, never, longer | {"epochs": epochs}]
    return {"tasks": list(HARD), "settings": list(chosen), "runs": runs}


def unneeded(folder: Path, seeds: Sequence[int], quick: bool) -> dict[str, Any]:
    """How often the test asks for growth after tasks that prompts hold; see `needed`."""
    chosen = (*COMMON, *DEFAULT)
    streams = {name: () for name in EASY} | {"cl10": (f"stream.tasks=[{','.join(HARD)}]", "stream.dev_fraction=0.25")}
    places = [
        Place(folder, stream, (*chosen, *own, *(QUICK if quick else ())), seed)
        for stream, own in streams.items()
        for seed in seeds
    ]
    runs = [place.run("capacity", "growth.when=capacity")[0] for place in places]
    return {"settings": list(chosen), "runs": runs}


def epochs_within(allowed: float, seconds: float, summary: Summary) -> int:
    """How many epochs of each task a run may take so that it takes as long as another.

    What a run does besides its epochs (reading, grounds, keys) takes as long with more of them.

    Args:
        allowed: Seconds that the other run took.
        seconds: Seconds of this run with the epochs that it took.
        summary: Of this run.
    """
    stages = [stage for task in summary.per_task for stage in task.stages]
    taken = sum(stage.seconds for stage in stages)
    of_one = sum(stage.seconds / max(len(stage.curve) - 1, 1) for stage in stages)  # the first entry is before any
    return max(1, round((allowed - seconds + taken) / of_one))


def measured(summary: Summary) -> dict[str, Any]:
    """What the result holds of a run."""
    return {
        "average": summary.aware.average,
        "routed": summary.routed.average if summary.routed else None,
        "forgetting": summary.aware.forgetting,
        "accuracies": dict(zip(summary.tasks, summary.aware.matrix[-1], strict=True)),
        # Reading and the test of capacity included, which are no training.
        "seconds": summary.seconds.total - summary.seconds.evaluate,
        "asked": len(summary.growth),
        "grown": sum(entry["to"] is not None for entry in summary.growth),
        "growths": [entry | before_and_after(summary, entry["task"]) for entry in summary.growth],
    }


def before_and_after(summary: Summary, task: str) -> dict[str, Any]:
    """Test accuracy of the tasks before `task` in the rows before and behind it."""
    place, matrix = summary.tasks.index(task), summary.aware.matrix
    return {"old_tasks_before": matrix[place][:place], "old_tasks_after": matrix[place + 1][:place]}
