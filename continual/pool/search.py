"""From the nearest keys to the nearest prompts."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from continual.pool.catalogue import KeyRows
from continual.pool.index import KeyIndex

_TIE = 1e-5
"""FAISS's own scores differ from exact ones by less than this, so that rows this close might be tied."""

_ROWS_OF_GRAPHS = 8
"""For each prompt that is wanted. With 16 keys a prompt, 6 rows found as many of the ten nearest as 32 did."""


@dataclass(frozen=True)
class Hit:
    """A prompt that was found.

    Attributes:
        prompt_id: Its id.
        score: The largest cosine between the query and one of its keys, from -1 to 1.
    """

    prompt_id: str
    score: float


class Owners:
    """Which prompt each row of a `KeyIndex` belongs to."""

    def __init__(self) -> None:
        self._prompts: list[KeyRows] = []
        self._starts = np.empty(0, dtype=np.int64)

    def __len__(self) -> int:
        return len(self._prompts)

    @property
    def rows(self) -> int:
        """Number of rows whose owners are known."""
        return self._prompts[-1].first_row + self._prompts[-1].rows if self._prompts else 0

    def extend(self, prompts: Sequence[KeyRows]) -> None:
        """Appends prompts whose rows follow those known."""
        self._prompts.extend(prompts)
        starts = np.array([prompt.first_row for prompt in prompts], dtype=np.int64)
        self._starts = np.concatenate([self._starts, starts])

    def of(self, rows: np.ndarray) -> np.ndarray:
        """Number of the prompt that owns each row, of the same shape as `rows`."""
        return np.searchsorted(self._starts, rows, side="right") - 1

    def __getitem__(self, number: int) -> KeyRows:
        return self._prompts[number]


def nearest_prompts(
    index: KeyIndex, owners: Owners, queries: np.ndarray, k: int, exclude: Collection[str] = ()
) -> list[list[Hit]]:
    """The `k` prompts nearest to each query; a prompt is as near as the nearest of its keys.

    Rows are fetched in growing numbers until the answer cannot change any more. So with an exact index the
    result is exact, whatever the number of keys per prompt, and equal scores are ordered by task and version.

    Args:
        index: The keys.
        owners: Whose they are.
        queries: Float32 [N, D], rows of length one.
        k: Number of prompts, fewer if there are fewer.
        exclude: Ids that must not be found.

    Returns:
        For each query its hits, best first.
    """
    answers: list[list[Hit]] = [[] for _ in queries]
    waiting = np.arange(len(queries))
    excluded = frozenset(exclude)
    # Few of many excluded prompts are near any one query; where they are, more rows are fetched.
    width = _first_width(index, owners, k + min(len(excluded), 4 * k))
    while len(waiting) and k > 0 and len(index):
        scores, rows = index.search(queries[waiting], width)
        complete = rows.shape[1] >= len(index)
        undecided = []
        for query, query_scores, query_rows in zip(waiting, scores, rows, strict=True):
            best = _best_of_each(owners, query_scores, query_rows, excluded, k)
            if complete or _is_decided(best, k, query_scores[-1], index.is_exact):
                answers[query] = [Hit(prompt.id, min(1.0, max(-1.0, score))) for score, prompt in best[:k]]
            else:
                undecided.append(query)
        waiting = np.array(undecided, dtype=np.int64)
        width *= 4
    return answers


def _first_width(index: KeyIndex, owners: Owners, wanted: int) -> int:
    """Rows that are usually enough: the keys of twice as many prompts as wanted, of average size.

    Graphs are asked for fewer, because they may miss more by how they were built than by the number of rows.
    """
    keys = -(-len(index) // max(1, len(owners)))
    return wanted * (2 * keys if index.is_exact else min(2 * keys, _ROWS_OF_GRAPHS))


def _best_of_each(
    owners: Owners, scores: np.ndarray, rows: np.ndarray, excluded: frozenset[str], k: int
) -> list[tuple[float, KeyRows]]:
    """The best row of each prompt, best first; of the prompts behind the first `k`, only those as good as the k-th."""
    found = rows >= 0
    scores = scores[found]
    # Scores fall, so the first row of a prompt is its best.
    numbers, first = np.unique(owners.of(rows[found]), return_index=True)
    best: list[tuple[float, KeyRows]] = []
    for place, number in sorted(zip(first.tolist(), numbers.tolist(), strict=True)):
        score = float(scores[place])
        if len(best) >= k and score < best[k - 1][0]:
            break
        if (prompt := owners[number]).id not in excluded:
            best.append((score, prompt))
    return sorted(best, key=lambda item: (-item[0], item[1].task, item[1].version))


def _is_decided(best: list[tuple[float, KeyRows]], k: int, last_score: float, exact: bool) -> bool:
    """Whether rows that were not fetched, none above `last_score`, leave the first `k` as they are."""
    if len(best) < k:
        return False
    return not exact or best[k - 1][0] > last_score + _TIE
