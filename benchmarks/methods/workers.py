"""Interpreters that run one cell after the other, each with one thread."""

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from benchmarks.methods.cells import Cell

_KEPT_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(2**31), "MALLOC_TRIM_THRESHOLD_": str(2**33)}
"""glibc gives the gradients of a whole model back to the system and asks for them anew, at a tenth of a step's time."""

_CELLS_EACH = 25
"""After as many an interpreter is replaced, so that nothing can pile up in it."""


class Workers:
    """Some interpreters for cells, which load libraries and the backbone once and not for every cell.

    Args:
        jobs: How many.
        runs: Where cells are run.
    """

    def __init__(self, jobs: int, runs: Path) -> None:
        # Read when torch is imported, which an interpreter does while it finds out what it is to do.
        os.environ |= {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", **_KEPT_MEMORY}
        self._runs = runs
        self._pool = ProcessPoolExecutor(
            jobs, multiprocessing.get_context("spawn"), initializer=_warm, max_tasks_per_child=_CELLS_EACH
        )

    def run(self, cell: Cell) -> None:
        """Runs a cell; says that it is finished, or in one line what went wrong in it."""
        try:
            self._pool.submit(cell.execute, self._runs).result()
            print(cell, "finished", flush=True)
        except Exception as error:  # whatever it is, other cells go on
            print(cell, f"{type(error).__name__}: {error}", flush=True)

    def close(self) -> None:
        """Lets them go when they have done what they were given."""
        self._pool.shutdown()


def _warm() -> None:
    """What every cell would load; without it, the first one would be charged for it."""
    import continual.baselines.shared
    import continual.learner  # noqa: F401
    from continual.backbone.catalog import minilm

    minilm()
