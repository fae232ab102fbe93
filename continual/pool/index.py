"""Nearest keys by inner product. The only file that knows FAISS.

Up to `exact_limit` keys the search compares with every key. A larger index has two parts: an HNSW graph over
the older keys (Malkov & Yashunin, "Efficient and robust approximate nearest neighbor search using
hierarchical navigable small world graphs", TPAMI 2020), which grows without being trained again, and the
exact search over the keys that came since. `compact` moves the latter into the graph. IVF is no alternative
here: it cannot be retrained in place.
"""

import contextlib
import os
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from continual import files
from continual.pool.clusters import spherical_kmeans

__all__ = ["EXACT_LIMIT", "KeyIndex", "spherical_kmeans"]

EXACT_LIMIT = 100_000
"""Number of keys that is searched exactly; 150 MB and about 7 ms for one query of width 384 on one core."""

_NEIGHBOURS = 32
_BUILD_BREADTH = 80
_SEARCH_BREADTH = 256
_SEARCHED_SO = 250_000
"""Rows up to which that breadth finds nearly all; it grows with the square root of their number beyond."""
_SEEDS, _SIBLINGS = 8, 9
"""Rows that arrived together are the keys of one prompt and often alike. A graph finds one of them more surely than
all, so those before and behind the best few are looked at too."""
_BULK = 50_000
"""From this many rows on, the graph is extended by all threads; an hour matters more than equal bits then."""

_CHUNK_VALUES = 4_000_000


