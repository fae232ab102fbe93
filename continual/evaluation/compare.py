"""Several runs side by side: one row for each run, means over seeds, and paired tests between settings."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from continual.evaluation.bound import intransigences
from continual.evaluation.doubts import doubts_about
from continual.evaluation.groups import Group, Measured, groups_of, settings_of, shared_of, short_labels
from continual.evaluation.intervals import mean_interval
from continual.evaluation.paired import all_pairs, paired_row, pairs_with
from continual.evaluation.summary import Summary

Row = dict[str, Any]
Reading = Callable[[Summary], float | None]


def _routed(name: str) -> Reading:
    return lambda summary: None if summary.routed is None else getattr(summary.routed, name)


MEASURES: dict[str, Reading] = {
    "average": lambda summary: summary.aware.average,
    "learning": lambda summary: summary.aware.learning,
    "anytime": lambda summary: summary.aware.anytime,
    "forgetting": lambda summary: summary.aware.forgetting,
    "bwt": lambda summary: summary.aware.bwt,
    "fwt": lambda summary: summary.aware.fwt,
    "macro_f1": lambda summary: summary.aware.macro_f1,
    "chrf": lambda summary: summary.aware.chrf,
    "own_metric": lambda summary: summary.aware.own_metric,
    "routed_average": _routed("average"),
    "routed_learning": _routed("learning"),
    "routed_anytime": _routed("anytime"),
    "routed_forgetting": _routed("forgetting"),
    "routed_bwt": _routed("bwt"),
    "routed_fwt": _routed("fwt"),
    "routed_macro_f1": _routed("macro_f1"),
    "routed_chrf": _routed("chrf"),
    "routed_own_metric": _routed("own_metric"),
    "routing_accuracy": _routed("routing_accuracy"),
    "trainable_parameters_per_task": lambda summary: summary.trainable_parameters_per_task,
    "train_seconds": lambda summary: summary.seconds.train,
    "total_seconds": lambda summary: summary.seconds.total,
    "cpu_seconds": lambda summary: summary.seconds.cpu,
    "examples_per_second": lambda summary: summary.examples_per_second,
    "peak_memory_mb": lambda summary: summary.peak_memory_mb,
}
"""Column name -> how to read it from a summary. Without a prefix, the task is told (`aware`)."""


def extra_measures(summaries: Iterable[Summary]) -> dict[str, Reading]:
    """The same for stream metrics that were registered from outside, of all that any of the summaries has."""
    names = dict.fromkeys(name for summary in summaries for name in summary.aware.extra)
    return {
        f"{prefix}{name}": _extra(side, name)
        for name in names
        for prefix, side in (("", "aware"), ("routed_", "routed"))
    }


def _extra(side: str, name: str) -> Reading:
    def read(summary: Summary) -> float | None:
        scores = getattr(summary, side)
        return None if scores is None else scores.extra.get(name)

    return read


_OF_ONE_KIND = ("macro_f1", "chrf")
"""What is measured of one kind of task only."""

CPU, WALL = "cpu_seconds", "total_seconds"
"""Wall time depends on what else a machine did, so processor time stands in its place where all have it."""

_OWN = "own_metric"


def worth_showing(columns: Iterable[str], rows: Sequence[Row]) -> list[str]:
    """The columns without those that say nothing here.

    That is what belongs to a kind of task that no row is about, what repeats the average, the intransigence without a
    bound, and the wall time where every row has the processor time.
    """
    return [name for name in columns if _tells(name, rows)]


def all_have(name: str, rows: Sequence[Row]) -> bool:
    """Whether a measure is known of all rows."""
    return all(row.get(name) is not None for row in rows)


def _tells(name: str, rows: Sequence[Row]) -> bool:
    if name in (CPU, WALL):
        return all_have(CPU, rows) == (name == CPU)
    if name == "intransigence":
        return any(row.get(name) is not None for row in rows)
    measure = name.removeprefix("routed_")
    if measure == _OWN:
        return any(row.get(name) != row.get(name.replace(_OWN, "average")) for row in rows)
    return measure not in _OF_ONE_KIND or any(row.get(name) is not None for row in rows)


@dataclass(frozen=True)
class Comparison:
    """Pure data for tables and figures.

    Attributes:
        runs: One row for each run: run, stream, method, backbone, tuning, settings (those in which it differs from
            others, by dotted names), seed, metric, tasks, finished, and the `MEASURES`.
        groups: One row for each set of finished runs that differ in their seeds only: name (in as few words as tell
            them apart), label (in full), stream, method, backbone, tuning, settings, metric, seeds (a list), n, and for
            each measure NAME its mean NAME, and NAME_low, NAME_high, the 95 % t interval (None for one run); beside a
            group of joint training also `intransigence`, see `bound.intransigences`.
        tests: One row for each pair of groups that share two seeds or more; see `paired.paired_row`. With a
            reference, it is the second of each pair.
        notes: Sentences about what was left out or should be read with care.
        extra: Names of the columns of metrics that were registered from outside.
    """

    runs: list[Row]
    groups: list[Row]
    tests: list[Row]
    notes: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """The comparison as one JSON object."""
        return asdict(self)


def compare(runs: Iterable[Measured], reference: str | None = None, missing: Sequence[str] = ()) -> Comparison:
    """Compares runs. Unfinished ones are listed but enter no mean.

    Args:
        runs: What to compare.
        reference: Which group all others are tested against, see `paired.pairs_with`; None tests all pairs.
        missing: Sentences about what should have been among the runs, for the notes; see `sweep.missing`.

    Raises:
        ConfigError: The reference names no group, or more than one.
    """
    ordered = sorted(runs, key=_order)
    notes = [*missing, *_unfinished(run.summary for run in ordered)]
    groups = groups_of(ordered)
    pairs, lonely = (all_pairs(groups), []) if reference is None else pairs_with(groups, reference)
    notes += [*doubts_about(groups, pairs), *lonely]
    tests = [row for pair in pairs if (row := paired_row(*pair)) is not None]
    extra = extra_measures(run.summary for run in ordered)
    measures = MEASURES | extra
    rows = [_run_row(run.summary, own, measures) for run, own in zip(ordered, settings_of(ordered), strict=True)]
    named = zip(groups, short_labels(groups), strict=True)
    shown = [_group_row(group, name, measures) for group, name in named]
    return Comparison(rows, _with_bound(shown, groups), tests, notes, list(extra))


def _unfinished(summaries: Iterable[Summary]) -> list[str]:
    return [f"{it.run} is not finished and enters no mean." for it in summaries if not it.finished]


def _order(run: Measured) -> tuple[Any, ...]:
    summary = run.summary
    return *(value or "" for value in shared_of(summary).values()), summary.seed, summary.run


def _run_row(summary: Summary, settings: dict[str, Any], measures: Mapping[str, Reading]) -> Row:
    head = {"run": summary.run, **shared_of(summary), "settings": settings, "seed": summary.seed}
    head["metric"] = summary.metric
    values = {name: read(summary) for name, read in measures.items()}
    return {**head, "tasks": len(summary.tasks), "finished": summary.finished, **values}


def _group_row(group: Group, name: str, measures: Mapping[str, Reading]) -> Row:
    seeds = [member.seed for member in group.members]
    row: Row = {"name": name, "label": group.label, **group.shared, "settings": dict(group.settings)}
    row |= {"metric": group.members[0].metric, "seeds": seeds, "n": len(seeds)}
    for name, read in measures.items():
        row |= _mean(name, [read(member) for member in group.members])
    return row


def _with_bound(rows: list[Row], groups: Sequence[Group]) -> list[Row]:
    """The rows of groups with their intransigence, where joint training bounds any of them."""
    lags = intransigences(groups)
    if all(values is None for values in lags):
        return rows
    return [row | _mean("intransigence", values or [None]) for row, values in zip(rows, lags, strict=True)]


def _mean(name: str, values: Sequence[float | None]) -> Row:
    # A mean over some of the runs would be compared with means over all of them.
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return {name: None, f"{name}_low": None, f"{name}_high": None}
    whole = mean_interval(known)
    counted = len(set(known)) == 1 and isinstance(known[0], int)
    return {name: known[0] if counted else whole.value, f"{name}_low": whole.low, f"{name}_high": whole.high}
