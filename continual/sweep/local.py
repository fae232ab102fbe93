"""Cells on this machine, some at a time."""

import contextlib
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from continual.errors import ConfigError
from continual.sweep.outcome import Outcome, Watch
from continual.sweep.process import CellProcess, available_threads


class LocalBackend:
    """Runs cells on this machine.

    Args:
        jobs: How many at a time; they share the CPU threads.

    Raises:
        ConfigError: Fewer than one.
    """

    def __init__(self, jobs: int = 1) -> None:
        if jobs < 1:
            raise ConfigError(f"--jobs is {jobs}, expected at least 1.")
        self.jobs = jobs

    @property
    def threads(self) -> int:
        """See `Backend.threads`: the threads of this machine, shared out."""
        return max(1, available_threads() // self.jobs)

    def run(self, folders: Sequence[Path], watch: Watch) -> list[Outcome]:
        """See `Backend.run`."""
        cells = _Cells(watch)
        with cells.stopped_by_signals(), ThreadPoolExecutor(self.jobs) as pool:
            return list(pool.map(cells.run, folders))


class _Cells:
    """The cells in work, and the wish to stop them."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._working: set[CellProcess] = set()
        self._lock = threading.RLock()  # a signal may interrupt the thread that holds it
        self._stopping = False

    def run(self, folder: Path) -> Outcome:
        """Runs one cell, unless the user has asked to stop."""
        with self._lock:
            if self._stopping:
                return Outcome(folder.name, "stopped")
            process = CellProcess(folder)
            self._working.add(process)
        outcome = process.outcome(self._watch)
        with self._lock:
            self._working.discard(process)
        self._watch.ended(outcome)
        return outcome

    @contextlib.contextmanager
    def stopped_by_signals(self) -> Iterator[None]:
        """The first SIGINT or SIGTERM asks the cells to stop, the second ends them."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, lambda *_: self._stop()) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self) -> None:
        insisting, self._stopping = self._stopping, True
        if not insisting:
            self._watch.stopping()
        with self._lock:
            for process in self._working:
                process.kill() if insisting else process.stop()
