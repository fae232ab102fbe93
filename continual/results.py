"""What a run has measured so far: JSON in, JSON out, and the summary made of it."""

import math
import resource
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from continual.errors import RunError
from continual.evaluation.kinds import CLASSIFICATION, MEASURES, TRANSLATION, Measures
from continual.evaluation.matrix import ScoreMatrix
from continual.evaluation.summary import (
    Confusion,
    RoutedScores,
    Sample,
    Scores,
    Seconds,
    Summary,
    TaskRecord,
    TokensPerSecond,
)
from continual.evaluation.typed import from_json
from continual.usable import check_kind

if TYPE_CHECKING:
    from continual.participant import LearnedTask, SplitScore, TaskScores
    from streams import Task

_SIDES = ("aware", "routed")


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
        matrices: By the main and the second metric of the kind, aware and routed.
        kind: The kind of the stream's tasks.
        per_task: One record for each learned task.
        routing: Shares of the last assessment and the confusion of tasks and prompts.
        evaluate_seconds: Time spent on assessment.
        total_seconds: Wall time over all sessions.
        cpu_seconds: Processor time over all sessions; None where a version that did not measure it began the run.
        examples_seen: Training texts times epochs, over all trainings.
        parameters: Numbers that the latest task trained.
        peak_memory_mb: Largest resident memory of any session.
        tracking_id: The tracker's id of this run.
        digests: For each learned task a digest of its test texts.
        own: What each learned task scored last by its own metric: `aware` and `routed`, by task.
        growth: What was decided after which task about growing the backbone, see `Summary.growth`.
        language: Code of the language that translations are written in, where that is known: that of the first task.
        other_languages: Those of tasks that are translated into others.
        samples: For each learned translation task some of its latest translations, as records of `summary.Sample`.
        tokens_seen: Tokens of the examples seen.
        written_tokens: Tokens of all translations that were written to be scored.
        write_seconds: What that took.
        reading: Sentences on what became of the data while they were read.
    """

    run: str
    stream: str
    method: str
    tuning: str | None
    backbone: str
    seed: int
    tasks: list[str]
    matrices: dict[str, ScoreMatrix]
    kind: str = CLASSIFICATION
    per_task: list[dict[str, Any]] = field(default_factory=list)
    routing: dict[str, Any] = field(default_factory=dict)
    evaluate_seconds: float = 0.0
    total_seconds: float = 0.0
    cpu_seconds: float | None = None
    examples_seen: float = 0.0
    parameters: int | None = None
    peak_memory_mb: float = 0.0
    tracking_id: str | None = None
    digests: dict[str, str] = field(default_factory=dict)
    own: dict[str, dict[str, float]] = field(default_factory=dict)
    growth: list[dict[str, Any]] = field(default_factory=list)
    language: str | None = None
    other_languages: list[str] = field(default_factory=list)
    samples: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    tokens_seen: int = 0
    written_tokens: int = 0
    write_seconds: float = 0.0
    reading: list[str] = field(default_factory=list)

    @classmethod
    def begun(cls, tasks: list[str], first: "Task", **about: Any) -> "Results":
        """The results of a run that has learned nothing.

        Args:
            tasks: Names of all tasks.
            first: The first of them; all others are of its kind.
            **about: The other fields.
        """
        matrices = {name: ScoreMatrix(tasks) for name in _matrix_names(first.kind)}
        language = first.info.get("target_language")
        return cls(tasks=tasks, matrices=matrices, kind=first.kind, language=language, cpu_seconds=0.0, **about)

    @property
    def measures(self) -> Measures:
        """What is measured."""
        return MEASURES[self.kind]

    def accept(self, task: "Task") -> None:
        """Refuses a task that cannot stand in one matrix with the others, and notes the language of one that can.

        Raises:
            LearningError: It is of another kind.
        """
        check_kind(task, self.kind)
        language = task.info.get("target_language")
        if language not in (None, self.language, *self.other_languages):
            self.other_languages.append(language)

    @property
    def learned(self) -> int:
        """Number of tasks that are learned and assessed."""
        return len(self.per_task)

    def has_met(self, task: str) -> bool:
        """Whether `meet` was called for a task."""
        return not np.isnan(self.matrices["aware"].values[0, self.tasks.index(task)])

    @property
    def kept(self) -> list[str]:
        """The tasks that were begun, in order: those learned, and the one in work if its first scores are there."""
        begun = [item["task"] for item in self.per_task]
        in_work = self.tasks[self.learned : self.learned + 1]
        return begun + [task for task in in_work if self.has_met(task)]

    def with_tasks(self, tasks: list[str]) -> "Results":
        """The same results in a stream of other tasks, of which those begun here are the first.

        Raises:
            RunError: They are not.
        """
        if tasks[: len(self.kept)] != self.kept:
            raise RunError(
                f"{self.run} has begun with the tasks {', '.join(self.kept)} in this order, but is to go on with "
                f"{', '.join(tasks)}; put those it has begun first, then the new ones, with stream.order=[...]."
            )
        matrices = {name: matrix.with_tasks(tasks) for name, matrix in self.matrices.items()}
        return replace(self, tasks=tasks, matrices=matrices)

    def meet(self, task: str, untaught: "SplitScore", scores: "TaskScores | None") -> None:
        """Notes how a task was answered before it was learned.

        Args:
            task: Its name.
            untaught: How who knows nothing answers: row 0, and later rows while nothing could answer.
            scores: The answers of what was learned before, or None where nothing could answer.
        """
        row = self.learned
        self._set(0, task, untaught, untaught)
        self._count_written(untaught)
        if row:
            found = (untaught, untaught) if scores is None else (scores.aware, scores.routed)
            self._set(row, task, *found)
        if scores is not None:
            self._count_written(scores.aware, scores.routed)

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
            self._set(row, other, found.aware, found.routed)
            self._count_written(found.aware, found.routed)
            self.samples[other] = _samples(found)
        self.routing = _routing({name: found.routed for name, found in scores.items()}, prompts)
        for name in _SIDES:
            found = {other: getattr(score, name) for other, score in scores.items()}
            self.own[name] = {other: score.score for other, score in found.items() if score is not None}
        self.per_task.append(_task_record(task, learned, scores[task.name].aware, seconds, self.measures.second))
        self.growth += [] if learned.growth is None else [learned.growth]
        self.evaluate_seconds += seconds
        self.parameters = max(self.parameters or 0, learned.trained_parameters or 0) or None
        self.examples_seen += learned.examples_seen
        self.tokens_seen += learned.tokens_seen

    def _set(self, row: int, task: str, aware: "SplitScore | None", routed: "SplitScore | None") -> None:
        for name, score in zip(_SIDES, (aware, routed), strict=True):
            if score is not None:
                self.matrices[name].set(row, task, score.main)
                self.matrices[f"{name}_{self.measures.short}"].set(row, task, score.second)

    def _count_written(self, *scores: "SplitScore | None") -> None:
        """Counts what was written for scores; one that stands for told and not told counts once."""
        for score in {id(score): score for score in scores}.values():
            if score is not None:
                self.written_tokens += score.written_tokens
                self.write_seconds += score.write_seconds

    def touch(self, seconds: float, cpu: float) -> None:
        """Adds wall time and processor time, both in seconds, and notes the memory in use."""
        self.total_seconds += seconds
        self.cpu_seconds = None if self.cpu_seconds is None else self.cpu_seconds + cpu
        # Linux gives kilobytes, macOS bytes.
        unit = 1e6 if sys.platform == "darwin" else 1e3
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
        self.peak_memory_mb = max(self.peak_memory_mb, peak)

    def latest(self) -> dict[str, float | None]:
        """The stream's scores so far, flat: what is shown after each task."""
        aware, routed = self._scores()
        flat = {f"aware/{key}": getattr(aware, key) for key in ("average", "forgetting", self.measures.second)}
        flat |= {f"routed/{key}": getattr(routed, key) for key in ("average", "forgetting", "routing_accuracy")}
        flat |= {
            f"{side}/{key}": it for side, own in (("aware", aware), ("routed", routed)) for key, it in own.extra.items()
        }
        latest = self.matrices["aware"].values[self.learned, self.learned - 1].item()
        flat[f"task/{self.measures.main}"] = None if math.isnan(latest) else latest
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
            metric=self.measures.main,
            signatures=self._signatures(),
            aware=aware,
            routed=routed,
            per_task=[from_json(TaskRecord, item | self._latest_of(item["task"])) for item in self.per_task],
            seconds=Seconds(train, self.evaluate_seconds, self.total_seconds, self.cpu_seconds),
            examples_per_second=self.examples_seen / train if train else None,
            trainable_parameters_per_task=self.parameters,
            peak_memory_mb=self.peak_memory_mb,
            finished=finished,
            tokens_per_second=self._tokens_per_second(train),
            versions=versions,
            notes=[*self.reading, *notes],
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
        tasks, names = value["tasks"], _matrix_names(value.get("kind", CLASSIFICATION))
        matrices = {name: ScoreMatrix.from_json(tasks, value["matrices"][name]) for name in names}
        return cls(**{**value, "matrices": matrices})

    def _scores(self) -> tuple[Scores, RoutedScores]:
        # Joint training is not scored before its last task, and some methods are never scored routed.
        own = {name: sum(scores.values()) / len(scores) for name, scores in self.own.items() if scores}
        second, short = self.measures.second, self.measures.short
        aware = Scores.measured(
            self.matrices["aware"], self.matrices[f"aware_{short}"], second, own_metric=own.get("aware")
        )
        confusion = self.routing.get("confusion")
        routed = RoutedScores.measured(
            self.matrices["routed"],
            self.matrices[f"routed_{short}"],
            second,
            own_metric=own.get("routed"),
            routing_accuracy=self.routing.get("routing_accuracy"),
            unknown_rate=self.routing.get("unknown_rate"),
            confusion=None if confusion is None else Confusion(**confusion),
        )
        return aware, routed

    def _latest_of(self, task: str) -> dict[str, Any]:
        """What the last assessment says of a task."""
        own = {key: self.own.get(name, {}).get(task) for key, name in (("score", "aware"), ("routed_score", "routed"))}
        return own | {"samples": self.samples.get(task, [])}

    def _signatures(self) -> dict[str, str]:
        if self.kind != TRANSLATION:
            return {}
        from continual.evaluation.text_metrics import signature

        first = {name: signature(name, self.language) for name in (self.measures.main, self.measures.second)}
        others = {
            f"{name} ({code})": other
            for code in self.other_languages
            for name, own in first.items()
            if (other := signature(name, code)) != own
        }
        return first | others

    def _tokens_per_second(self, train: float) -> TokensPerSecond:
        if self.kind != TRANSLATION:
            return TokensPerSecond()
        return TokensPerSecond(
            self.tokens_seen / train if train else None,
            self.written_tokens / self.write_seconds if self.write_seconds else None,
        )


