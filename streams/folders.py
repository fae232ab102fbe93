"""One folder for each task, with train, dev and test files of any table format."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path
from typing import Any

from streams.errors import StreamError
from streams.options import option
from streams.reading import FileOptions, Table, merged_notes, read_table, table_suffix
from streams.rows import ColumnOptions, Splits, read_rows
from streams.source import LabelledSource, required_path
from streams.task import SPLITS

SPLIT_NAMES = {"train": "train", "dev": "dev", "validation": "dev", "valid": "dev", "val": "dev", "test": "test"}
"""Names of files before the first dot, and the splits that they hold."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FoldersSource(LabelledSource, ColumnOptions, FileOptions):
    """One folder for each task: `<path>/<task>/{train,dev,test}.<ending>`.

    The files may be of any format that `streams.reading` knows; validation, valid and val also name dev.
    Where dev or test is missing it is taken from train, by text.
    """

    kind = "folders"

    path: str | None = option(None, "folder that holds one folder for each task")
    draw: int | None = option(None, "use the files in <task>/seed<draw>, where a task comes in several draws")

    def _found(self) -> list[str]:
        root = self._root()
        found = sorted(entry.name for entry in root.iterdir() if entry.is_dir() and "train" in self._files(entry.name))
        if not found:
            inside = "" if self.draw is None else f"seed{self.draw}/"
            raise StreamError(f"No folder in {root} holds a table {inside}train.*; expected one folder for each task.")
        return found

    def _rows(self, task_name: str) -> tuple[Splits, dict[str, Any]]:
        given: Splits = {}
        counts: Counter[str] = Counter()
        tables: list[Table] = []
        for split, file in self._files(task_name).items():
            table = self._table(file)
            given[split], left_out = read_rows(table, self, self._label_names, task_name, clean=self._clean)
            tables.append(table)
            counts += left_out
        splits, done = self._completed(given)
        reading = {**merged_notes(tables), **counts}
        return splits, {"files": [table.file for table in tables], "reading": reading, "splits": done}

    def _root(self) -> Path:
        root = required_path(self.path, self.name)
        if not root.is_dir():
            raise StreamError(f"Stream {self.name!r} expected a folder at {root}, but there is none; correct 'path'.")
        return root

    def _table(self, file: Path) -> Table:
        return read_table(file, self)

    def _files(self, task_name: str) -> dict[str, Path]:
        """The file of each split that the task has."""
        folder = self._root() / task_name
        if self.draw is not None:
            folder /= f"seed{self.draw}"
        files: dict[str, Path] = {}
        for entry in sorted(folder.iterdir()) if folder.is_dir() else ():
            split = SPLIT_NAMES.get(entry.name.split(".")[0])
            if split is None or not entry.is_file() or table_suffix(entry) is None:
                continue
            if split in files:
                raise StreamError(f"{folder} has both {files[split].name} and {entry.name} for {split}; keep one.")
            files[split] = entry
        return {split: files[split] for split in SPLITS if split in files}
