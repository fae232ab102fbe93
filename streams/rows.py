"""From tables to tasks: give columns their meaning, complete the splits by text, build the `Task`."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sized
from typing import Any, NamedTuple

from streams.conversion import scalar_text
from streams.errors import StreamError
from streams.options import option, unknown
from streams.reading import Table
from streams.splits import check_fractions, split_by_text, text_key, without_overlaps
from streams.task import SPLITS, Task


class Row(NamedTuple):
    """One labelled text, and the place where a person finds it."""

    text: str
    text_pair: str | None
    label: str
    domain: str
    file: str
    line: int
    key: str
    """What makes two texts the same, see `streams.splits.text_key`."""


Splits = dict[str, list[Row]]
"""Rows by split. A source gives `train` and, where they are published, `dev` and `test`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ColumnOptions:
    """Which columns of a table mean what."""

    text: str = option("text", "column with the text")
    text_pair: str | None = option(None, "column with a second text, for tasks about two texts")
    label: str = option("label", "column with the label")
    where: Mapping[str, Any] | None = option(
        None, "keep only the rows in which each named column has the given value, or one of a list of values"
    )


@dataclasses.dataclass(frozen=True)
class LabelNames:
    """The option `labels`: nothing, names in order, or a mapping from the file's labels to names."""

    given: Mapping[str, str] | tuple[str, ...] | None = None

    def name(self, found: str, file: str, line: int) -> str:
        """The name of the label `found` in a file, or a `StreamError` if it is none of those given."""
        if self.given is None:
            return found
        if found not in self.given:
            raise StreamError(f"{file}, line {line}: {unknown('label', found, self.given)}")
        return self.given[found] if isinstance(self.given, Mapping) else found

    def ordered(self, found: Iterable[str]) -> tuple[str, ...]:
        """All names in order: as given, else those found, sorted (as numbers if all are numbers)."""
        if isinstance(self.given, Mapping):
            return tuple(dict.fromkeys(self.given.values()))
        if self.given is not None:
            return tuple(self.given)
        names = set(found)
        numeric = all(name.lstrip("-").isdecimal() for name in names)
        return tuple(sorted(names, key=int if numeric else str))


def read_rows(
    table: Table,
    columns: ColumnOptions,
    labels: LabelNames,
    domain: str,
    domain_column: str | None = None,
    clean: Callable[[str], str] = str,
) -> tuple[list[Row], Counter[str]]:
    """The labelled rows of a table, in order, and how many were left out or repaired and why.

    Rows without text, without label or without domain are left out and counted, since real tables have them.
    An unknown label and a text that is not text end in an error.

    Args:
        table: what was read.
        columns: where text and label stand and which rows to keep.
        labels: label names, see `LabelNames`.
        domain: domain of every row if the table has no column for it.
        domain_column: column that names the domain of each row.
        clean: applied to every text before anything else.

    Raises:
        StreamError: a column is missing, a label is unknown, a text is no text, or no row is left.
    """
    counts: Counter[str] = Counter()
    size = len(table.lines)
    keep = chosen_rows(table, columns.where)
    texts = table.column(columns.text)
    pairs = table.column(columns.text_pair) if columns.text_pair else [None] * size
    label_cells = table.column(columns.label)
    domains = table.column(domain_column) if domain_column else [domain] * size
    rows = []
    for index, line in enumerate(table.lines):
        if not keep[index]:
            counts["rows_filtered_out"] += 1
            continue
        place = (table.file, line)
        text = text_of_cell(texts[index], columns.text, place, counts, clean)
        pair = text_of_cell(pairs[index], columns.text_pair, place, counts, clean) if columns.text_pair else None
        label, row_domain = name_of_cell(label_cells[index]), name_of_cell(domains[index])
        lacking = _lacking(text, pair, label, row_domain)
        if lacking:
            counts[lacking] += 1
            continue
        rows.append(Row(text, pair, labels.name(label, *place), row_domain, *place, text_key(text, pair)))
    if not rows:
        raise StreamError(f"{table.file} has no usable row ({in_words(counts)}); check the columns and the filter.")
    return rows, +counts


def chosen_rows(table: Table, where: Mapping[str, Any] | None) -> list[bool]:
    """For each row whether the option `where` keeps it.

    Raises:
        StreamError: a column is missing, or no row has the value asked for.
    """
    keep = [True] * len(table.lines)
    for name, wanted in (where or {}).items():
        values = {scalar_text(value) for value in (wanted if isinstance(wanted, list | tuple) else [wanted])}
        cells = [scalar_text(cell) for cell in table.column(name)]
        if not values.intersection(cells):
            found = ", ".join(sorted({str(cell) for cell in cells})[:10])
            raise StreamError(
                f"{table.file} has no row with {name}={wanted}; the column holds {found}; correct the filter `where`."
            )
        keep = [kept and cell in values for kept, cell in zip(keep, cells, strict=True)]
    return keep


def text_of_cell(
    cell: Any, column: str, place: tuple[str, int], counts: Counter[str], clean: Callable[[str], str] = str
) -> str:
    """The text in a cell, stripped; empty where there is none.

    Args:
        cell: what was read.
        column: name of its column.
        place: its file and line.
        counts: where a repair is counted.
        clean: applied to the text.

    Raises:
        StreamError: the cell holds something that is no text.
    """
    if cell is None or (isinstance(cell, float) and cell != cell):
        return ""
    if not isinstance(cell, str):
        raise StreamError(
            f"{place[0]}, line {place[1]}: expected text in the column {column!r}, found "
            f"{type(cell).__name__}; choose the column that holds the text."
        )
    text = _repaired(cell)
    counts["texts_repaired"] += text != cell
    return clean(text).strip()


