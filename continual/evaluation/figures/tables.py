"""The tables of the report: how each task was learned, and where the time went."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from continual.evaluation.figures.curves import last_row
from continual.evaluation.figures.numbers import UNKNOWN, Unit, count, decimals, duration, unit_of
from continual.evaluation.intervals import wilson
from continual.evaluation.kinds import second_of
from continual.evaluation.summary import Candidate, Rows, Stage, Summary, TaskRecord


@dataclass(frozen=True)
class CandidateRow:
    """An old prompt that was considered: its scores as (text, whether it is the best) by metric."""

    prompt: str
    scores: list[tuple[str, bool]]
    used: bool


@dataclass(frozen=True)
class StageRow:
    """A stage of learning, as texts."""

    name: str
    steps: str
    seconds: str
    epochs: str
    best: str


@dataclass(frozen=True)
class TaskRow:
    """A task, as texts.

    Attributes:
        number: Place in the stream.
        task: Its name.
        prompt: Id of its prompt.
        sources: Ids of the prompts it was made from, with scores.
        examples: Numbers of train, dev and test examples.
        steps: Training steps.
        seconds: Training time.
        dev: Score on the development split.
        learned: Test score just after it was learned.
        now: Test score after the last step.
        interval: 95 % Wilson interval of `now`, empty where there is none.
        second: By the second metric: macro-F1 or chrF.
        metrics: Names of the transferability metrics in `candidates`.
        candidates: The prompts that were considered.
        stages: The stages of learning.
    """

    number: int
    task: str
    prompt: str
    sources: list[tuple[str, str]]
    examples: tuple[str, str, str]
    steps: str
    seconds: str
    dev: str
    learned: str
    now: str
    interval: str
    second: str
    metrics: list[str]
    candidates: list[CandidateRow]
    stages: list[StageRow]


@dataclass(frozen=True)
class GrowthRow:
    """Whether the backbone grew after a task, as texts.

    Attributes:
        task: The task.
        sizes: (name, before, after) of every size that changed; none where it did not grow.
        reason: Why, one sentence.
        evidence: (name, value) of the numbers behind it.
        seconds: What deciding and growing took.
    """

    task: str
    sizes: list[tuple[str, str, str]]
    reason: str
    evidence: list[tuple[str, str]]
    seconds: str


@dataclass(frozen=True)
class OwnScore:
    """What a task scores at last by its own metric, as texts, with the task told and not told."""

    task: str
    metric: str
    told: str
    untold: str


@dataclass(frozen=True)
class TimeBar:
    """Training and evaluation time of one task, with lengths in percent of the longest bar."""

    number: int
    task: str
    train: float
    evaluate: float
    text: str
    tip: str


def task_rows(summary: Summary) -> list[TaskRow]:
    """One row for each task that was learned."""
    return [_task_row(summary, record) for record in summary.per_task]


def own_scores(summary: Summary) -> list[OwnScore]:
    """The scores of all tasks by their own metrics and, at the end, their mean; empty where all have the main one."""
    records = summary.per_task
    if all(record.metric in (None, summary.metric) for record in records):
        return []
    rows = [
        (record.task, unit_of(record.metric or "accuracy"), record.score, record.routed_score) for record in records
    ]
    units = {unit for _, unit, _, _ in rows}
    mean = units.pop() if len(units) == 1 else Unit("mean", 1.0, "")
    routed = None if summary.routed is None else summary.routed.own_metric
    rows.append(("mean", mean, summary.aware.own_metric, routed))
    return [OwnScore(task, unit.name, unit.full(told), unit.full(untold)) for task, unit, told, untold in rows]


def time_bars(summary: Summary) -> list[TimeBar]:
    """Where the time went; empty if nothing is known about it."""
    spent = [(record, _training_time(record) or 0.0, record.evaluate_seconds or 0.0) for record in summary.per_task]
    longest = max((train + evaluate for _, train, evaluate in spent), default=0.0)
    if longest <= 0:
        return []
    return [
        TimeBar(
            number,
            record.task,
            round(100 * train / longest, 2),
            round(100 * evaluate / longest, 2),
            duration(train + evaluate),
            f"{record.task}: {duration(train)} training, {duration(evaluate)} evaluation",
        )
        for number, (record, train, evaluate) in enumerate(spent, 1)
    ]


def config_rows(config: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """The config as (group, [(dotted key, value)]); settings outside groups come first, under no name."""
    loose = [(str(key), _plain(value)) for key, value in config.items() if not isinstance(value, Mapping)]
    groups = [(str(key), list(_leaves(value))) for key, value in config.items() if isinstance(value, Mapping)]
    return ([("", loose)] if loose else []) + groups


def _task_row(summary: Summary, record: TaskRecord) -> TaskRow:
    unit, second = unit_of(summary.metric), second_of(summary.metric)
    dev = unit_of("accuracy")  # also of a translation, whose tokens are right or wrong
    learned, now = _scores(summary, record.task, summary.aware.matrix)
    _, beside = _scores(summary, record.task, getattr(summary.aware, f"{second}_matrix"))
    metrics = list(dict.fromkeys(name for candidate in record.candidates for name in candidate.scores))
    used = {source.prompt for source in record.sources}
    return TaskRow(
        number=summary.tasks.index(record.task) + 1 if record.task in summary.tasks else 0,
        task=record.task,
        prompt=record.prompt or UNKNOWN,
        sources=[(source.prompt, decimals(source.score)) for source in record.sources],
        examples=(count(record.train_examples), count(record.dev_examples), count(record.test_examples)),
        steps=count(record.steps),
        seconds=duration(_training_time(record)),
        dev=dev.score(record.dev_accuracy),
        learned=unit.score(learned),
        now=unit.score(now),
        interval=_interval(summary.metric, now, record.test_examples, unit),
        second=unit_of(second).score(beside),
        metrics=metrics,
        candidates=_candidate_rows(record.candidates, metrics, used),
        stages=[_stage_row(stage, dev) for stage in record.stages],
    )


def _training_time(record: TaskRecord) -> float | None:
    return record.train_seconds if record.train_seconds is not None else record.seconds


def _scores(summary: Summary, task: str, rows: Rows | None) -> tuple[float | None, float | None]:
    """Score of a task just after it was learned and after the last step, in one of the matrices."""
    last = last_row(summary.aware.matrix)
    if rows is None or task not in summary.tasks or summary.tasks.index(task) >= last:
        return None, None
    column = summary.tasks.index(task)
    return rows[column + 1][column], rows[last][column]


def _interval(metric: str, value: float | None, examples: int | None, unit: Unit) -> str:
    if metric != "accuracy" or value is None or not examples or not 0 <= value <= 1:
        return ""
    interval = wilson(round(value * examples), examples)
    return f"{unit.score(interval.low)} to {unit.score(interval.high)}"


def _candidate_rows(candidates: list[Candidate], metrics: list[str], used: set[str]) -> list[CandidateRow]:
    best = {
        name: max((score for it in candidates if (score := it.scores.get(name)) is not None), default=None)
        for name in metrics
    }
    return [
        CandidateRow(
            candidate.prompt,
            [
                (decimals(score, 3), score is not None and score == best[name])
                for name in metrics
                for score in [candidate.scores.get(name)]
            ],
            candidate.prompt in used,
        )
        for candidate in candidates
    ]


def _stage_row(stage: Stage, unit: Unit) -> StageRow:
    scores = [epoch.dev_accuracy for epoch in stage.curve if epoch.dev_accuracy is not None]
    epochs = f"{count(stage.best_epoch)} of {len(stage.curve)}" if stage.curve else count(stage.best_epoch)
    return StageRow(
        stage.name,
        count(stage.steps),
        duration(stage.seconds),
        epochs,
        unit.score(max(scores, default=None)),
    )


def _leaves(group: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in group.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", _plain(value)


def _plain(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_plain, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None or value == {} else str(value)


def growth_rows(run: Summary) -> list[GrowthRow]:
    """After which tasks it was asked whether the backbone must grow, and what was found."""
    return [_growth_row(item) for item in run.growth]


def _growth_row(item: Mapping[str, Any]) -> GrowthRow:
    before, after = item["from"] or {}, item["to"] or {}
    changed = [name for name in after if after[name] != before.get(name)]
    return GrowthRow(
        task=str(item["task"]),
        sizes=[(name, count(before.get(name)), count(after[name])) for name in changed],
        reason=str(item["reason"]),
        evidence=[(name.replace("_", " "), decimals(value, 3)) for name, value in item["evidence"].items()],
        seconds=duration(item["seconds"]),
    )
