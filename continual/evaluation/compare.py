"""Several runs side by side: one row for each run, means over seeds, and paired tests between settings."""

import csv
import io
import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from continual.evaluation.intervals import mean_interval, paired_test
from continual.evaluation.summary import Summary

Row = dict[str, Any]

KEYS = ("stream", "method", "backbone", "tuning")
"""What runs of one group have in common; they differ in their seeds."""


def _routed(name: str) -> Callable[[Summary], float | None]:
    return lambda summary: None if summary.routed is None else getattr(summary.routed, name)


MEASURES: dict[str, Callable[[Summary], float | None]] = {
    "average": lambda summary: summary.aware.average,
    "learning": lambda summary: summary.aware.learning,
    "anytime": lambda summary: summary.aware.anytime,
    "forgetting": lambda summary: summary.aware.forgetting,
    "bwt": lambda summary: summary.aware.bwt,
    "fwt": lambda summary: summary.aware.fwt,
    "macro_f1": lambda summary: summary.aware.macro_f1,
    "routed_average": _routed("average"),
    "routed_macro_f1": _routed("macro_f1"),
    "routing_accuracy": _routed("routing_accuracy"),
    "total_seconds": lambda summary: summary.seconds.total,
    "examples_per_second": lambda summary: summary.examples_per_second,
    "trainable_parameters_per_task": lambda summary: summary.trainable_parameters_per_task,
    "peak_memory_mb": lambda summary: summary.peak_memory_mb,
}
"""Column name -> how to read it from a summary. Without a prefix, the task is told (`aware`)."""


@dataclass(frozen=True)
class Comparison:
    """Pure data for tables.

    Attributes:
        runs: One row for each run: run, the `KEYS`, seed, tasks, finished, and the `MEASURES`.
        groups: One row for each combination of the `KEYS`, over its finished runs: seeds (a list), n, and for
            each measure NAME its mean NAME, and NAME_low, NAME_high, the 95 % t interval (None for one run).
        tests: One row for each pair of groups on one stream that share two seeds or more: first, second,
            seeds, difference of the averages (first - second) with its interval, p_sign_flip, p_t.
        notes: Sentences about what was left out or should be read with care.
    """

    runs: list[Row]
    groups: list[Row]
    tests: list[Row]
    notes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """The comparison as one JSON object."""
        return asdict(self)


def compare(summaries: Iterable[Summary]) -> Comparison:
    """Compares runs. Unfinished ones are listed but enter no mean."""
    runs = sorted(summaries, key=lambda it: (*_key(it), it.seed, it.run))
    finished = [run for run in runs if run.finished]
    grouped = {key: list(members) for key, members in itertools.groupby(finished, key=_key)}
    notes = [f"{run.run} is not finished and enters no mean." for run in runs if not run.finished]
    for members in grouped.values():
        notes += _doubts(members)
    tests = [
        test
        for first, second in itertools.combinations(grouped, 2)
        if (test := _test(grouped[first], grouped[second])) is not None
    ]
    return Comparison([_run_row(run) for run in runs], [_group_row(it) for it in grouped.values()], tests, notes)


