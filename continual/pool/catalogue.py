"""The SQLite catalogue: which prompts exist, what their records say, and which key rows are theirs.

Every operation opens a connection of its own (a tenth of a millisecond), so that a catalogue may be used from
several threads and after a fork, and notices when another process has rebuilt the file.
"""

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from continual.errors import PoolError, StorageError
from continual.pool.prompt import PromptRecord, task_slug

SCHEMA = 2
"""Version of the tables. A catalogue of any other version is rebuilt."""

_TABLES = (
    "CREATE TABLE meta (generation TEXT NOT NULL, dimension INTEGER)",
    # `position` is the order of arrival; the keys are the rows [first_row, first_row + rows) of the key file.
    "CREATE TABLE prompts (position INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, task TEXT NOT NULL,"
    " slug TEXT NOT NULL, version INTEGER NOT NULL, tensors_sha256 TEXT NOT NULL,"
    " first_row INTEGER NOT NULL UNIQUE, rows INTEGER NOT NULL, keys_crc INTEGER NOT NULL)",
    # PromptRecord as JSON, apart from the rest because it is long and opening a pool does not need it.
    "CREATE TABLE records (position INTEGER PRIMARY KEY, record TEXT NOT NULL)",
    "CREATE INDEX by_slug ON prompts (slug, version)",
    "CREATE INDEX by_task ON prompts (task, position)",
    "CREATE INDEX by_tensors ON prompts (tensors_sha256)",
    f"PRAGMA user_version = {SCHEMA}",
)
_NEWEST = "SELECT task, id, MAX(version) AS newest FROM prompts GROUP BY task"
_END = "SELECT first_row + rows FROM prompts ORDER BY first_row DESC LIMIT 1"

_BUSY_SECONDS = 60.0
_DISK_TROUBLE = {
    sqlite3.SQLITE_FULL: "the disk is full; free some space and run the same command again",
    sqlite3.SQLITE_IOERR: "the disk refused a write; check its free space and health",
}
_READ_ONLY = "it is read-only; choose a folder that you may write to"

# With a damaged schema, the Python module may fail to decode SQLite's own message.
_SQLITE_ERRORS = (sqlite3.DatabaseError, UnicodeDecodeError)


class IndexDamagedError(Exception):
    """Derived data are missing, damaged or of another version. The pool answers by rebuilding them."""


@dataclass(frozen=True)
class State:
    """What a reader must know before it trusts what it has in memory.

    Attributes:
        generation: Changes when the index is rebuilt, that is, when row numbers change their meaning.
        dimension: Width of the keys, None while there are none.
        rows: Number of key rows.
    """

    generation: str
    dimension: int | None
    rows: int


class KeyRows(NamedTuple):
    """Which rows of the key file belong to a prompt."""

    id: str
    task: str
    version: int
    first_row: int
    rows: int
    crc: int


