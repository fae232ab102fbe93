"""`Task`: what is learned at once. Name, label names and three splits."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from streams.errors import StreamError

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa

SPLITS = ("train", "dev", "test")


@dataclasses.dataclass(frozen=True)
class Example:
    """One text with what is to be told of it.

    Attributes:
        text: the text, or the sentence to translate.
        label: the *name* of its label, which means the same wherever the example is met; None in a translation.
        text_pair: a second text, in tasks on pairs.
        target: the translation; None in a classification.
    """

    text: str
    label: str | None
    text_pair: str | None = None
    target: str | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Task:
    """A text task with its three splits; valid from construction on.

    Attributes:
        name: identifies the task in its stream.
        labels: label names; the `label` column of the splits indexes into them. Empty in a translation.
        train: rows to learn from, a `datasets.Dataset` with the columns `text` (str), `label` (int64) and, in
            all three splits or in none, `text_pair` (str). In a translation the columns are `text` and `target`
            (str).
        dev: rows to choose between models, same columns.
        test: rows to report on, same columns.
        kind: what is predicted; `classification` and `translation` are checked in full, other kinds only for their
            texts.
        metric: name of the score by which the task is reported, beside its accuracy where it has labels.
        info: JSON-able provenance: files, rows left out, seeds, languages, the true parameters of a simulated task.

    Raises:
        StreamError: on construction, see `validate`.
    """

    name: str
    labels: tuple[str, ...]
    train: datasets.Dataset
    dev: datasets.Dataset
    test: datasets.Dataset
    kind: str = "classification"
    metric: str = "accuracy"
    info: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        self.validate()

    def split(self, name: str) -> datasets.Dataset:
        """The split called `name`: train, dev or test."""
        if name not in SPLITS:
            raise StreamError(f"Task {self.name!r} has no split {name!r}; choose one of {', '.join(SPLITS)}.")
        return getattr(self, name)

    def examples(self, split: str = "train") -> Iterator[Example]:
        """The rows of a split with label names instead of indices."""
        for row in self.split(split):
            label = self.labels[row["label"]] if self.labels else None
            yield Example(row["text"], label, row.get("text_pair"), row.get("target"))

    def validate(self) -> None:
        """Checks everything a learner relies on; runs on construction.

        Raises:
            StreamError: a name is empty or repeated, a split is empty, lacks a column or has one of the wrong
                type, a text or a translation is missing or blank, a label is out of range, fewer than two classes
                occur in train, dev or test holds a class that train does not, or a translation has labels or pairs
                of texts. The message names task, split and row (from 0).
        """
        if not isinstance(self.name, str) or not self.name.strip():
            raise StreamError(f"A task needs a name, but found {self.name!r}; give it one.")
        tables = {split: self._table(split) for split in SPLITS}
        with_pair = {split for split, table in tables.items() if "text_pair" in table.column_names}
        if with_pair and len(with_pair) < len(SPLITS):
            lacking = next(split for split in SPLITS if split not in with_pair)
            self._refuse(lacking, "lacks the column 'text_pair' that another split has; give it to all or none")
        for split, table in tables.items():
            self._check_texts(split, table)
        if self.kind == "classification":
            self._check_label_names()
            present = {split: self._check_labels(split, table) for split, table in tables.items()}
            self._check_classes(tables, present["train"])
        elif self.kind == "translation":
            if self.labels != ():
                raise StreamError(
                    f"Task {self.name!r} is a translation with the labels {self.labels!r}; leave them out."
                )
            for split, table in tables.items():
                self._check_targets(split, table)

    def _refuse(self, split: str, problem: str) -> NoReturn:
        raise StreamError(f"Task {self.name!r}, split {split!r}: {problem}.")

    def _table(self, split: str) -> pa.Table:
        dataset = getattr(self, split)
        if not hasattr(dataset, "with_format"):
            self._refuse(split, f"expected a datasets.Dataset, found {type(dataset).__name__}; convert it")
        if len(dataset) == 0:
            self._refuse(
                split,
                "it has no rows, but every split needs at least one; give it some or leave the task out",
            )
        # Through the Arrow view rather than `.data`, which ignores a selection of rows.
        return dataset.with_format("arrow")[:]

    def _check_texts(self, split: str, table: pa.Table) -> None:
        self._check_column(split, table, "text")
        self._check_filled(split, table, "text")
        if "text_pair" in table.column_names:
            self._check_column(split, table, "text_pair")

    def _check_targets(self, split: str, table: pa.Table) -> None:
        if "text_pair" in table.column_names:
            self._refuse(split, "a translation has no use for the column 'text_pair'; remove it")
        self._check_column(split, table, "target")
        self._check_filled(split, table, "target")

    def _check_column(self, split: str, table: pa.Table, name: str) -> None:
        """The column `name` is there and holds a text in each row."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if name not in table.column_names:
            self._refuse(split, f"expected a column {name!r}, found {', '.join(table.column_names)}; rename one")
        column = table.column(name)
        if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
            self._refuse(split, f"the column {name!r} must hold text, but holds {column.type}; convert it")
        if column.null_count:
            row = pc.index(pc.is_null(column), True).as_py()
            self._refuse(split, f"row {row} has no {name}; fill it or leave the row out")

    def _check_filled(self, split: str, table: pa.Table, name: str) -> None:
        """No text in the column `name` is blank."""
        import pyarrow.compute as pc

        blank = pc.equal(pc.utf8_trim_whitespace(table.column(name)), "")
        if pc.any(blank).as_py():
            row = pc.index(blank, True).as_py()
            self._refuse(split, f"row {row} has an empty {name}; fill it or leave the row out")

    def _check_label_names(self) -> None:
        labels = self.labels
        if not isinstance(labels, tuple) or not all(isinstance(label, str) and label for label in labels):
            raise StreamError(f"Task {self.name!r} needs a tuple of label names, but found {labels!r}; correct it.")
        if len(set(labels)) != len(labels):
            raise StreamError(f"Task {self.name!r} has a label name twice in {labels!r}; label names must differ.")
        if len(labels) < 2:
            raise StreamError(
                f"Task {self.name!r} has one label name ({', '.join(labels)}), but needs at least two "
                "classes; leave the task out or join it with another."
            )

    def _check_labels(self, split: str, table: pa.Table) -> set[int]:
        """Checks the label column and returns the classes that occur."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if "label" not in table.column_names:
            self._refuse(split, f"expected a column 'label', found {', '.join(table.column_names)}; rename one")
        column = table.column("label")
        if not pa.types.is_int64(column.type):
            self._refuse(split, f"the column 'label' must hold int64 indices, but holds {column.type}; convert it")
        inside = pc.fill_null(pc.and_(pc.greater_equal(column, 0), pc.less(column, len(self.labels))), False)
        if not pc.all(inside).as_py():
            row = pc.index(inside, False).as_py()
            found, last = column[row].as_py(), len(self.labels) - 1
            self._refuse(split, f"row {row} has the unknown label {found}; expected an index from 0 to {last}")
        return set(pc.unique(column).to_pylist())

    def _check_classes(self, tables: Mapping[str, pa.Table], trained: set[int]) -> None:
        if len(trained) < 2:
            only = ", ".join(self.labels[label] for label in trained)
            self._refuse("train", f"only the class {only!r} occurs, but at least two are needed; leave the task out")
        for split in ("dev", "test"):
            for row, label in enumerate(tables[split].column("label").to_pylist()):
                if label not in trained:
                    name = self.labels[label]
                    self._refuse(split, f"row {row} has the label {name!r}, which never occurs in train; leave it out")
