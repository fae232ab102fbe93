"""Domains of plain text without labels: a file or a folder for each, to pretrain a model on."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

from streams.errors import StreamError
from streams.folders import SPLIT_NAMES
from streams.options import option
from streams.reading import FileOptions, Table, merged_notes, read_table, read_text, table_suffix
from streams.rows import Row, Splits, chosen_rows, complete_splits, require_texts, text_of_cell
from streams.source import SplitSource, required_path
from streams.splits import text_key
from streams.task import Task

_PLAIN = (".txt", ".txt.gz")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TextSource(SplitSource, FileOptions):
    """Text domains from files: `<path>/<domain>.<ending>`, or every file in the folder `<path>/<domain>`.

    A file is plain text (.txt, also .txt.gz) or a table that `streams.reading` knows. In a folder, files called train,
    dev (or validation) and test hold those splits and others are left alone; without a train file the texts of all
    files are split. A path that is a file is a single domain. Where dev or test is missing it is taken from train, by
    text.
    """

    kind = "texts"
    metric: ClassVar[str] = "perplexity"

    path: str | None = option(None, "folder with a file or a folder for each domain, or one file")
    text: str = option("text", "column with the text, in tables")
    unit: Literal["line", "paragraph", "file"] = option(
        "line", "what one text is in a plain file: a line, a paragraph (up to an empty line) or all of it"
    )
    where: Mapping[str, Any] | None = option(
        None, "in tables keep only the rows in which each named column has the given value, or one of a list of values"
    )

    @cached_property
    def _files(self) -> dict[str, dict[str, list[Path]]]:
        """The files of each domain by split."""
        path = required_path(self.path, self.name)
        if path.is_file():
            return {_stem(path): {"train": [path]}}
        if not path.is_dir():
            raise StreamError(f"Stream {self.name!r} expected text at {path}, but there is none; correct 'path'.")
        domains: dict[str, dict[str, list[Path]]] = {}
        for entry in sorted(path.iterdir()):
            splits = _splits_of(entry)
            if not splits:
                continue
            if _stem(entry) in domains:
                raise StreamError(f"{path} holds the domain {_stem(entry)!r} twice, as {entry.name} too; keep one.")
            domains[_stem(entry)] = splits
        if not domains:
            raise StreamError(
                f"Found no text in {path}; expected a file such as news.txt or news.jsonl, or a folder of such files, "
                "for each domain."
            )
        return domains

    def _found(self) -> list[str]:
        return list(self._files)

    def _rows(self, task_name: str) -> tuple[Splits, dict[str, Any]]:
        given: Splits = {}
        counts: Counter[str] = Counter()
        notes: list[Table] = []
        for split, files in self._files[task_name].items():
            given[split] = []
            for file in files:
                table = self._table(file)
                given[split] += self._texts(table, task_name, counts)
                notes.append(table)
        require_texts(task_name, {"train": given["train"], "dev": "-", "test": "-"})
        splits, done = self._completed(given)
        return splits, {
            "files": [table.file for table in notes],
            "reading": merged_notes(notes) | +counts,
            "splits": done,
        }

    def _table(self, file: Path) -> Table:
        if not file.name.lower().endswith(_PLAIN):
            return read_table(file, self)
        text, notes = read_text(file, self.encoding)
        return plain_table(str(file), text, self.unit, self.text, notes)

    def _texts(self, table: Table, domain: str, counts: Counter[str]) -> list[Row]:
        keep = chosen_rows(table, self.where)
        rows = []
        for wanted, line, cell in zip(keep, table.lines, table.column(self.text), strict=True):
            text = text_of_cell(cell, self.text, (table.file, line), counts) if wanted else ""
            if text:
                rows.append(Row(text, None, "", domain, table.file, line, text_key(text)))
            else:
                counts["rows_without_text" if wanted else "rows_filtered_out"] += 1
        return rows

    def _completed(self, given: Splits) -> tuple[Splits, dict[str, Any]]:
        return complete_splits(given, self._fractions, self.split_seed)

    def _build(self, task_name: str, splits: Splits, info: dict[str, Any]) -> Task:
        from datasets import Dataset

        require_texts(task_name, splits)
        datasets = {split: Dataset.from_dict({"text": [row.text for row in rows]}) for split, rows in splits.items()}
        return Task(name=task_name, labels=(), kind="text", metric=self.metric, info=info, **datasets)


def plain_table(file: str, text: str, unit: str, column: str, notes: Mapping[str, Any]) -> Table:
    r"""The texts of a plain file as a table of one column.

    Args:
        file: where it came from.
        text: all of it.
        unit: `line`, `paragraph` or `file`; the lines of a paragraph are joined by spaces.
        column: what the column is called.
        notes: what was repaired while reading.

    Example:
        >>> plain_table("a.txt", "one\ntwo\n\nthree\n", "paragraph", "text", {}).column("text")
        ['one two', 'three']
    """
    if unit == "file":
        return Table(file, (column,), [[text]], [1], notes)
    # Only \n separates lines: splitlines() would also break at U+2028 and friends inside a text.
    lines = [(number, line.strip()) for number, line in enumerate(text.split("\n"), 1)]
    if unit == "line":
        filled = [(number, line) for number, line in lines if line]
    else:
        filled = []
        for (number, line), (_, before) in zip(lines, [(0, ""), *lines], strict=False):
            if line and before:
                filled[-1] = (filled[-1][0], f"{filled[-1][1]} {line}")
            elif line:
                filled.append((number, line))
    return Table(file, (column,), [[line for _, line in filled]], [number for number, _ in filled], notes)


def _splits_of(entry: Path) -> dict[str, list[Path]]:
    """The files of one domain by split; nothing where the entry is none."""
    if entry.name.startswith("."):
        return {}
    if entry.is_file():
        return {"train": [entry]} if _is_readable(entry) else {}
    files = [file for file in sorted(entry.iterdir()) if file.is_file() and _is_readable(file)]
    named: dict[str, list[Path]] = {}
    for file in files:
        if split := SPLIT_NAMES.get(_stem(file)):
            named.setdefault(split, []).append(file)
    if "train" in named:
        return {split: named[split] for split in ("train", "dev", "test") if split in named}
    return {"train": files} if files else {}


def _is_readable(file: Path) -> bool:
    return not file.name.startswith(".") and (file.name.lower().endswith(_PLAIN) or table_suffix(file) is not None)


def _stem(path: Path) -> str:
    """The name before the first dot; a folder's whole name."""
    return path.name if path.is_dir() else path.name.split(".")[0]
