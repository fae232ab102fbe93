"""A cell of the table: one contestant on one stream with one seed, as an ordinary run in a folder of its own."""

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.methods.contestants import BUDGET, CONTESTANTS, SEARCHED_ON, STREAMS
from benchmarks.runs import opened
from benchmarks.search import Setting
from continual.config import compose
from continual.evaluation.summary import Summary, load_summary
from continual.files import read_json, write_json
from continual.progress import Progress

_COST = "cost.json"
"""Seconds of processor time: other work on the machine hardly changes them, as it does those of the clock."""


@dataclass(frozen=True)
class Cell:
    """What is measured at once.

    Attributes:
        contestant: Its name.
        stream: Name of the stream, or `search`.
        seed: Decides splits, prompts and batches.
        chosen: What was searched, as settings and their values.
    """

    contestant: str
    stream: str
    seed: int
    chosen: tuple[Setting, ...] = ()

    def folder(self, runs: Path) -> Path:
        """Where it is run."""
        name = self.contestant.replace(", ", "-").replace(" + ", "-")
        values = [f"{setting.rpartition('.')[2]}={value:g}" for setting, value in self.chosen]
        return runs / self.stream / ",".join([name, f"seed={self.seed}", *values])

    def settings(self) -> tuple[str, list[str]]:
        """The experiment and what is set in it."""
        contestant = CONTESTANTS[self.contestant]
        stream, caps, _ = SEARCHED_ON if self.stream == "search" else (self.stream, STREAMS[self.stream], None)
        draw = [f"stream.draw={self.seed}"] if stream == "fewshot16" else []
        chosen = [f"{setting}={value}" for setting, value in self.chosen]
        return stream, [*caps, *BUDGET, *draw, *contestant.settings, *chosen, f"seed={self.seed}"]

    def execute(self, runs: Path) -> None:
        """Runs what of it has not been run."""
        path = self.folder(runs)
        run = opened(path, compose(*self.settings()))
        if self.finished(runs) is None:
            with _processor_time_added(path / _COST):
                run.execute(Progress())

    def finished(self, runs: Path) -> Summary | None:
        """Its results, once it has them."""
        path = self.folder(runs) / "summary.json"
        if not path.exists() or not json.loads(path.read_text(encoding="utf-8"))["finished"]:
            return None
        return load_summary(path.parent)

    def numbers(self, runs: Path) -> dict[str, Any] | None:
        """What the table holds of it, once it is finished."""
        summary = self.finished(runs)
        return None if summary is None else _numbers(summary, read_json(self.folder(runs) / _COST)["seconds"])


@contextlib.contextmanager
def _processor_time_added(path: Path) -> Iterator[None]:
    """Adds the processor's seconds for what happens inside to those in a file, also when it is interrupted."""
    before = read_json(path)["seconds"] if path.exists() else 0.0
    started = sum(os.times()[:2])
    try:
        yield
    finally:
        write_json(path, {"seconds": before + sum(os.times()[:2]) - started})


def _numbers(summary: Summary, seconds: float) -> dict[str, Any]:
    aware, routed = summary.aware, summary.routed
    return {
        "aware": aware.average,
        "routed": None if routed is None else routed.average,
        "forgetting": aware.forgetting,
        "routed_forgetting": None if routed is None else routed.forgetting,
        "bwt": aware.bwt,
        "fwt": aware.fwt,
        "trained_parameters": summary.trainable_parameters_per_task,
        "seconds": seconds,
    }
