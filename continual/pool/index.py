"""Nearest keys by inner product. The only file that knows FAISS.

Up to `exact_limit` keys the search compares with every key. A larger index has HNSW graphs over the older keys
(Malkov & Yashunin, "Efficient and robust approximate nearest neighbor search using hierarchical navigable small world
graphs", TPAMI 2020) and compares with every key that came since. `compact` moves the latter into graphs:

    rows   0 ................................. 1,000,000 ........ 1,024,000 ..... 1,024,900
           | first graph                      | second graph     | compared with each |

New rows go to a graph of their own, which takes in the graphs before it that are not much larger (logarithmic merging,
as in O'Neil et al., "The log-structured merge-tree", Acta Informatica 33, 1996). So a row enters as many graphs as
the index has, few, and the largest is written only when it has grown by a share of its size. IVF is no alternative to
graphs here: it cannot be retrained in place.
"""

import contextlib
import os
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from continual import files
from continual.pool.clusters import spherical_kmeans

if TYPE_CHECKING:
    import faiss

__all__ = ["EXACT_LIMIT", "KeyIndex", "graphs_kept", "recent_limit", "spherical_kmeans"]

EXACT_LIMIT = 100_000
"""Number of keys that is searched exactly; 150 MB and about 7 ms for one query of width 384 on one core."""

_NEIGHBOURS = 32
_BUILD_BREADTH = 80
_SEARCH_BREADTH, _SEARCHED_SO = 384, 1_000_000
"""With this breadth a search among so many rows finds about .95 of the ten nearest prompts (`benchmarks.pool`). What
it takes grows with the square root of the rows."""
_LEAST_BREADTH = 96
_RECENT = 100
"""The rows that are compared with each are at most this part of `exact_limit`, once there is a graph."""
_GROWTH = 32
"""A graph takes in what follows it as soon as that has grown to this part of its size. A search visits every graph, so
they must be few: two up to a million rows, three up to thirty million."""
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
        self._graphs: list[faiss.IndexHNSWFlat] = []
        self._recent = faiss.IndexFlatIP(dimension)

    def __len__(self) -> int:
        return self.graph_rows + self._recent.ntotal

    @property
    def graph_sizes(self) -> list[int]:
        """Number of keys in each graph, in the order of the rows."""
        return [graph.ntotal for graph in self._graphs]

    @property
    def graph_rows(self) -> int:
        """Number of keys in graphs, always the oldest ones."""
        return sum(self.graph_sizes)

    @property
    def is_exact(self) -> bool:
        """Whether every search compares with every key."""
        return not self._graphs

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
        return self._recent.ntotal > recent_limit(self._exact_limit, self.is_exact)

    def compact(self) -> None:
        """Moves the recent rows into the last graph, see `graphs_kept`; on one thread unless they are very many.

        Several threads build another graph each time, which may find other rows among those that are nearly as near.
        """
        kept = graphs_kept(self.graph_sizes, self._recent.ntotal)
        grown, *absorbed = self._graphs[kept:] or [self._empty_graph()]
        rows = np.concatenate([_rows(graph.storage) for graph in absorbed] + [_rows(self._recent)])
        with _faiss_threads(1 if len(rows) < _BULK else len(os.sched_getaffinity(0))):
            grown.add(rows)
        self._graphs[kept:] = [grown]
        self._recent.reset()

    def save_last_graph(self, path: Path) -> int:
        """Writes the graph that `compact` has changed to `path`, whole or not at all; its checksum (CRC-32).

        Raises:
            StorageError: The disk refused.
        """
        import faiss

        with files.replacing(path) as temporary:
            try:
                faiss.write_index(self._graphs[-1], str(temporary))
            except RuntimeError as error:
                # FAISS has one exception for everything; while writing, it is the disk.
                raise OSError(None, f"FAISS could not write ({error})") from error
            return _crc(temporary)

    def load_graph(self, path: Path, checksum: int) -> bool:
        """Appends the graph in `path` to this index, which has no rows beside graphs; False if it is not as saved."""
        import faiss

        # FAISS trusts the numbers in a file; a damaged graph would crash the process instead of raising.
        if _crc(path) != checksum:
            return False
        graph = faiss.read_index(str(path))
        if not isinstance(graph, faiss.IndexHNSWFlat) or graph.d != self.dimension:
            return False
        self._graphs.append(graph)
        return True

    def share_graph(self, other: "KeyIndex", number: int) -> None:
        """Appends graph `number` of another index, which will not be used any more."""
        self._graphs.append(other._graphs[number])

    def _empty_graph(self) -> "faiss.IndexHNSWFlat":
        import faiss

        graph = faiss.IndexHNSWFlat(self.dimension, _NEIGHBOURS, faiss.METRIC_INNER_PRODUCT)
        graph.hnsw.efConstruction = _BUILD_BREADTH
        return graph

    def _parts(self) -> "Iterator[tuple[int, faiss.Index]]":
        """What holds the vectors of the rows, each with its first row."""
        first = 0
        for graph in self._graphs:
            yield first, graph.storage
            first += graph.ntotal
        yield first, self._recent

    def _propose(self, queries: np.ndarray, k: int) -> np.ndarray:
        """Row numbers [N, k or more] that contain the best ones, -1 where there is none."""
        proposals = []
        for (first, stored), graph in zip(self._parts(), [*self._graphs, None], strict=True):
            if not stored.ntotal:
                continue
            wanted = min(k, stored.ntotal)
            found = (
                stored.search(queries, wanted)[1]
                if graph is None
                else graph.search(queries, wanted, params=_breadth(graph.ntotal, wanted))[1]
            )
            proposals.append(np.where(found >= 0, found + first, -1))
        return np.concatenate(proposals, axis=1)

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
        for first, stored in self._parts():
            here = (flat >= first) & (flat < first + stored.ntotal)
            if here.any():
                keys[here] = stored.reconstruct_batch(flat[here] - first)
        return keys.reshape(*rows.shape, self.dimension)


def recent_limit(exact_limit: int, exact: bool) -> int:
    """How many rows may be outside of graphs.

    Args:
        exact_limit: See `KeyIndex`.
        exact: Whether there is no graph yet.
    """
    return exact_limit if exact else exact_limit // _RECENT


def graphs_kept(sizes: Sequence[int], rows: int) -> int:
    """How many of the graphs with these sizes stay as they are when `rows` come; those behind become one with them."""
    kept = len(sizes)
    while kept and sizes[kept - 1] < _GROWTH * rows:
        kept -= 1
        rows += sizes[kept]
    return kept


def _breadth(rows: int, wanted: int) -> "faiss.SearchParametersHNSW":
    import faiss

    breadth = round(_SEARCH_BREADTH * (rows / _SEARCHED_SO) ** 0.5)
    return faiss.SearchParametersHNSW(efSearch=max(breadth, _LEAST_BREADTH, wanted))


def _rows(stored: "faiss.IndexFlat") -> np.ndarray:
    return stored.reconstruct_n(0, stored.ntotal)


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
