"""Recall and latency of `PromptPool.search`, one query after another on one core."""

import time

import numpy as np
import torch

from benchmarks.measure import Row, Spread, seconds_of
from benchmarks.pool.material import Made, keys_of
from continual.pool import PromptPool, keyfile
from continual.pool.catalogue import KeyRows

NEAREST = 10
_NEW_TASKS = 10**9
_BLOCK = 5000


def rows(made: Made, repeats: int) -> list[Row]:
    """The ten nearest prompts of texts of known and of new tasks, against a comparison with every key.

    Args:
        made: The pool.
        repeats: How often all queries are asked.
    """
    torch.set_num_threads(1)
    pool, index = made.open(read_only=True), made.index()
    owners, state = index.catalogue.key_rows(), index.catalogue.state()
    file = keyfile.path(index.folder, state.generation)
    keys = np.memmap(file, dtype="<f4", mode="r", shape=(state.rows, state.dimension))
    queries = _queries(made)
    first = seconds_of(lambda: pool.search(queries[:1], NEAREST))
    passes = [_timed(pool, queries) for _ in range(repeats)]
    found = [{hit.prompt_id for hit in hits} for hits in passes[0][0]]
    nearest, nearest_keys = _exact(keys, owners, queries)
    recall = _share(found, nearest)
    late, median = (Spread.of([float(np.quantile(one, q)) * 1e3 for _, one in passes]) for q in (0.95, 0.5))
    graphs = made.graphs()
    details = {
        "keys": state.rows,
        "graphs": graphs,
        "keys outside of graphs": state.rows - sum(graphs),
        "median, ms": median.to_json(),
        "first search of a process, s": first,
        "share of the ten nearest keys that are of prompts that were found": _share(found, nearest_keys),
        "recall of known and of new tasks": [_share(found[kind::2], nearest[kind::2]) for kind in (0, 1)],
    }
    what = f"PromptPool.search, {NEAREST} prompts among {len(owners):,} with {state.rows:,} keys"
    limits, n = "the number of keys that the search of the largest graph looks at", f"{len(queries):,} queries"
    outside = f"{details['keys outside of graphs']:,} keys not in graphs"
    exact = "comparing with every key"
    return [
        Row(f"{what}: recall", exact, "at least 0.95", recall, recall >= 0.95, "", limits, details, n=n),
        Row.of(
            late,
            f"{what}: 95th percentile of a query on one core, {outside}",
            goal="under 3 ms",
            met=late.median < 3,
            unit="ms",
            limits=limits,
            n=f"{repeats} times {n}",
        ),
    ]


def _queries(made: Made) -> np.ndarray:
    """One after the other texts of a known and of a new task, [queries, width]; none is in the pool."""
    known = made.unseen
    new = keys_of(len(known), 1, known.shape[1], seed=_NEW_TASKS)[:, 0]
    return np.stack([known, new], axis=1).reshape(-1, known.shape[1])


def _timed(pool: PromptPool, queries: np.ndarray) -> tuple[list, list[float]]:
    """What is found for each query, and the seconds of each."""
    found, seconds = [], []
    for query in queries:
        started = time.perf_counter()
        found += pool.search(query[None], NEAREST)
        seconds.append(time.perf_counter() - started)
    return found, seconds


def _share(found: list[set[str]], wanted: list[list[str]]) -> float:
    """How many of those that are wanted were found."""
    return float(
        np.mean([np.mean([one in ours for one in theirs]) for ours, theirs in zip(found, wanted, strict=True)])
    )


def _exact(keys: np.ndarray, owners: list[KeyRows], queries: np.ndarray) -> tuple[list[list[str]], list[list[str]]]:
    """For each query the ids of the nearest prompts, and those of the prompts that own the nearest keys."""
    best_prompts, best_keys = _Best(), _Best()
    for start in range(0, len(owners), _BLOCK):
        block = owners[start : start + _BLOCK]
        first, last = block[0].first_row, block[-1].first_row + block[-1].rows
        scores = queries @ np.asarray(keys[first:last]).T
        starts = np.array([owner.first_row - first for owner in block])
        best_prompts.take(np.maximum.reduceat(scores, starts, axis=1), start)
        best_keys.take(scores, first)
    of_keys = np.searchsorted([owner.first_row for owner in owners], best_keys.numbers, side="right") - 1
    return tuple([[owners[one].id for one in line] for line in found] for found in (best_prompts.numbers, of_keys))


class _Best:
    """The numbers of the largest scores so far, [queries, NEAREST]."""

    def __init__(self) -> None:
        self.numbers: np.ndarray | None = None
        self._scores: np.ndarray | None = None

    def take(self, scores: np.ndarray, first: int) -> None:
        """Looks at scores [queries, N] of the numbers `first`, `first + 1`, ..."""
        numbers = np.broadcast_to(np.arange(first, first + scores.shape[1]), scores.shape)
        if self.numbers is not None:
            scores = np.concatenate([self._scores, scores], axis=1)
            numbers = np.concatenate([self.numbers, numbers], axis=1)
        place = np.argpartition(-scores, min(NEAREST, scores.shape[1] - 1), axis=1)[:, :NEAREST]
        self._scores, self.numbers = (np.take_along_axis(value, place, 1) for value in (scores, numbers))