class KeyIndex:
    """Rows of float32 vectors, numbered 0, 1, 2, ... in the order of arrival (the numbers are int64).

    Scores are computed again in double precision for the rows that FAISS proposes. So they depend neither on
    the number of threads nor on how many queries are asked at once, and equal keys have equal scores.

    Args:
        dimension: Width of the keys.
        exact_limit: Number of keys above which `compact` builds a graph.
        threads: Threads of FAISS during calls of this object; None leaves its own setting. One is the default
            because more were slower wherever torch was busy too.
    """

    def __init__(self, dimension: int, exact_limit: int = EXACT_LIMIT, threads: int | None = 1) -> None:
        import faiss

        self.dimension = dimension
        self._exact_limit = exact_limit
        self._threads = threads
        self._graph: faiss.IndexHNSWFlat | None = None
        self._recent = faiss.IndexFlatIP(dimension)

    def __len__(self) -> int:
        return self.graph_rows + self._recent.ntotal

    @property
    def graph_rows(self) -> int:
        """Number of keys in the graph, always the oldest ones."""
        return self._graph.ntotal if self._graph is not None else 0

    @property
    def is_exact(self) -> bool:
        """Whether every search compares with every key."""
        return self._graph is None

    def add(self, keys: np.ndarray) -> None:
        """Appends the rows `keys`, float32 [K, dimension]."""
        with _faiss_threads(self._threads):
            self._recent.add(np.ascontiguousarray(keys, dtype=np.float32))

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The `k` rows with the largest inner product for each query.

        Args:
            queries: Float32 [N, dimension].
            k: Number of rows; at most `len(self)` are returned.

        Returns:
            Scores, float32 [N, min(k, len)], falling, and row numbers, int64 of the same shape. Equal scores
            are in the order of the row numbers. Places that the graph could not fill have row -1 and score
            -infinity.
        """
        queries = np.ascontiguousarray(queries, dtype=np.float32)
        k = min(k, len(self))
        if not k or not len(queries):
            return np.empty((len(queries), k), np.float32), np.empty((len(queries), k), np.int64)
        with _faiss_threads(self._threads):
            rows = self._propose(queries, k)
            scores = self._score(queries, rows)
        order = np.lexsort((rows, -scores))[:, :k]
        return np.take_along_axis(scores, order, 1), np.take_along_axis(rows, order, 1)

    def needs_compacting(self) -> bool:
        """Whether the exact part has outgrown its share."""
        return self._recent.ntotal > (self._exact_limit if self.is_exact else self._exact_limit // 10)

    def compact(self) -> None:
        """Moves all rows into the graph, on one thread unless they are very many.

        Several threads build another graph each time, which may find other rows among those that are nearly as near.
        """
        import faiss

        if self._graph is None:
            self._graph = faiss.IndexHNSWFlat(self.dimension, _NEIGHBOURS, faiss.METRIC_INNER_PRODUCT)
            self._graph.hnsw.efConstruction = _BUILD_BREADTH
        with _faiss_threads(1 if self._recent.ntotal < _BULK else len(os.sched_getaffinity(0))):
            self._graph.add(self._recent.reconstruct_n(0, self._recent.ntotal))
        self._recent.reset()

    def save_graph(self, path: Path) -> int:
        """Writes the graph to `path`, whole or not at all, and returns its checksum (CRC-32).

        Raises:
            StorageError: The disk refused.
        """
        import faiss

        with files.replacing(path) as temporary:
            try:
                faiss.write_index(self._graph, str(temporary))
            except RuntimeError as error:
                # FAISS has one exception for everything; while writing, it is the disk.
                raise OSError(None, f"FAISS could not write ({error})") from error
            return _crc(temporary)

    def load_graph(self, path: Path, checksum: int) -> bool:
        """Puts the graph in `path` into this empty index; False if it is not what was saved."""
        import faiss

        # FAISS trusts the numbers in a file; a damaged graph would crash the process instead of raising.
        if _crc(path) != checksum:
            return False
        graph = faiss.read_index(str(path))
        if not isinstance(graph, faiss.IndexHNSWFlat) or graph.d != self.dimension:
            return False
        self._graph = graph
        return True

    def _propose(self, queries: np.ndarray, k: int) -> np.ndarray:
        """Row numbers [N, k or more] that contain the best ones, -1 where there is none."""
        proposals = []
        if self._recent.ntotal:
            recent = self._recent.search(queries, min(k, self._recent.ntotal))[1]
            proposals.append(np.where(recent >= 0, recent + self.graph_rows, -1))
        if self._graph is not None:
            import faiss

            wider = _SEARCH_BREADTH * max(1.0, self.graph_rows / _SEARCHED_SO) ** 0.5
            breadth = faiss.SearchParametersHNSW(efSearch=max(round(wider), k))
            found = self._graph.search(queries, min(max(k, _SEEDS), self.graph_rows), params=breadth)[1]
            proposals += [found, self._siblings(found[:, :_SEEDS])]
        return _each_once(np.concatenate(proposals, axis=1))

    def _siblings(self, rows: np.ndarray) -> np.ndarray:
        """The rows of the graph that arrived just before and behind `rows` [N, seeds], -1 where there is none."""
        near = (rows[:, :, None] + np.arange(-_SIBLINGS, _SIBLINGS + 1)).reshape(len(rows), -1)
        known = np.repeat(rows >= 0, 2 * _SIBLINGS + 1, axis=1)
        return np.where(known & (near >= 0) & (near < self.graph_rows), near, -1)

    def _score(self, queries: np.ndarray, rows: np.ndarray) -> np.ndarray:
        scores = np.empty(rows.shape, dtype=np.float32)
        step = max(1, _CHUNK_VALUES // (rows.shape[1] * self.dimension))
        for start in range(0, len(queries), step):
            part = slice(start, start + step)
            keys = self._keys(np.maximum(rows[part], 0))
            scores[part] = np.einsum("nd,nmd->nm", queries[part], keys, dtype=np.float64)
        scores[rows < 0] = -np.inf
        return scores

    def _keys(self, rows: np.ndarray) -> np.ndarray:
        keys = np.empty((rows.size, self.dimension), dtype=np.float32)
        flat = rows.ravel()
        old = flat < self.graph_rows
        if self._graph is not None and old.any():
            keys[old] = self._graph.storage.reconstruct_batch(flat[old])
        if not old.all():
            keys[~old] = self._recent.reconstruct_batch(flat[~old] - self.graph_rows)
        return keys.reshape(*rows.shape, self.dimension)


def _each_once(rows: np.ndarray) -> np.ndarray:
    """The same row numbers [N, m] for each query, with -1 in place of repetitions."""
    rows = np.sort(rows, axis=1)
    rows[:, 1:][rows[:, 1:] == rows[:, :-1]] = -1
    return rows


@contextlib.contextmanager
def _faiss_threads(threads: int | None) -> Iterator[None]:
    """Sets the number of FAISS's threads for the body only; torch and numpy have settings of their own."""
    if threads is None:
        yield
        return
    import faiss

    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(threads)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def _crc(path: Path) -> int:
    value = 0
    with open(path, "rb") as file:
        while block := file.read(1 << 22):
            value = zlib.crc32(block, value)
    return value