class Catalogue:
    """The file `catalogue.sqlite`.

    Args:
        path: The file; see `create`.
        read_only: Never write, not even to repair what a killed writer left.
    """

    def __init__(self, path: Path, read_only: bool = False) -> None:
        self._path = path
        self._mode = "ro" if read_only else "rw"

    @classmethod
    def create(cls, path: Path, generation: str) -> "Catalogue":
        """Makes an empty catalogue in the empty file `path`."""
        catalogue = cls(path)
        with catalogue._writing() as connection:
            for statement in _TABLES:
                connection.execute(statement)
            connection.execute("INSERT INTO meta VALUES (?, NULL)", (generation,))
        return catalogue

    def state(self) -> State:
        """The generation, key width and number of key rows."""
        with self._reading() as connection:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version != SCHEMA:
                raise IndexDamagedError(f"{self._path} has version {version} instead of {SCHEMA}")
            found = connection.execute(f"SELECT generation, dimension, COALESCE(({_END}), 0) FROM meta").fetchone()
        if found is None:
            raise IndexDamagedError(f"{self._path} is empty")
        return State(*found)

    def ids(self) -> list[str]:
        """All ids in order of arrival."""
        with self._reading() as connection:
            return [row[0] for row in connection.execute("SELECT id FROM prompts ORDER BY position")]

    def id_set(self) -> set[str]:
        """All ids; quicker than `ids`, since an index of the table is enough."""
        with self._reading() as connection:
            return {row[0] for row in connection.execute("SELECT id FROM prompts")}

    def tasks(self) -> list[str]:
        """All task names in order of their first arrival."""
        with self._reading() as connection:
            query = "SELECT task FROM prompts GROUP BY task ORDER BY MIN(position)"
            return [row[0] for row in connection.execute(query)]

    def superseded(self) -> set[str]:
        """The ids of all prompts whose task has a newer one."""
        query = f"SELECT prompts.id FROM prompts JOIN ({_NEWEST}) USING (task) WHERE version < newest"
        with self._reading() as connection:
            return {row[0] for row in connection.execute(query)}

    def count(self) -> int:
        """Number of prompts."""
        with self._reading() as connection:
            return int(connection.execute("SELECT COUNT(*) FROM prompts").fetchone()[0])

    def record(self, prompt_id: str) -> PromptRecord | None:
        """The record of a prompt, None if it is not in the catalogue."""
        return next(iter(self._records("WHERE id = ?", (prompt_id,))), None)

    def records(self) -> list[PromptRecord]:
        """All records in order of arrival."""
        return self._records("ORDER BY position", ())

    def latest(self, task: str) -> PromptRecord | None:
        """The record with the highest version for `task`, None if the task has no prompt."""
        query = "WHERE slug = ? AND task = ? ORDER BY version DESC LIMIT 1"
        # The command line may hand over bytes that are not UTF-8; no stored name has any.
        name = task.encode("utf-8", "backslashreplace").decode()
        return next(iter(self._records(query, (task_slug(task), name))), None)

    def newest(self) -> dict[str, str]:
        """For each task the id of its highest version."""
        with self._reading() as connection:
            # SQLite takes the other columns from the row with the maximum.
            return {task: name for task, name, _ in connection.execute(_NEWEST)}

    def highest_version(self, slug: str) -> int:
        """The highest version of the tasks with this slug, 0 if there are none."""
        with self._reading() as connection:
            found = connection.execute("SELECT MAX(version) FROM prompts WHERE slug = ?", (slug,)).fetchone()
        return found[0] or 0

    def with_tensors(self, tensors_sha256: str) -> list[PromptRecord]:
        """The records of the prompts whose tensors file has this checksum."""
        return self._records("WHERE tensors_sha256 = ? ORDER BY position", (tensors_sha256,))

    def key_rows(self, start: int = 0) -> list[KeyRows]:
        """Who owns the key rows from `start` on, in the order of the rows."""
        query = (
            "SELECT id, task, version, first_row, rows, keys_crc FROM prompts WHERE first_row >= ? ORDER BY first_row"
        )
        with self._reading() as connection:
            return [KeyRows(*row) for row in connection.execute(query, (start,))]

    @contextlib.contextmanager
    def inserting(self, rows: Iterable[tuple[PromptRecord, int]]) -> Iterator[None]:
        """Adds records, each with the checksum of its keys, if the body of the `with` succeeds."""
        with self._writing() as connection:
            for record, keys_crc in rows:
                self._insert(connection, record, keys_crc)
            yield

    def _insert(self, connection: sqlite3.Connection, record: PromptRecord, keys_crc: int) -> None:
        count, width = record.keys
        connection.execute("UPDATE meta SET dimension = ? WHERE dimension IS NULL", (width,))
        added = connection.execute(
            "INSERT INTO prompts (id, task, slug, version, tensors_sha256, first_row, rows, keys_crc)"
            f" VALUES (?, ?, ?, ?, ?, COALESCE(({_END}), 0), ?, ?)",
            (
                record.id,
                record.task,
                task_slug(record.task),
                record.version,
                record.tensors_sha256,
                count,
                keys_crc,
            ),
        )
        connection.execute("INSERT INTO records VALUES (?, ?)", (added.lastrowid, json.dumps(record.to_json())))

    def _records(self, where: str, values: tuple[str, ...]) -> list[PromptRecord]:
        with self._reading() as connection:
            texts = connection.execute(
                f"SELECT record FROM prompts JOIN records USING (position) {where}", values
            ).fetchall()
        try:
            return [PromptRecord.from_json(json.loads(text)) for (text,) in texts]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise IndexDamagedError(f"{self._path} holds a damaged record ({error})") from error

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        try:
            with contextlib.closing(self._connect()) as connection:
                yield connection
        except _SQLITE_ERRORS as error:
            self._raise_if_busy(error)
            reason = f"cannot be read ({error})" if self._path.exists() else "is missing"
            raise IndexDamagedError(f"{self._path} {reason}") from error

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        try:
            with contextlib.closing(self._connect()) as connection:
                # The catalogue can be rebuilt, so one flush for each commit is enough.
                connection.execute("PRAGMA synchronous = NORMAL")
                connection.execute("BEGIN IMMEDIATE")
                # A connection that closes without COMMIT rolls back, whatever the reason was.
                yield connection
                connection.execute("COMMIT")
        except _SQLITE_ERRORS as error:
            self._raise_if_busy(error)
            remedy = _DISK_TROUBLE.get(_code(error))
            if self._path.exists() and not all(os.access(path, os.W_OK) for path in (self._path, self._path.parent)):
                remedy = _READ_ONLY
            if remedy is None:
                raise IndexDamagedError(f"{self._path} cannot be written ({error})") from error
            raise StorageError(f"Could not write {self._path}: {remedy}.") from error

    def _connect(self) -> sqlite3.Connection:
        uri = f"{self._path.absolute().as_uri()}?mode={self._mode}"
        return sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None)

    def _raise_if_busy(self, error: Exception) -> None:
        if _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise PoolError(
                f"{self._path} has been locked by another process for {_BUSY_SECONDS:.0f} seconds; "
                "wait for it or stop it."
            ) from error


def _code(error: Exception) -> int:
    """The primary SQLite result code; errors that the Python module itself raises have none."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