def _matrix_names(kind: str) -> list[str]:
    """What the matrices of a kind are called: one of each metric, aware and routed."""
    return [name for side in _SIDES for name in (side, f"{side}_{MEASURES[kind].short}")]


def _samples(scores: "TaskScores") -> list[dict[str, Any]]:
    """Translations of the same sentences with the task told and not told, as records of `summary.Sample`."""
    sides = [None if side is None else side.samples for side in (scores.aware, scores.routed)]
    known = next((side for side in sides if side), [])
    columns = [[None] * len(known) if not side else [hypothesis for _, _, hypothesis in side] for side in sides]
    return [
        asdict(Sample(source, reference, aware, routed))
        for (source, reference, _), aware, routed in zip(known, *columns, strict=True)
    ]


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


def _task_record(
    task: "Task", learned: "LearnedTask", score: "SplitScore | None", seconds: float, second: str
) -> dict[str, Any]:
    whole = TaskRecord(
        task=task.name,
        prompt=learned.prompt,
        train_examples=learned.train_examples,
        dev_examples=learned.dev_examples,
        test_examples=len(task.test),
        steps=sum(stage["steps"] or 0 for stage in learned.stages),
        seconds=learned.seconds + seconds,
        **{second: None if score is None else score.second},
        dev_accuracy=learned.dev_accuracy,
        train_seconds=learned.seconds,
        evaluate_seconds=seconds,
        metric=task.metric,
    )
    parts = {key: getattr(learned, key) for key in ("sources", "candidates", "stages")}
    return asdict(whole) | parts
