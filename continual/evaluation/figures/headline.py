"""The result in words and in a few large numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

from continual.evaluation.figures.curves import last_row
from continual.evaluation.figures.numbers import Unit, capital, count, duration, unit_of
from continual.evaluation.kinds import second_of
from continual.evaluation.stream_metrics import STREAM_METRICS
from continual.evaluation.summary import Scores, Summary

_SHOWN = ("average", "learning", "anytime", "forgetting", "bwt", "fwt")
_CHANGES = ("bwt", "fwt")
_SECOND = {
    "macro_f1": (
        "mean over the tasks of their macro-F1 after the last step; every class counts the same",
        "mean_j F1[T][j]",
    ),
    "chrf": ("mean over the tasks of their chrF after the last step", "mean_j chrF[T][j]"),
}


@dataclass(frozen=True)
class Tile:
    """A large number with its meaning; `better` is `higher`, `lower` or `neither`."""

    label: str
    value: str
    suffix: str
    meaning: str
    better: str


@dataclass(frozen=True)
class Cost:
    """What a run took of something."""

    label: str
    value: str
    suffix: str
    meaning: str


@dataclass(frozen=True)
class MetricRow:
    """One line of the table of all metrics."""

    name: str
    meaning: str
    formula: str
    better: str
    aware: str
    routed: str


def lead(summary: Summary) -> str:
    """The result in one paragraph of plain words."""
    learned, total = last_row(summary.aware.matrix), len(summary.tasks)
    if not learned:
        return "No task has been learned yet."
    unit = unit_of(summary.metric)
    noun = "task" if total == 1 else "tasks"
    tasks = f"{total} {noun}" if learned == total else f"{learned} of {total} {noun}"
    spent = "" if summary.seconds.total is None else f" in {duration(summary.seconds.total)}"
    sentences = [f"{tasks} learned{spent}."]
    sentences += _scores_in_words(summary, unit) + _forgetting_in_words(summary.aware, unit)
    return " ".join(sentences)


def tiles(summary: Summary) -> list[Tile]:
    """The numbers to look at first."""
    unit, aware, routed = unit_of(summary.metric), summary.aware, summary.routed
    shown = [
        Tile(
            f"{capital(unit.name)}, task told",
            unit.score(aware.average),
            unit.suffix,
            "Mean test score of the learned tasks after the last step, each text with the name of its task.",
            "higher",
        )
    ]
    if routed is not None:
        shown.append(
            Tile(
                f"{capital(unit.name)}, task not told",
                unit.score(routed.average),
                unit.suffix,
                "The same, when the program itself must find out which task a text belongs to.",
                "higher",
            )
        )
    shown.append(
        Tile(
            "Forgetting, task told",
            unit.score(aware.forgetting),
            " points" if unit.suffix else "",
            "How far a task fell, on average, from its best earlier score. Zero: nothing was forgotten.",
            "lower",
        )
    )
    if routed is not None and (routed.routing_accuracy is not None or not last_row(aware.matrix)):
        share = unit_of("accuracy")
        shown.append(
            Tile(
                "Routing accuracy",
                share.score(routed.routing_accuracy),
                share.suffix,
                "How often a text without the name of its task found a prompt of its own task.",
                "higher",
            )
        )
    return shown


def metric_rows(summary: Summary) -> list[MetricRow]:
    """All metrics of the stream, told and not told."""
    unit, aware, routed = unit_of(summary.metric), summary.aware, summary.routed
    rows = [_metric_row(name, [_value(side, name, unit) for side in (aware, routed)]) for name in _SHOWN]
    rows += [_metric_row(name, [_extra(side, name) for side in (aware, routed)]) for name in aware.extra]
    second = second_of(summary.metric)
    beside = unit_of(second)
    scores = [_value(side, second, beside) for side in (aware, routed)]
    rows.append(MetricRow(second, *_SECOND[second], "higher", *scores))
    if routed is not None and routed.unknown_rate is not None:
        share = unit_of("accuracy")
        meaning = "share of the test texts of learned tasks that were marked as belonging to no known task"
        rows.append(MetricRow("unknown_rate", meaning, "", "lower", "", share.score(routed.unknown_rate)))
    return rows


def _metric_row(name: str, values: Sequence[str]) -> MetricRow:
    """A metric in words, or by its name alone where it was registered by a program that is not at hand."""
    metric = STREAM_METRICS.get(name)
    words = ("", "", "") if metric is None else (metric.help, metric.formula, metric.better)
    return MetricRow(name, *words, *values)


def _extra(scores: Scores | None, name: str) -> str:
    """What a metric from outside measures is not known, so its value is shown as it is."""
    value = None if scores is None else scores.extra.get(name)
    return "–" if value is None else f"{value:.4g}"


def resources(summary: Summary) -> list[Cost]:
    """What the run cost."""
    seconds = summary.seconds
    speed, size = summary.examples_per_second, summary.trainable_parameters_per_task
    tokens = summary.tokens_per_second
    rates = [
        Cost("Learned from", count(tokens.train), " tokens/s", "Source and target tokens of training in a second."),
        Cost("Written", count(tokens.generate), " tokens/s", "Tokens of translations written in a second."),
    ]
    return [
        Cost("Total time", duration(seconds.total), "", "Wall clock, over all sessions of this run."),
        Cost("Training", duration(seconds.train), "", "Spent on learning the tasks."),
        Cost("Evaluation", duration(seconds.evaluate), "", "Spent on filling the matrix of scores."),
        Cost("Throughput", count(speed), " examples/s", "Training examples processed in a second."),
        Cost("Trained per task", count(size), " parameters", "Numbers that learning a task trains."),
        Cost("Peak memory", count(summary.peak_memory_mb), " MB", "Largest memory of the process."),
        *(rates if tokens.generate is not None else []),
    ]


def _scores_in_words(summary: Summary, unit: Unit) -> list[str]:
    aware, routed = summary.aware.average, summary.routed and summary.routed.average
    if aware is None:
        return []
    told = f"The average {unit.name} is {unit.full(aware)} when the task is told"
    return [f"{told}." if routed is None else f"{told} and {unit.full(routed)} when it is not."]


def _forgetting_in_words(scores: Scores, unit: Unit) -> list[str]:
    if scores.forgetting is None:
        return []
    size = unit.score(abs(scores.forgetting))
    points = f"{size} points" if unit.suffix else size
    if scores.forgetting == 0:
        return ["Nothing was forgotten."]
    if scores.forgetting > 0:
        return [f"Earlier tasks lost {points} on average."]
    return [f"Earlier tasks gained {points} on average over their best earlier scores."]


def _value(scores: Scores | None, name: str, unit: Unit) -> str:
    if scores is None:
        return unit.score(None)
    value = getattr(scores, name)
    return unit.change(value) if name in _CHANGES else unit.score(value)