def to_markdown(rows: Sequence[Row], columns: Sequence[str] | None = None, digits: int = 3) -> str:
    """Rows as a Markdown table; a measure with an interval becomes `mean ± half-width`.

    Args:
        rows: Any list of `Comparison`.
        columns: Which columns, in this order; all but the bounds of intervals if None.
        digits: Decimal places of numbers.
    """
    shown = list(columns) if columns is not None else _plain_columns(rows)
    numeric = {name for name in shown if any(isinstance(row.get(name), int | float) for row in rows)}
    lines = [shown, ["---:" if name in numeric else "---" for name in shown]]
    lines += [[_escape(cell_text(row, name, digits)) for name in shown] for row in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def to_csv(rows: Sequence[Row]) -> str:
    """Rows as CSV with full precision; a missing value is an empty field, a list is joined by spaces."""
    columns = _all_columns(rows)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        cells = [row.get(name) for name in columns]
        writer.writerow([" ".join(map(str, cell)) if isinstance(cell, list) else cell for cell in cells])
    return text.getvalue()


def cell_text(row: Row, name: str, digits: int = 3) -> str:
    """One cell for a person: rounded, with `± half-width` where the row has bounds, `–` for unknown."""
    value, low, high = row.get(name), row.get(f"{name}_low"), row.get(f"{name}_high")
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if not isinstance(value, int | float):
        return str(value)
    text = _rounded(value, digits)
    return text if low is None or high is None else f"{text} ± {_rounded((high - low) / 2, digits)}"


def _rounded(value: float, digits: int) -> str:
    if isinstance(value, int):
        return str(value)
    # Seconds and megabytes need no thousandths.
    return f"{value:.{digits}f}" if abs(value) < 100 else f"{value:,.1f}"


def _escape(text: str) -> str:
    return " ".join(text.replace("\\", "\\\\").replace("|", "\\|").split())


def _plain_columns(rows: Sequence[Row]) -> list[str]:
    names = _all_columns(rows)
    return [it for it in names if not (it.endswith(("_low", "_high")) and it.rsplit("_", 1)[0] in names)]


def _all_columns(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def _key(summary: Summary) -> tuple[str, ...]:
    return tuple(getattr(summary, name) or "" for name in KEYS)


def _head(summary: Summary) -> Row:
    return {name: getattr(summary, name) for name in KEYS}


def _run_row(summary: Summary) -> Row:
    head = {"run": summary.run, **_head(summary), "seed": summary.seed}
    measures = {name: read(summary) for name, read in MEASURES.items()}
    return {**head, "tasks": len(summary.tasks), "finished": summary.finished, **measures}


def _group_row(members: list[Summary]) -> Row:
    row: Row = {**_head(members[0]), "seeds": [member.seed for member in members], "n": len(members)}
    for name, read in MEASURES.items():
        values = [value for member in members if (value := read(member)) is not None]
        # A mean over some of the runs would be compared with means over all of them.
        whole = mean_interval(values) if len(values) == len(members) else None
        row[name] = whole and whole.value
        row[f"{name}_low"] = whole and whole.low
        row[f"{name}_high"] = whole and whole.high
    return row


def _doubts(members: list[Summary]) -> list[str]:
    name = label(members[0])
    notes = []
    repeated = sorted({it.seed for it in members if sum(other.seed == it.seed for other in members) > 1})
    if repeated:
        seeds = ", ".join(map(str, repeated))
        notes.append(f"{name} has more than one run with seed {seeds}; their settings may differ.")
    if len({frozenset(member.tasks) for member in members}) > 1:
        notes.append(f"{name} mixes runs on different sets of tasks; their means do not measure one thing.")
    return notes


def label(summary: Summary) -> str:
    """A group in words: `stream · method · backbone · tuning`."""
    return " · ".join(part for part in _key(summary) if part)


def _test(first: list[Summary], second: list[Summary]) -> Row | None:
    if first[0].stream != second[0].stream:
        return None
    by_seed = [{run.seed: run.aware.average for run in group} for group in (first, second)]
    seeds = sorted(
        seed for seed in by_seed[0].keys() & by_seed[1].keys() if None not in (by_seed[0][seed], by_seed[1][seed])
    )
    if len(seeds) < 2:
        return None
    result = paired_test([by_seed[0][seed] for seed in seeds], [by_seed[1][seed] for seed in seeds])
    return {
        "first": label(first[0]),
        "second": label(second[0]),
        "seeds": seeds,
        "difference": result.difference.value,
        "difference_low": result.difference.low,
        "difference_high": result.difference.high,
        "p_sign_flip": result.p_sign_flip,
        "p_t": result.p_t,
    }
