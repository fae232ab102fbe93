"""Rows of a comparison as Markdown, CSV and cells of a table."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from continual.evaluation.figures.numbers import unit_of
from continual.evaluation.groups import setting_text, short_keys

Row = Mapping[str, Any]

_SCORES = (
    "average",
    "learning",
    "anytime",
    "forgetting",
    "bwt",
    "fwt",
    "intransigence",
    "chrf",
    "own_metric",
    "difference",
)
_COUNTS = ("trainable_parameters_per_task",)


def for_people(rows: Sequence[Row], metrics: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    """Rows with BLEU and chrF from 0 to 100, as everyone knows them; in files they are from 0 to 1 like all scores.

    Args:
        rows: Any list of `Comparison`.
        metrics: The metric of each group by its label, for rows of tests; other rows say it themselves.
    """
    return [_readable(row, row["metric"] if metrics is None else metrics[row["first"]]) for row in rows]


def _readable(row: Row, metric: str) -> dict[str, Any]:
    unit = unit_of(metric)
    factor = 1.0 if unit.suffix else unit.factor  # shares are printed as they are
    return {
        name: value * factor if isinstance(value, float) and _is_score(name) else value for name, value in row.items()
    }


def _is_score(name: str) -> bool:
    return name.removeprefix("routed_").removesuffix("_low").removesuffix("_high") in _SCORES


def flat_rows(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Rows without nesting: each of their `settings` becomes a column of text, further tables inside are left out."""
    names = short_keys({key for row in rows for key in row.get("settings", ())}, _all_columns(rows))
    return [{name: value for key, cell in row.items() for name, value in _flat(key, cell, names)} for row in rows]


def to_markdown(rows: Sequence[Row], columns: Sequence[str] | None = None, digits: int = 3) -> str:
    """Rows as a Markdown table; a measure with an interval becomes `mean ± half-width`.

    Args:
        rows: Any list of `Comparison`.
        columns: Which columns, in this order; all but the bounds of intervals if None.
        digits: Decimal places of numbers.
    """
    rows = flat_rows(rows)
    shown = list(columns) if columns is not None else _plain_columns(rows)
    numeric = {name for name in shown if any(isinstance(row.get(name), int | float) for row in rows)}
    lines = [shown, ["---:" if name in numeric else "---" for name in shown]]
    lines += [[_escape(cell_text(row, name, digits)) for name in shown] for row in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def to_csv(rows: Sequence[Row]) -> str:
    """Rows as CSV with full precision; a missing value is an empty field, a list is joined by spaces."""
    rows = flat_rows(rows)
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
    digits = 0 if name in _COUNTS else digits
    text = _rounded(value, digits)
    if low is None or high is None or isinstance(value, int):  # a whole number was counted, and is the same for all
        return text
    return f"{text} ± {_rounded((high - low) / 2, digits)}"


def _flat(key: str, cell: Any, names: Mapping[str, str]) -> list[tuple[str, Any]]:
    if key == "settings":
        return [(names[name], setting_text(value)) for name, value in cell.items()]
    nested = isinstance(cell, list) and any(isinstance(item, Mapping) for item in cell)
    return [] if nested else [(key, cell)]


def _rounded(value: float, digits: int) -> str:
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    # Seconds and megabytes need no thousandths.
    text = f"{value:.{digits}f}" if abs(value) < 100 else f"{value:,.{min(digits, 1)}f}"
    return text.removeprefix("-") if float(text.replace(",", "")) == 0 else text


def _escape(text: str) -> str:
    return " ".join(text.replace("\\", "\\\\").replace("|", "\\|").split())


def _plain_columns(rows: Sequence[Row]) -> list[str]:
    names = _all_columns(rows)
    return [it for it in names if not (it.endswith(("_low", "_high")) and it.rsplit("_", 1)[0] in names)]


def _all_columns(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))
