"""What a run has measured so far: JSON in, JSON out, and the summary made of it."""

import resource
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

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
    from continual.assessment import TaskScore
    from continual.pool.prompt import PromptRecord
    from streams import Task

_MATRICES = ("aware", "aware_f1", "routed", "routed_f1")


@dataclass
class Results:
    """The growing results of a run.

    Attributes:
        run: Name of the run.
        stream: Name of the stream.
        method: Name of the method.
        tuning: Name of the tuning.
        backbone: Name of the backbone.
        seed: The run's seed.
        tasks: All tasks of the stream in order.
        matrices: Accuracy and macro-F1, aware and routed.
        per_task: One record for each learned task.
        routing: Shares of the last assessment and the confusion of tasks and prompts.
        evaluate_seconds: Time spent on assessment.
        total_seconds: Wall time over all sessions.
        examples_seen: Training texts times epochs, over all trainings.
        parameters: Trained numbers of the latest prompt.
        peak_memory_mb: Largest resident memory of any session.
        tracking_id: The tracker's id of this run.
        digests: For each learned task a digest of its test texts.
        own: What each learned task scored last by its own metric: `aware` and `routed`, by task.
    """

    run: str
    stream: str
    method: str
    tuning: str
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

    @classmethod
    def begun(cls, tasks: list[str], **about: Any) -> "Results":
        """The results of a run that has learned nothing."""
        return cls(tasks=tasks, matrices={name: ScoreMatrix(tasks) for name in _MATRICES}, **about)

    @property
    def learned(self) -> int:
        """Number of tasks that are learned and assessed."""
        return len(self.per_task)

    def meet(self, task: str, chance: float, score: "TaskScore | None") -> None:
        """Notes how a task was answered before it was learned.

        Args:
            task: Its name.
            chance: The accuracy of a guess: row 0, and later rows while no prompt has the task's labels.
            score: The answer of the old prompts, or None where none could answer.
        """
        for name in ("aware", "routed"):
            self.matrices[name].set(0, task, chance)
            if self.learned:
                accuracy = chance if score is None else score.evaluation.accuracy
                self.matrices[name].set(self.learned, task, accuracy)
                if score is not None:
                    self.matrices[f"{name}_f1"].set(self.learned, task, score.evaluation.macro_f1)

    def add(
        self,
        task: "Task",
        record: "PromptRecord",
        aware: Mapping[str, "TaskScore"],
        routed: Mapping[str, "TaskScore"],
        seconds: float,
        prompts: list[str],
    ) -> None:
        """Notes a learned task and its row of every matrix."""
        row = self.learned + 1
        for name, scores in (("aware", aware), ("routed", routed)):
            for other, score in scores.items():
                self.matrices[name].set(row, other, score.evaluation.accuracy)
                self.matrices[f"{name}_f1"].set(row, other, score.evaluation.macro_f1)
            self.own[name] = {other: score.evaluation.score for other, score in scores.items()}
        self.routing = _routing(routed, prompts)
        self.per_task.append(_task_record(task, record, aware[task.name], seconds))
        self.evaluate_seconds += seconds
        self.parameters = record.provenance["trained_parameters"]
        epochs = sum(len(stage["curve"]) - 1 for stage in record.provenance["stages"])
        self.examples_seen += epochs * record.provenance["train_examples"]

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
        flat["task/accuracy"] = self.matrices["aware"].values[self.learned, self.learned - 1].item()
        flat["task/seconds"] = self.per_task[-1]["seconds"]
        return flat

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
        own = {name: sum(scores.values()) / len(scores) for name, scores in self.own.items()}
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


def _routing(routed: Mapping[str, "TaskScore"], prompts: list[str]) -> dict[str, Any]:
    """Shares over all test texts of the learned tasks, and how many of each task went to each prompt."""
    sizes = [len(score.prompts) for score in routed.values()]
    right = sum(score.evaluation.routed_right * size for score, size in zip(routed.values(), sizes, strict=True))
    unknown = sum(score.evaluation.unknown * size for score, size in zip(routed.values(), sizes, strict=True))
    counts = [[score.prompts.count(prompt) for prompt in prompts] for score in routed.values()]
    return {
        "routing_accuracy": right / sum(sizes),
        "unknown_rate": unknown / sum(sizes),
        "confusion": {"tasks": list(routed), "prompts": prompts, "counts": counts},
    }


def _task_record(task: "Task", record: "PromptRecord", score: "TaskScore", seconds: float) -> dict[str, Any]:
    facts = record.provenance
    whole = TaskRecord(
        task=task.name,
        prompt=record.id,
        train_examples=facts["train_examples"],
        dev_examples=facts["dev_examples"],
        test_examples=len(task.test),
        steps=sum(stage["steps"] for stage in facts["stages"]),
        seconds=facts["seconds"] + seconds,
        macro_f1=score.evaluation.macro_f1,
        dev_accuracy=facts["dev_accuracy"],
        train_seconds=facts["seconds"],
        evaluate_seconds=seconds,
        metric=task.metric,
    )
    parts = {key: facts[key] for key in ("sources", "candidates", "stages")}
    return asdict(whole) | parts
