"""Made-up grids for the tests of what reads them."""

import random
from typing import Any

from continual.grid.records import Measured, Outcome, Own, Pair


def outcome(first: float, dev: float, test: float | None = None) -> Outcome:
    return Outcome(first, dev, dev if test is None else test, epoch=3, steps=40, seconds=1.5)


def make_measured(
    sources: tuple[str, ...], targets: tuple[str, ...], seeds: tuple[int, ...] = (0,), **changes: Any
) -> Measured:
    """A finished grid of random numbers."""
    chance = random.Random(0)

    def draw() -> Outcome:
        return outcome(*(chance.uniform(0.4, 0.9) for _ in range(3)))

    own = [Own(task, seed, draw()) for seed in seeds for task in dict.fromkeys([*sources, *targets])]
    pairs = [
        Pair(source, target, seed, {"panda": chance.uniform(-1, 1), "on": None}, draw(), draw(), True)
        for seed in seeds
        for target in targets
        for source in sources
        if source != target
    ]
    values: dict[str, Any] = {
        "stream": "mixed",
        "backbone": "minilm",
        "tuning": "deep",
        "metric": "panda",
        "examples": 200,
        "sources": list(sources),
        "targets": list(targets),
        "seeds": list(seeds),
        "own": own,
        "pairs": pairs,
        "seconds": 754.0,
        "finished": True,
    }
    return Measured(**values | changes)
