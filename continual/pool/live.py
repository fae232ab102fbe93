"""The search index in memory: loaded on the first search, then kept up with all processes."""

import itertools
import threading
from collections.abc import Collection
from pathlib import Path

import numpy as np

from continual.errors import PoolError
from continual.pool import keyfile
from continual.pool.catalogue import Catalogue, IndexDamagedError, State
from continual.pool.graphfile import GraphFile, GraphFolder
from continual.pool.index import EXACT_LIMIT, KeyIndex, recent_limit
from continual.pool.search import Hit, Owners, nearest_prompts


class LiveIndex:
    """Keys and their owners in memory. May be used from several threads.

    Args:
        folder: The index folder of a pool.
        catalogue: The catalogue in it.
        exact_limit: Number of keys that are searched exactly, see `KeyIndex`.
    """

    def __init__(self, folder: Path, catalogue: Catalogue, exact_limit: int = EXACT_LIMIT) -> None:
        self._folder = folder
        self._graphs = GraphFolder(folder)
        self._catalogue = catalogue
        self._exact_limit = exact_limit
        self._lock = threading.Lock()
        self._state: State | None = None
        self._index: KeyIndex | None = None
        self._loaded: list[GraphFile] = []
        self._unusable: set[GraphFile] = set()
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
        """Makes or extends the graphs of a large pool, if that is due and no other process is doing it.

        The lock of the pool need not be held: other processes add and search meanwhile, without what is made here.
        Searches through this object wait, since a graph cannot be searched while it grows.

        Raises:
            IndexDamagedError: The derived data must be rebuilt.
            StorageError: The disk refused.
        """
        if not self._is_due():
            return
        with self._graphs.alone() as alone:
            if not (alone and self._is_due()):
                return
            with self._lock:
                index = self._synchronised()
                if index is None or self._state is None or not index.needs_compacting():
                    return
                generation = self._state.generation
                # Should this fail half-way, the next search begins anew.
                self._index = None
                index.compact()
                self._loaded = self._loaded[: len(index.graph_sizes) - 1]
                start = sum(index.graph_sizes[:-1])
                saved = self._graphs.save(index, generation, start)
                self._unusable.discard(saved)
                self._loaded.append(saved)
                self._index = index
            # A rebuild by another process has begun a new generation, to which this graph does not belong.
            self._graphs.keep(self._loaded if self._catalogue.state().generation == generation else [])

    def _is_due(self) -> bool:
        state = self._catalogue.state()
        found = self._usable(state)
        covered = found[-1].stop if found else 0
        return state.rows - covered > recent_limit(self._exact_limit, not found)

    def _synchronised(self) -> KeyIndex | None:
        """The index, brought up to date; None while the pool has no keys."""
        state = self._catalogue.state()
        if state.dimension is None:
            return None
        if self._index is None or self._state is None or self._state.generation != state.generation:
            self._owners, self._loaded = Owners(), []
            self._index = self._with_graphs(state, KeyIndex(state.dimension, self._exact_limit))
        if state.rows > self._owners.rows:
            self._extend(self._index, state)
        if self._index.needs_compacting():
            self._take_newer_graphs(self._index, state)
        self._state = state
        return self._index

    def _usable(self, state: State) -> list[GraphFile]:
        """The graphs on disk up to the first that was found to be damaged."""
        chain = self._graphs.chain(state.generation, state.rows)
        return list(itertools.takewhile(lambda file: file not in self._unusable, chain))

    def _with_graphs(self, state: State, former: KeyIndex) -> KeyIndex:
        """An index of the graphs on disk, of which those that `former` has are not read again."""
        index, loaded = KeyIndex(former.dimension, self._exact_limit), []
        for file in self._usable(state):
            if file in self._loaded:
                index.share_graph(former, self._loaded.index(file))
            elif not self._graphs.load(index, file):
                # Damaged, or replaced by a larger one this moment; without it the search compares with each.
                self._unusable.add(file)
                break
            loaded.append(file)
        self._loaded = loaded
        return index

    def _take_newer_graphs(self, index: KeyIndex, state: State) -> None:
        """Replaces rows that are compared with each by graphs that another process has made of them."""
        found = self._usable(state)
        if not found or found[-1].stop <= index.graph_rows:
            return
        newer = self._with_graphs(state, index)
        file = keyfile.path(self._folder, state.generation)
        newer.add(keyfile.read(file, newer.graph_rows, len(index), index.dimension))
        self._index = newer

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
