"""A cell's own process: `python -m continual.sweep.cell RUN WAIT`. What becomes of it is told line by line as JSON.

Its standard input is the tie to the process that started it: when that closes its end, or dies, this one stops after
the current step. So no cell outlives its sweep, however that ended.
"""

import contextlib
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from continual.errors import Interrupted, RunError, UserError
from continual.progress import Progress
from continual.sweep.record import finished

Tell = Callable[[dict[str, Any]], None]
_PAUSE = 0.5


class ToldProgress(Progress):
    """Tells how many tasks are learned.

    Args:
        tell: Receives `{"learned": ..., "tasks": ...}`.
    """

    def __init__(self, tell: Tell) -> None:
        super().__init__()
        self._tell = tell
        self._tasks = self._learned = 0

    @contextlib.contextmanager
    def running(self, stream: str, tasks: list[str], done: int) -> Iterator[None]:
        """See `Progress.running`."""
        self._tasks, self._learned = len(tasks), done
        self._tell({"learned": done, "tasks": len(tasks)})
        with super().running(stream, tasks, done):
            yield

    def task_done(self, task: str, scores: Any) -> None:
        """See `Progress.task_done`."""
        self._learned += 1
        self._tell({"learned": self._learned, "tasks": self._tasks})


def work(folder: Path, wait: float, tell: Tell) -> dict[str, Any]:
    """Runs a cell to its end.

    Args:
        folder: The run.
        wait: Seconds to wait for another process that works on it.
        tell: Hears of every learned task.

    Returns:
        `status` and `sentence` of its `Outcome`, and `defect`: whether the trouble was not of the user's making.
    """
    until = time.monotonic() + wait
    try:
        while True:
            if finished(folder):  # by another sweep, since this one looked
                return {"status": "known", "sentence": "", "defect": False}
            try:
                return _executed(folder, tell)
            except RunError as error:
                if not _busy(folder):
                    return _failed(str(error))
            if time.monotonic() >= until:
                return {"status": "busy", "sentence": "", "defect": False}
            time.sleep(_PAUSE)
    except (Interrupted, KeyboardInterrupt):
        return {"status": "stopped", "sentence": "", "defect": False}
    except UserError as error:
        return _failed(str(error))
    except BaseException as error:
        traceback.print_exc()
        line = (str(error).strip().splitlines() or ["no message"])[0]
        return _failed(f"{type(error).__name__}: {line}") | {"defect": True}


def _executed(folder: Path, tell: Tell) -> dict[str, Any]:
    from continual.run import Run

    Run(folder).execute(ToldProgress(tell))
    return {"status": "finished", "sentence": "", "defect": False}


def _failed(sentence: str) -> dict[str, Any]:
    return {"status": "failed", "sentence": sentence, "defect": False}


def _busy(folder: Path) -> bool:
    """Whether another process works on the run."""
    from continual.run import Run

    try:
        run = Run(folder)
    except UserError:
        return False
    try:
        with run.locked():
            return False
    except RunError:
        return True


def _stop_with_parent() -> None:
    """Asks this process to stop when its standard input ends."""
    # A shell starts background commands with SIGINT ignored, and they would pass that on.
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def watch() -> None:
        while os.read(0, 1):
            pass
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=watch, daemon=True).start()


def _private_output() -> Tell:
    """Keeps standard output for what is told; whatever libraries print goes to standard error."""
    lines = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def tell(event: dict[str, Any]) -> None:
        # With nobody left to listen, the request to stop is on its way.
        with contextlib.suppress(OSError):
            lines.write(json.dumps(event) + "\n")
            lines.flush()

    return tell


def main() -> None:
    """Runs the cell that the command line names."""
    tell = _private_output()
    _stop_with_parent()
    tell(work(Path(sys.argv[1]), float(sys.argv[2]), tell))


if __name__ == "__main__":
    main()
