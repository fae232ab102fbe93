"""The texts that `predict` is given in a file: one a line, or in the columns of a table."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from continual.errors import LearningError

if TYPE_CHECKING:
    from streams.reading import Table


@dataclass(frozen=True)
class Given:
    """What a file holds.

    Attributes:
        texts: The texts, in order.
        pairs: Their second texts; None where no column of them was named.
        notes: What had to be repaired, a sentence each.
    """

    texts: list[str]
    pairs: list[str] | None = None
    notes: list[str] = field(default_factory=list)


def read_given(source: BinaryIO, text: str | None, pair: str | None, encoding: str) -> Given:
    """The texts in a file: CSV, TSV, JSON Lines or Parquet by its ending, gzipped or not; lines otherwise.

    Args:
        source: The opened file, or standard input, which holds lines.
        text: The column of the texts, of a table; `text` by default.
        pair: That of the second texts; None for single texts.
        encoding: Of the characters; `auto` as for streams.

    Raises:
        StreamError: It cannot be read, is not in that encoding, or has no such column.
        LearningError: It has no columns and one was asked for, or a cell holds no text.
    """
    from streams.reading import FileOptions, read_table, table_suffix

    name = str(getattr(source, "name", "standard input"))
    path = Path(name)
    if table_suffix(path) is None:
        return _lines(name, source.read(), text or pair, encoding)
    table = read_table(path, FileOptions(encoding=encoding))
    pairs = None if pair is None else _texts(table, pair)
    return Given(_texts(table, text or "text"), pairs, _notes(table.file, encoding, table.notes))


def say(notes: Sequence[str]) -> None:
    """Tells what was repaired, where it does not get into the results."""
    for note in notes:
        click.echo(f"note: {note}", err=True)


def _lines(name: str, data: bytes, column: str | None, encoding: str) -> Given:
    from continual.files import lines_in
    from streams.reading import SUFFIXES, decoded

    if column is not None:
        raise LearningError(
            f"{name} has lines and no column {column!r}; give a table, a file ending in {', '.join(SUFFIXES)}."
        )
    text, notes = decoded(name, data, encoding)
    return Given(lines_in(text), None, _notes(name, encoding, notes))


def _texts(table: "Table", column: str) -> list[str]:
    from streams.conversion import scalar_text

    texts = [scalar_text(cell) for cell in table.column(column)]
    for line, text in zip(table.lines, texts, strict=True):
        if text is None:
            raise LearningError(
                f"{table.file}, line {line}: the column {column!r} holds no text; correct it, or name another column "
                "by --text-column or --pair-column."
            )
    return texts


def _notes(file: str, encoding: str, notes: Any) -> list[str]:
    from streams.reading import REMOVED, REPLACED

    found = []
    if count := notes.get(REPLACED):
        found.append(f"{file}: {count:,} characters are no {encoding} and were replaced; name the right --encoding.")
    if count := notes.get(REMOVED):
        found.append(f"{file}: {count:,} NUL bytes were removed.")
    return found
