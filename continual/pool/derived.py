"""Everything below `index/`: catalogue, key file and search graphs. All of it can be rebuilt from the prompts.

    catalogue.sqlite                               records and row numbers; its commit makes a prompt visible
    keys-<generation>.f32                          all keys, one row after another
    graph-<generation>-<start>-<stop>-<crc>.faiss  only in large pools: the oldest keys, see `graphfile`

Row numbers mean something within one generation only. A rebuild starts a new one, so that a reader in another
process never combines old row numbers with new rows.
"""

import contextlib
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from continual import files
from continual.errors import PoolError
from continual.pool import keyfile, layout
from continual.pool.catalogue import Catalogue
from continual.pool.index import EXACT_LIMIT
from continual.pool.live import LiveIndex
from continual.pool.prompt import PromptRecord

CATALOGUE_FILE = "catalogue.sqlite"

Keyed = tuple[PromptRecord, np.ndarray]
"""A record and the keys, float32 [K, D], that belong to it."""


class DerivedData:
    """The index folder of a pool.

    Methods raise `IndexDamagedError` when what they find cannot be used; the pool then calls `rebuild`.
    Methods that change something are called while the lock of the pool is held.

    Args:
        folder: The folder; it may be missing.
        read_only: Never write.
        exact_limit: Number of keys that are searched exactly, see `KeyIndex`.
    """

    def __init__(self, folder: Path, read_only: bool = False, exact_limit: int = EXACT_LIMIT) -> None:
        self.folder = folder
        self.catalogue = Catalogue(folder / CATALOGUE_FILE, read_only)
        self.live = LiveIndex(folder, self.catalogue, exact_limit)

    @contextlib.contextmanager
    def inserting(self, record: PromptRecord, keys: np.ndarray) -> Iterator[None]:
        """Indexes a prompt if the body of the `with`, which stores it, succeeds.

        Raises:
            PoolError: The keys have another width than those in the index.
            StorageError: The disk refused; nothing was indexed.
        """
        state = self.catalogue.state()
        if state.dimension not in (None, keys.shape[1]):
            raise PoolError(
                f"The keys of prompt '{record.id}' have {keys.shape[1]} values but those of the pool have "
                f"{state.dimension}; make them with the backbone of the pool."
            )
        with self.catalogue.inserting([(record, keyfile.checksum(keys))]):
            keyfile.append(keyfile.path(self.folder, state.generation), keys, state.rows)
            yield

    def rebuild(self, prompts: Iterable[Keyed]) -> None:
        """Replaces everything by an index of `prompts`; other processes see the old one or the new one.

        Raises:
            StorageError: The disk refused; the old index is as it was.
        """
        path, generation = self.folder / CATALOGUE_FILE, secrets.token_hex(8)
        with files.storage_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        layout.remove_leftovers(self.folder)
        with files.replacing(path) as temporary:
            catalogue = Catalogue.create(temporary, generation)
            with catalogue.inserting(self._write_keys(generation, prompts)):
                pass
            # The journal of a writer that was killed belongs to the old file and would spoil the new one.
            path.with_name(f"{path.name}-journal").unlink(missing_ok=True)
        for file in (*self.folder.glob("keys-*"), *self.folder.glob("graph-*")):
            if generation not in file.name:
                file.unlink(missing_ok=True)

    def _write_keys(self, generation: str, prompts: Iterable[Keyed]) -> Iterator[tuple[PromptRecord, int]]:
        """Writes the keys one prompt after another and yields what the catalogue stores of each."""
        position = 0
        for record, keys in prompts:
            keyfile.append(keyfile.path(self.folder, generation), keys, position)
            position += len(keys)
            yield record, keyfile.checksum(keys)
