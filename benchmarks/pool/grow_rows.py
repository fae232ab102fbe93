"""One prompt after another, durably: the usual, the mean and the worst of so many that the large graph grows."""

import numpy as np

from benchmarks.measure import Row, Spread, seconds_of
from benchmarks.pool.material import KEYS, Made, keys_of
from benchmarks.speed import material
from continual.pool.index import recent_limit

_MORE = 20
"""Prompts that are added behind the merge, or in all where the pool is too small for graphs."""


class Growth:
    """Adds prompts of 16 keys to a pool, and keeps the seconds of each.

    Args:
        made: The pool.
    """

    def __init__(self, made: Made) -> None:
        self._made = made
        self._pool = made.open()
        self._pool.search(self._keys(0), 1)
        self._seconds: list[float] = []
        self._first = made.graphs()

    def until_full(self) -> None:
        """Until no key more may be outside of graphs, and one more would make the largest graph take in the others."""
        if not self._first:
            return
        share = self._first[0] // 32
        limit = recent_limit(self._made.exact_limit, exact=False)
        while self._outside() + sum(self._made.graphs()[1:]) + KEYS < share:
            self._add()
        while self._outside() + KEYS <= limit:
            self._add()

    def until_merged(self) -> None:
        """Until the largest graph has taken in the others, and a few more."""
        while self._first and self._made.graphs()[0] == self._first[0]:
            self._add()
        for _ in range(_MORE):
            self._add()

    def rows(self) -> list[Row]:
        """What adding cost."""
        seconds, rebuild = np.array(self._seconds), self._made.seconds["index and search graph"]
        mean, worst = float(seconds.mean()), float(seconds.max())
        spread = Spread.of(self._seconds)
        what, n = f"adding a prompt of {KEYS} keys to this pool", f"{len(seconds):,} prompts"
        details = {
            "graphs before": self._first,
            "graphs after": self._made.graphs(),
            "99th percentile, s": float(np.quantile(seconds, 0.99)),
        }
        return [
            Row.of(
                spread,
                f"{what}: median",
                goal="under 0.1 s",
                met=spread.median < 0.1,
                unit="s",
                limits="syncing files and folders to the disk",
                details=details,
                n=n,
            ),
            Row(
                f"{what}: mean, with the growth of the graphs",
                "",
                "under 0.1 s",
                mean,
                mean < 0.1,
                "s",
                "entering each key in about two graphs",
                n=n,
            ),
            Row(
                f"{what}: the one after which the largest graph grows",
                f"making all graphs anew: {rebuild:.0f} s",
                "does not rebuild everything: at most 0.2 times",
                worst / rebuild,
                worst <= 0.2 * rebuild,
                limits="entering a 32nd of the keys in the largest graph; others add and search meanwhile",
                details={"seconds": worst},
                n=n,
            ),
        ]

    def _outside(self) -> int:
        return self._made.index().catalogue.state().rows - sum(self._made.graphs())

    def _add(self) -> None:
        number = len(self._seconds)
        prompt = self._made.prompt(f"new-{number:06d}", self._keys(number))
        self._seconds.append(seconds_of(lambda: self._pool.add(prompt)))

    def _keys(self, number: int) -> np.ndarray:
        return keys_of(1, KEYS, material.encoder().width, seed=10**8 + number)[0]