def _repaired(text: str) -> str:
    """The text without NUL characters and half surrogate pairs, which JSON can spell but UTF-8 cannot."""
    text = text.replace("\0", "")
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def name_of_cell(cell: Any) -> str:
    """The domain or label that stands in a cell, text or number; empty where there is none."""
    return (scalar_text(cell) or "").strip()


def _lacking(text: str, pair: str | None, label: str, domain: str) -> str | None:
    if not text or pair == "":
        return "rows_without_text"
    if not label:
        return "rows_without_label"
    return None if domain else "rows_without_domain"


def in_words(counts: Mapping[str, int]) -> str:
    """Counts as they stand in a message: `rows without text: 3`."""
    return ", ".join(f"{key.replace('_', ' ')}: {count}" for key, count in counts.items() if count) or "no rows"


def complete_splits(given: Splits, fractions: Mapping[str, float], seed: int) -> tuple[Splits, dict[str, Any]]:
    """Fills the missing ones of train, dev and test from train, and separates by text those that were given.

    Args:
        given: `train` and any of `dev` and `test`, over all domains at once, so that a text which occurs in
            two domains does not straddle either.
        fractions: share of the distinct texts in `train` for each split that may have to be made.
        seed: see `streams.splits.split_by_text`.

    Returns:
        All three splits and what was done, JSON-able.
    """
    check_fractions({split: fractions[split] for split in ("dev", "test")})
    kept = without_overlaps({split: [row.key for row in rows] for split, rows in given.items()})
    splits = {split: [given[split][index] for index in indices] for split, indices in kept.items()}
    missing = {split: fractions[split] for split in ("dev", "test") if split not in given}
    if missing:
        train = splits["train"]
        parts = split_by_text([row.key for row in train], [(row.domain, row.label) for row in train], missing, seed)
        splits.update({split: [train[index] for index in indices] for split, indices in parts.items()})
    done = {"given": [split for split in SPLITS if split in given], "made": missing}
    if missing:
        done["seed"] = seed
    overlaps = sum(map(len, given.values())) - sum(map(len, kept.values()))
    if overlaps:
        done["overlapping_rows_dropped"] = overlaps
    return splits, done


def build_task(
    name: str, splits: Splits, labels: LabelNames, info: Mapping[str, Any], metric: str = "accuracy"
) -> Task:
    """The `Task` made of three splits of rows.

    Raises:
        StreamError: a split is empty or dev or test holds a label that train does not, with file and line.
    """
    require_texts(name, splits)
    trained = {row.label for row in splits["train"]}
    for row in (*splits["dev"], *splits["test"]):
        if row.label not in trained:
            raise StreamError(
                f"{row.file}, line {row.line}: the label {row.label!r} never occurs in the training texts of "
                f"task {name!r}, which have {', '.join(sorted(trained))}; correct the label or add texts of "
                "that class."
            )
    names = labels.ordered(trained)
    if len(names) < 2:
        raise StreamError(
            f"Task {name!r} has only the class {names[0]!r}, but needs at least two; leave the task out or "
            "join it with another."
        )
    datasets = {split: _dataset(rows, names) for split, rows in splits.items()}
    return Task(name=name, labels=names, metric=metric, info={**info, **_repetitions(splits)}, **datasets)


def require_texts(name: str, splits: Mapping[str, Sized], dropped: Mapping[str, int] | None = None) -> None:
    """Raises a `StreamError` unless every split of the task `name` has a row.

    Args:
        name: of the task.
        splits: its rows.
        dropped: how many rows each filter left out, for the message.
    """
    for split in SPLITS:
        if not splits[split]:
            rows = f"it has {sum(map(len, splits.values()))} usable rows"
            if dropped and any(dropped.values()):
                raise StreamError(
                    f"Task {name!r} has no text for {split}: {rows}, since filters left out others "
                    f"({in_words(dropped)}); loosen those filters, correct the data, or leave the task out."
                )
            raise StreamError(
                f"Task {name!r} has no text for {split}: {rows}, too few to divide; give it more texts or a file for "
                "each split, or leave the task out."
            )


def _dataset(rows: list[Row], names: tuple[str, ...]) -> Any:
    from datasets import Dataset, Features, Value

    index = {name: number for number, name in enumerate(names)}
    columns: dict[str, list[Any]] = {"text": [row.text for row in rows]}
    features = {"text": Value("string"), "label": Value("int64")}
    if rows[0].text_pair is not None:
        columns["text_pair"] = [row.text_pair for row in rows]
        features["text_pair"] = Value("string")
    columns["label"] = [index[row.label] for row in rows]
    return Dataset.from_dict(columns, features=Features({key: features[key] for key in columns}))


def _repetitions(splits: Splits) -> dict[str, int]:
    """How many rows repeat an earlier text, and how many texts bear more than one label; all are kept."""
    labels: dict[str, set[str]] = {}
    rows = [row for split in SPLITS for row in splits[split]]
    for row in rows:
        labels.setdefault(row.key, set()).add(row.label)
    conflicting = sum(len(found) > 1 for found in labels.values())
    return {"repeated_rows": len(rows) - len(labels), "texts_with_conflicting_labels": conflicting}
