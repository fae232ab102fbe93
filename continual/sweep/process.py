"""Starts a cell's process and hears what becomes of it; the same for every backend."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from continual.errors import UserError
from continual.files import write_text
from continual.sweep.outcome import Outcome, Watch

ERROR = "error.txt"
"""In the folder of a cell that failed: the sentence, and the traceback where it was a defect."""

_CODE = Path(__file__).resolve().parents[2]
_TAIL_BYTES = 64 * 1024
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")


class CellProcess:
    """One cell in a fresh interpreter: with memory, threads and random numbers of its own.

    Args:
        folder: The run.
        wait: Seconds to wait for another process that works on the run.
    """

    def __init__(self, folder: Path, wait: float = 0.0) -> None:
        self._folder = folder
        self._started = time.monotonic()
        self._asked = False
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the process has ended
        self._process = subprocess.Popen(
            # -P: what lies in the current folder must not be taken for this program.
            [sys.executable, "-P", "-m", "continual.sweep.cell", str(folder.absolute()), str(wait)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=_environment(threads_of(folder)),
            # Ctrl-C at the terminal is for the sweep, which passes it on in its own way.
            start_new_session=True,
        )

    def stop(self) -> None:
        """Asks the cell to stop after its current step; everything finished is on disk then."""
        self._asked = True
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()

    def kill(self) -> None:
        """Ends the cell at once; it can be continued all the same."""
        self._asked = True
        self._process.kill()

    def outcome(self, watch: Watch | None = None) -> Outcome:
        """Waits for the end of the cell.

        Args:
            watch: Hears of learned tasks; None for nobody.
        """
        told: dict[str, Any] = {}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            event = json.loads(line)
            if "status" in event:
                told = event
            elif watch is not None:
                watch.learned(self._folder.name, event["learned"], event["tasks"])
        code = self._process.wait()
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        with self._errors:
            return self._concluded(told, code)

    def _concluded(self, told: dict[str, Any], code: int) -> Outcome:
        if not told:
            told = {"status": "stopped"} if self._asked else _died(code)
        sentence = told.get("sentence", "")
        if told["status"] == "failed":
            where = f"; more in {self._folder / ERROR}" if told["defect"] else ""
            self._note(sentence, told["defect"])
            sentence = f"{sentence.rstrip('.')}{where}."
        elif told["status"] == "finished":
            (self._folder / ERROR).unlink(missing_ok=True)
        return Outcome(self._folder.name, told["status"], time.monotonic() - self._started, sentence)

    def _note(self, sentence: str, defect: bool) -> None:
        size = self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, size - _TAIL_BYTES))
        more = self._errors.read().decode("utf-8", "replace") if defect else ""
        # A disk that is full has been told of already.
        with contextlib.suppress(UserError):
            write_text(self._folder / ERROR, f"{sentence}\n\n{more}".rstrip() + "\n")


def threads_of(folder: Path) -> int | None:
    """The CPU threads that the run in a folder is to use; None where its config leaves that open."""
    import yaml

    try:
        threads = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))["threads"]
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        return None  # what is wrong with the config, the cell itself says better
    return threads if isinstance(threads, int) and threads > 0 else None


def available_threads() -> int:
    """The CPU threads that this process may use: those of OMP_NUM_THREADS, else the cores it may run on."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return int(given) if given.isdigit() and int(given) > 0 else cores


def _environment(threads: int | None) -> dict[str, str]:
    # The program that the cell runs is this one, wherever it was found.
    path = os.pathsep.join(filter(None, [str(_CODE), os.environ.get("PYTHONPATH", "")]))
    share = {} if threads is None else dict.fromkeys(_THREADS, str(threads))
    return {**os.environ, **share, "PYTHONPATH": path}


def _died(code: int) -> dict[str, Any]:
    if code < 0:
        name = signal.Signals(-code).name
        hint = ", perhaps for lack of memory" if name == "SIGKILL" else ""
        return {"status": "failed", "sentence": f"The process was ended by {name}{hint}", "defect": True}
    return {"status": "failed", "sentence": f"The process ended with code {code} and said nothing", "defect": True}
