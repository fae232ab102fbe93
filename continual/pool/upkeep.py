"""Keeps the index of a pool in step with its prompt folders, and repairs it."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from continual import files
from continual.errors import PoolError, StorageError
from continual.pool import layout
from continual.pool.catalogue import IndexDamagedError
from continual.pool.derived import DerivedData
from continual.pool.format import EncodedPrompt
from continual.pool.layout import WriteLock
from continual.pool.prompt import is_prompt_id
from continual.pool.shelf import Shelf

_MANY = 100
"""More missing prompts than this are entered by a rebuild, in one transaction, instead of one by one."""

T = TypeVar("T")


class KeptIndex:
    """The index of a pool, which repairs itself.

    Args:
        pool: The folder of the pool.
        shelf: Its prompts.
        lock: Its lock.
        notes: Receives a sentence about everything that was repaired.
        read_only: Never write below `pool`; an unusable index is replaced by one in a temporary folder.
        exact_limit: See `KeyIndex`.
    """

    def __init__(
        self, pool: Path, shelf: Shelf, lock: WriteLock, notes: list[str], read_only: bool, exact_limit: int
    ) -> None:
        self._pool = pool
        self._shelf = shelf
        self._lock = lock
        self._notes = notes
        self._read_only = read_only
        self._exact_limit = exact_limit
        self._derived = DerivedData(pool / layout.INDEX_FOLDER, read_only, exact_limit)
        self._private: tempfile.TemporaryDirectory[str] | None = None

    def read(self, action: Callable[[DerivedData], T]) -> T:
        """The result of `action`, which changes nothing; repeated if the index must be rebuilt."""
        try:
            return action(self._derived)
        except IndexDamagedError as damage:
            if self._read_only:
                self._rebuild_privately(damage)
                return action(self._derived)
        with self._lock.held():
            try:
                # Another process may have repaired it while this one waited.
                return action(self._derived)
            except IndexDamagedError as damage:
                self.rebuild(damage)
            return action(self._derived)

    def reconcile(self) -> None:
        """Enters the prompts that the index lacks and removes what killed processes left."""
        _, leftovers = self._shelf.names()
        if self._read_only:
            self._reconcile_reader()
        elif leftovers or not self._is_complete():
            with self._lock.held():
                self._shelf.remove_leftovers()
                self._enter_missing()

    def insert(self, encoded: EncodedPrompt) -> None:
        """Stores a prompt and indexes it, both or neither. The lock must be held.

        Raises:
            PoolError: The keys do not fit the index.
            StorageError: The disk refused.
        """
        try:
            self._insert(encoded)
        except IndexDamagedError as damage:
            self.rebuild(damage)
            self._insert(encoded)

    def extend_graphs(self) -> None:
        """Brings the search graphs of a large pool up to date, if that is due. No lock need be held."""
        try:
            self._derived.live.compact()
        except (StorageError, IndexDamagedError) as error:
            # The prompts are stored and can be found; only the graphs that make large pools fast are older.
            self._notes.append(f"The search graphs of {self._pool} were not extended ({error}).")

    def rebuild(self, damage: IndexDamagedError | None = None) -> None:
        """Makes the index anew; `damage` is why, if there is something to tell. The lock must be held.

        Raises:
            StorageError: The disk refused; the old index is as it was.
        """
        names = [name for name in self._shelf.names()[0] if is_prompt_id(name)]
        readable = self._shelf.readable(names, self._notes)
        self._derived.rebuild((encoded.record, encoded.keys) for encoded in readable)
        self.extend_graphs()
        if damage is not None and names:
            self._notes.append(f"The index of {self._pool} was rebuilt from its prompts because {damage}.")

    def _insert(self, encoded: EncodedPrompt) -> None:
        try:
            with self._derived.inserting(encoded.record, encoded.keys):
                self._shelf.write(encoded)
        except FileExistsError:
            raise
        except Exception:
            # Not for KeyboardInterrupt, which may come after the commit: the next opening enters the folder.
            self._shelf.discard(encoded.record.id)
            raise

    def _is_complete(self) -> bool:
        try:
            return not self._missing()
        except IndexDamagedError:
            return False

    def _reconcile_reader(self) -> None:
        try:
            missing = self._missing()
        except IndexDamagedError as damage:
            self._rebuild_privately(damage)
            return
        if missing:
            self._notes.append(
                f"{len(missing)} prompt folders of {self._pool} are not in its index ({missing[0]}, ...); "
                "open the pool once for writing to enter them."
            )

    def _missing(self) -> list[str]:
        """Prompt folders that the catalogue lacks."""
        self._derived.catalogue.state()
        unknown = self._shelf.names()[0].difference(self._derived.catalogue.id_set())
        return sorted(name for name in unknown if is_prompt_id(name))

    def _enter_missing(self) -> None:
        try:
            missing = self._missing()
            if len(missing) > _MANY:
                self.rebuild(IndexDamagedError(f"it lacked {len(missing)} of them"))
                return
            for encoded in self._shelf.readable(missing, self._notes):
                self._enter(encoded)
        except IndexDamagedError as damage:
            self.rebuild(damage)

    def _enter(self, encoded: EncodedPrompt) -> None:
        try:
            with self._derived.inserting(encoded.record, encoded.keys):
                pass
        except (PoolError, StorageError) as error:
            # The others can be used all the same; `get` finds this one in its folder.
            self._notes.append(f"Prompt '{encoded.record.id}' could not be entered in the index ({error}).")
        else:
            self._notes.append(f"Prompt '{encoded.record.id}' was missing in the index and has been entered.")

    def _rebuild_privately(self, damage: IndexDamagedError) -> None:
        with files.storage_errors(Path(tempfile.gettempdir())):
            self._private = tempfile.TemporaryDirectory(prefix="continual-index-")
        self._derived = DerivedData(Path(self._private.name), exact_limit=self._exact_limit)
        self.rebuild()
        self._notes.append(
            f"The index of {self._pool} is not used because {damage}; a temporary one was made, "
            "open the pool once for writing to repair it."
        )
