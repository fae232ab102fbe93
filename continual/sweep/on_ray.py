"""Cells on a Ray cluster, whose nodes share the storage of the run folders. Nothing else knows Ray.

A cell keeps all that it has reached in its folder, so a node may die at any moment: Ray gives the task to another
node, where the cell goes on from its folder to the same numbers.
"""

import contextlib
import dataclasses
import logging
import os
import platform
import signal
import socket
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from continual.errors import ConfigError
from continual.sweep.outcome import Outcome, Watch
from continual.sweep.process import CellProcess, threads_of

_RETRIES = 5
_LOCK_SECONDS = 120.0
"""How long a cell waits for its folder: the process of a dead node may end, or its lock expire, a little later."""
_LOOK_SECONDS = 0.5
_KNOCK_SECONDS = 10.0


class RayBackend:
    """Runs cells as tasks of a Ray cluster; each takes as many of its CPUs as the cell has threads.

    Args:
        address: The cluster, such as `host:6379`; None for the one that RAY_ADDRESS names or that runs here, and where
            there is none, for a new one on this machine.
        jobs: Most cells at a time; None for as many as there is room for.

    Raises:
        ConfigError: Fewer than one job.
    """

    threads = 1

    def __init__(self, address: str | None = None, jobs: int | None = None) -> None:
        if jobs is not None and jobs < 1:
            raise ConfigError(f"--jobs is {jobs}, expected at least 1.")
        self.address = address
        self.jobs = jobs

    def run(self, folders: Sequence[Path], watch: Watch) -> list[Outcome]:
        """See `Backend.run`.

        Raises:
            ConfigError: Ray is not installed, the cluster is out of reach, or no node has room for a cell.
        """
        if not folders:
            return []
        with _connected(self.address) as ray:
            _refuse_too_large(ray, folders)
            return _Tasks(ray, folders, self.jobs or len(folders), watch).run()


class _Tasks:
    """The cells as tasks: waiting, given to Ray, and done."""

    def __init__(self, ray: Any, folders: Sequence[Path], most: int, watch: Watch) -> None:
        self._ray, self._folders, self._most, self._watch = ray, folders, most, watch
        self._waiting = list(reversed(folders))
        self._given: dict[Any, Path] = {}
        self._done: dict[Path, Outcome] = {}
        self._wishes = 0
        self._heard = 0

    def run(self) -> list[Outcome]:
        """Gives all to Ray and waits for them."""
        with self._hearing_signals():
            while self._waiting or self._given:
                self._obey()
                while self._waiting and len(self._given) < self._most:
                    self._give(self._waiting.pop())
                for task in self._ray.wait(list(self._given), timeout=_LOOK_SECONDS)[0] if self._given else ():
                    self._end(self._given.pop(task), self._outcome(task))
        return [self._done[folder] for folder in self._folders]

    def _give(self, folder: Path) -> None:
        remote = self._ray.remote(_work).options(
            name=folder.name, num_cpus=threads_of(folder) or 1, max_retries=_RETRIES, retry_exceptions=False
        )
        self._given[remote.remote(str(folder.absolute()))] = folder

    def _outcome(self, task: Any) -> Outcome:
        try:
            return Outcome(**self._ray.get(task))
        except self._ray.exceptions.TaskCancelledError:
            return Outcome("", "stopped")
        except self._ray.exceptions.RayError as error:
            line = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
            return Outcome("", "failed", sentence=f"Ray could not run it ({type(error).__name__}: {line}).")

    def _end(self, folder: Path, outcome: Outcome) -> None:
        self._done[folder] = dataclasses.replace(outcome, cell=folder.name)
        if outcome.status != "stopped":
            self._watch.ended(self._done[folder])

    def _obey(self) -> None:
        """Does what signals have asked for since the last look."""
        if self._heard == self._wishes:
            return
        self._heard = self._wishes
        while self._waiting:
            self._end(self._waiting.pop(), Outcome("", "stopped"))
        for task in self._given:
            self._ray.cancel(task, force=self._heard > 1)

    @contextlib.contextmanager
    def _hearing_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def hear(*_: Any) -> None:
            self._wishes += 1
            if self._wishes == 1:
                self._watch.stopping()

        before = {number: signal.signal(number, hear) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _work(folder: str) -> dict[str, Any]:
    """What a worker of Ray does: one cell in a process of its own. When the worker dies, that process stops too."""
    path = Path(folder)
    if not (path / "config.yaml").is_file():
        sentence = f"{path} cannot be seen on {platform.node()}; put --runs-dir on storage that all nodes share."
        return dataclasses.asdict(Outcome(path.name, "failed", sentence=sentence))
    process = CellProcess(path, wait=_LOCK_SECONDS)
    # Ray cancels by a KeyboardInterrupt, which does not reach a thread that reads from a pipe.
    with ThreadPoolExecutor(1) as pool:
        outcome = pool.submit(process.outcome)
        while True:
            try:
                return dataclasses.asdict(outcome.result(_LOOK_SECONDS))
            except TimeoutError:
                continue
            except KeyboardInterrupt:
                process.stop()


@contextlib.contextmanager
def _connected(address: str | None) -> Iterator[Any]:
    """Ray, connected; a connection that was there before is used and kept."""
    try:
        import ray
        import ray.exceptions
    except ImportError:
        raise ConfigError(
            "Ray is not installed; install it with: python -m pip install 'ray>=2.40,<3', or use --backend local."
        ) from None
    if ray.is_initialized():
        yield ray
        return
    where = address or os.environ.get("RAY_ADDRESS", "")
    try:
        _knock(where)
        ray.init(address=address, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise ConfigError(
            f"No Ray cluster answers at {where or 'this machine'} ({reason}); start one, or correct --ray-address."
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Tries whether anyone listens: Ray itself would take minutes to say that nobody does.

    Raises:
        OSError: Nobody does.
    """
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_KNOCK_SECONDS).close()


def _refuse_too_large(ray: Any, folders: Sequence[Path]) -> None:
    """A task that fits no node would wait for ever."""
    needed = max(threads_of(folder) or 1 for folder in folders)
    room = max((node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"]), default=0)
    if needed > room:
        raise ConfigError(
            f"A cell uses {needed} threads and the largest node of the Ray cluster has {room:g} CPUs; "
            "start a larger node, or begin another sweep (--name) with threads=1."
        )
