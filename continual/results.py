"""What a run has measured so far: JSON in, JSON out, and the summary made of it."""

import math
import resource
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from continual.evaluation.matrix import ScoreMatrix
from continual.evaluation.summary import (
    Confusion,
    RoutedScores,
    Scores,
    Seconds,
    Summary,
    TaskRecord,
)
from continual.evaluation.typed import from_json

if TYPE_CHECKING:
    from continual.participant import LearnedTask, SplitScore, TaskScores
    from streams import Task

_MATRICES = ("aware", "aware_f1", "routed", "routed_f1")


@dataclass
class Results:
    """The growing results of a run.

    Attributes:
        run: Name of the run.
        stream: Name of the stream.
        method: Name of the method.
        tuning: Name of the tuning; None for a baseline that trains a whole model.
        backbone: Name of the backbone.
        seed: The run's seed.
        tasks: All tasks of the stream in order.
        matrices: Accuracy and macro-F1, aware and routed.
        per_task: One record for each learned task.
        routing: Shares of the last assessment and the confusion of tasks and prompts.
        evaluate_seconds: Time spent on assessment.
        total_seconds: Wall time over all sessions.
        examples_seen: Training texts times epochs, over all trainings.
        parameters: Numbers that the latest task trained.
        peak_memory_mb: Largest resident memory of any session.
        tracking_id: The tracker's id of this run.
        digests: For each learned task a digest of its test texts.
        own: What each learned task scored last by its own metric: `aware` and `routed`, by task.
        growth: What was decided after which task about growing the backbone, see `Summary.growth`.
    """

    run: str
    stream: str
    method: str
    tuning: str | None
    backbone: str
    seed: int
    tasks: list[str]
    matrices: dict[str, ScoreMatrix]
    per_task: list[dict[str, Any]] = field(default_factory=list)
    routing: dict[str, Any] = field(default_factory=dict)
    evaluate_seconds: float = 0.0
    total_seconds: float = 0.0
    examples_seen: float = 0.0
    parameters: int | None = None
    peak_memory_mb: float = 0.0
    tracking_id: str | None = None
    digests: dict[str, str] = field(default_factory=dict)
    own: dict[str, dict[str, float]] = field(default_factory=dict)
    growth: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def begun(cls, tasks: list[str], **about: Any) -> "Results":
        """The results of a run that has learned nothing."""
        return cls(tasks=tasks, matrices={name: ScoreMatrix(tasks) for name in _MATRICES}, **about)

    @property
    def learned(self) -> int:
        """Number of tasks that are learned and assessed."""
        return len(self.per_task)

    def has_met(self, task: str) -> bool:
        """Whether `meet` was called for a task."""
        return not np.isnan(self.matrices["aware"].values[0, self.tasks.index(task)])

    def meet(self, task: str, chance: float, scores: "TaskScores | None") -> None:
        """Notes how a task was answered before it was learned.

        Args:
            task: Its name.
            chance: The accuracy of a guess: row 0, and later rows while nothing knows the task's labels.
            scores: The answers of what was learned before, or None where nothing could answer.
        """
        row = self.learned
        for name in ("aware", "routed"):
            self.matrices[name].set(0, task, chance)
            if row and scores is None:
                self.matrices[name].set(row, task, chance)
        if row and scores is not None:
            self._set(row, task, scores)

    def add(
        self,
        task: "Task",
        learned: "LearnedTask",
        scores: Mapping[str, "TaskScores"],
        seconds: float,
        prompts: list[str],
    ) -> None:
        """Notes a learned task and its row of every matrix.

        Args:
            task: The task.
            learned: How it was learned.
            scores: By name, how each task learned so far was answered.
            seconds: What answering took.
            prompts: Ids of everything that texts could be routed to.
        """
        row = self.learned + 1
        for other, found in scores.items():
            self._set(row, other, found)
        self.routing = _routing({name: found.routed for name, found in scores.items()}, prompts)
        for name in ("aware", "routed"):
            found = {other: getattr(score, name) for other, score in scores.items()}
            self.own[name] = {other: score.score for other, score in found.items() if score is not None}
        self.per_task.append(_task_record(task, learned, scores[task.name].aware, seconds))
        self.growth += [] if learned.growth is None else [learned.growth]
        self.evaluate_seconds += seconds
        self.parameters = learned.trained_parameters or self.parameters
        self.examples_seen += learned.examples_seen

    def _set(self, row: int, task: str, scores: "TaskScores") -> None:
        for name, score in (("aware", scores.aware), ("routed", scores.routed)):
            if score is not None:
                self.matrices[name].set(row, task, score.accuracy)
                self.matrices[f"{name}_f1"].set(row, task, score.macro_f1)

    def touch(self, seconds: float) -> None:
        """Adds wall time and notes the memory in use."""
        self.total_seconds += seconds
        # Linux gives kilobytes, macOS bytes.
        unit = 1e6 if sys.platform == "darwin" else 1e3
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
        self.peak_memory_mb = max(self.peak_memory_mb, peak)

    def latest(self) -> dict[str, float | None]:
        """The stream's scores so far, flat: what is shown after each task."""
        aware, routed = self._scores()
        flat = {f"aware/{key}": getattr(aware, key) for key in ("average", "forgetting", "macro_f1")}
        flat |= {f"routed/{key}": getattr(routed, key) for key in ("average", "forgetting", "routing_accuracy")}
        latest = self.matrices["aware"].values[self.learned, self.learned - 1].item()
        flat["task/accuracy"] = None if math.isnan(latest) else latest
        flat["task/seconds"] = self.per_task[-1]["seconds"]
        return flat | self._latest_growth()

    def _latest_growth(self) -> dict[str, float | None]:
        """What was decided after the latest task, flat; nothing where that was not asked."""
        if not self.growth or self.growth[-1]["task"] != self.per_task[-1]["task"]:
            return {}
        entry = self.growth[-1]
        sizes = entry["to"] or {}
        numbers = {**entry["evidence"], "seconds": entry["seconds"], **sizes}
        return {"growth/grown": float(entry["to"] is not None)} | {
            f"growth/{key}": value for key, value in numbers.items()
        }

    def summary(self, finished: bool, versions: dict[str, str | None], notes: list[str]) -> Summary:
        """Everything, in the shape of `summary.json`."""
        aware, routed = self._scores()
        train = sum(item["train_seconds"] for item in self.per_task)
        return Summary(
            run=self.run,
            stream=self.stream,
            method=self.method,
            tuning=self.tuning,
            backbone=self.backbone,
            seed=self.seed,
            tasks=self.tasks,
            aware=aware,
            routed=routed,
            per_task=[from_json(TaskRecord, item | self._own_scores(item["task"])) for item in self.per_task],
            seconds=Seconds(train, self.evaluate_seconds, self.total_seconds),
            examples_per_second=self.examples_seen / train if train else None,
            trainable_parameters_per_task=self.parameters,
            peak_memory_mb=self.peak_memory_mb,
            finished=finished,
            versions=versions,
            notes=notes,
            growth=self.growth,
        )

    def matrix_csv(self) -> str:
        """All matrices as one table: kind, after how many tasks, and a column for each task."""
        import csv
        import io

        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["matrix", "tasks learned", *self.tasks])
        for name, matrix in self.matrices.items():
            for row, values in enumerate(matrix.to_json()):
                writer.writerow([name, row, *("" if value is None else value for value in values)])
        return text.getvalue()

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; the inverse of `from_json`."""
        plain = {key: value for key, value in vars(self).items() if key != "matrices"}
        return plain | {"matrices": {name: matrix.to_json() for name, matrix in self.matrices.items()}}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Results":
        """The results in a JSON object.

        Raises:
            KeyError, TypeError, ValueError: It is not one.
        """
        tasks = value["tasks"]
        matrices = {name: ScoreMatrix.from_json(tasks, value["matrices"][name]) for name in _MATRICES}
        return cls(**{**value, "matrices": matrices})

    def _scores(self) -> tuple[Scores, RoutedScores]:
        # Joint training is not scored before its last task, and some methods are never scored routed.
        own = {name: sum(scores.values()) / len(scores) for name, scores in self.own.items() if scores}
        aware = Scores.measured(self.matrices["aware"], self.matrices["aware_f1"], own_metric=own.get("aware"))
        confusion = self.routing.get("confusion")
        routed = RoutedScores.measured(
            self.matrices["routed"],
            self.matrices["routed_f1"],
            own_metric=own.get("routed"),
            routing_accuracy=self.routing.get("routing_accuracy"),
            unknown_rate=self.routing.get("unknown_rate"),
            confusion=None if confusion is None else Confusion(**confusion),
        )
        return aware, routed

    def _own_scores(self, task: str) -> dict[str, float | None]:
        return {key: self.own.get(name, {}).get(task) for key, name in (("score", "aware"), ("routed_score", "routed"))}


def _routing(routed: Mapping[str, "SplitScore | None"], prompts: list[str]) -> dict[str, Any]:
    """Shares over all test texts of the learned tasks, and how many of each task went to each prompt.

    Nothing where texts are not routed.
    """
    chosen = {task: score.prompts for task, score in routed.items() if score is not None and score.prompts is not None}
    if len(chosen) < len(routed):
        return {}
    sizes = [len(ids) for ids in chosen.values()]

    def share(values: Iterable[float | None]) -> float:
        return sum((value or 0) * size for value, size in zip(values, sizes, strict=True)) / sum(sizes)

    return {
        "routing_accuracy": share(score.own for score in routed.values()),
        "unknown_rate": share(score.unknown for score in routed.values()),
        "confusion": {
            "tasks": list(routed),
            "prompts": prompts,
            "counts": [[ids.count(prompt) for prompt in prompts] for ids in chosen.values()],
        },
    }


def _task_record(task: "Task", learned: "LearnedTask", score: "SplitScore | None", seconds: float) -> dict[str, Any]:
    whole = TaskRecord(
        task=task.name,
        prompt=learned.prompt,
        train_examples=learned.train_examples,
        dev_examples=learned.dev_examples,
        test_examples=len(task.test),
        steps=sum(stage["steps"] or 0 for stage in learned.stages),
        seconds=learned.seconds + seconds,
        macro_f1=None if score is None else score.macro_f1,
        dev_accuracy=learned.dev_accuracy,
        train_seconds=learned.seconds,
        evaluate_seconds=seconds,
        metric=task.metric,
    )
    parts = {key: getattr(learned, key) for key in ("sources", "candidates", "stages")}
    return asdict(whole) | parts
