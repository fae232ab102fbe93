"""The search index in memory: loaded on the first search, then kept up with all processes."""

import contextlib
import re
import threading
from collections.abc import Collection
from pathlib import Path

import numpy as np

from continual import files
from continual.errors import PoolError
from continual.pool import keyfile, layout
from continual.pool.catalogue import Catalogue, IndexDamagedError, State
from continual.pool.index import EXACT_LIMIT, KeyIndex
from continual.pool.search import Hit, Owners, nearest_prompts

_GRAPH = re.compile(r"graph-(?P<generation>[0-9a-f]+)-(?P<rows>[0-9]+)-(?P<crc>[0-9]+)\.faiss")


class LiveIndex:
    """Keys and their owners in memory. May be used from several threads.

    Args:
        folder: The index folder of a pool.
        catalogue: The catalogue in it.
        exact_limit: Number of keys that are searched exactly, see `KeyIndex`.
    """

    def __init__(self, folder: Path, catalogue: Catalogue, exact_limit: int = EXACT_LIMIT) -> None:
        self._folder = folder
        self._catalogue = catalogue
        self._exact_limit = exact_limit
        self._lock = threading.Lock()
        self._state: State | None = None
        self._index: KeyIndex | None = None
        self._owners = Owners()

    def search(self, queries: np.ndarray, k: int, exclude: Collection[str] = ()) -> list[list[Hit]]:
        """See `nearest_prompts`. Knows every prompt whose `add` returned before this call, in any process.

        Raises:
            IndexDamagedError: The derived data must be rebuilt.
            PoolError: The queries have another width than the keys.
        """
        with self._lock:
            index = self._synchronised()
            if index is None:
                return [[] for _ in queries]
            if queries.shape[1] != index.dimension:
                raise PoolError(
                    f"The keys of the pool have {index.dimension} values but the query has {queries.shape[1]}; "
                    "embed it with the backbone of the pool."
                )
            return nearest_prompts(index, self._owners, queries, k, exclude)

    def compact(self) -> None:
        """Builds or extends the graph of a large pool, if that is due. The lock must be held.

        Raises:
            IndexDamagedError: The derived data must be rebuilt.
            StorageError: The disk refused.
        """
        graphs = self._graphs()
        covered = max((rows for rows, _, _ in graphs), default=0)
        limit = self._exact_limit // 10 if covered else self._exact_limit
        if self._catalogue.state().rows - covered <= limit:
            return
        with self._lock:
            index = self._synchronised()
            if index is None or not index.needs_compacting():
                return
            layout.remove_leftovers(self._folder)
            index.compact()
            self._save(index)
        for _, _, file in graphs:
            file.unlink(missing_ok=True)

    def _synchronised(self) -> KeyIndex | None:
        """The index, brought up to date; None while the pool has no keys."""
        state = self._catalogue.state()
        if state.dimension is None:
            return None
        if self._index is None or self._state is None or self._state.generation != state.generation:
            self._state, self._owners = state, Owners()
            self._index = self._load(state, state.dimension)
        if state.rows > self._owners.rows:
            self._extend(self._index, state)
        return self._index

    def _load(self, state: State, dimension: int) -> KeyIndex:
        index = KeyIndex(dimension, self._exact_limit)
        for rows, crc, file in sorted(self._graphs(), reverse=True):
            # A file that vanishes was replaced by a larger one this moment; without it the search is exact.
            with contextlib.suppress(OSError):
                if rows <= state.rows and index.load_graph(file, crc):
                    break
        return index

    def _extend(self, index: KeyIndex, state: State) -> None:
        prompts = self._catalogue.key_rows(self._owners.rows)
        if not prompts:
            raise IndexDamagedError(f"{self._folder} was changed while it was read")
        start, stop = len(index), prompts[-1].first_row + prompts[-1].rows
        keys = keyfile.read(keyfile.path(self._folder, state.generation), start, stop, index.dimension)
        expected = self._owners.rows
        for prompt in prompts:
            own = keys[prompt.first_row - start :][: prompt.rows]
            in_graph = prompt.first_row + prompt.rows <= start
            if prompt.first_row != expected or not (in_graph or keyfile.checksum(own) == prompt.crc):
                raise IndexDamagedError(f"the keys of {prompt.id} in {self._folder} are damaged")
            expected += prompt.rows
        index.add(keys)
        self._owners.extend(prompts)

    def _save(self, index: KeyIndex) -> None:
        generation = self._state.generation if self._state else ""
        draft = self._folder / f"graph-{generation}.draft"
        crc = index.save_graph(draft)
        with files.storage_errors(draft):
            draft.rename(self._folder / f"graph-{generation}-{index.graph_rows}-{crc}.faiss")

    def _graphs(self) -> list[tuple[int, int, Path]]:
        """Rows, checksum and path of the graph files of the present generation."""
        generation = self._catalogue.state().generation
        found = [(_GRAPH.fullmatch(file.name), file) for file in self._folder.glob("graph-*.faiss")]
        return [
            (int(match["rows"]), int(match["crc"]), file)
            for match, file in found
            if match and match["generation"] == generation
        ]
