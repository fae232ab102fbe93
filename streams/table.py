"""Any table of labelled texts in one file; a domain column makes it a stream."""

from __future__ import annotations

import dataclasses
from typing import Any

from streams.options import option
from streams.reading import FileOptions, merged_notes, read_table
from streams.rows import ColumnOptions, Splits, read_rows
from streams.source import DomainSource, required_path


@dataclasses.dataclass(frozen=True, kw_only=True)
class TableSource(DomainSource, ColumnOptions, FileOptions):
    """A CSV, TSV, JSON Lines or Parquet file, gzipped or not. Every value of `domain` is a task.

    Example:
        `TableSource(name="reviews", path="reviews.csv", text="body", label="stars", domain="category")`
    """

    kind = "table"

    path: str | None = option(None, "file that holds the table")
    domain: str | None = option(None, "column that names the task of each row; without it the table is one task")

    def _read(self) -> tuple[Splits, dict[str, Any]]:
        table = read_table(required_path(self.path, self.name), self)
        rows, counts = read_rows(table, self, self._label_names, self.name, self.domain)
        return {"train": rows}, {"files": [table.file], "reading": {**merged_notes([table]), **counts}}
