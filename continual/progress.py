"""What the person at the terminal sees of a run, and how they stop it."""

import contextlib
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from types import FrameType
from typing import TYPE_CHECKING

from continual.errors import Interrupted
from continual.stopping import stopped_by

if TYPE_CHECKING:
    from rich.console import Console

    from continual.tracking.tracker import Tracker
    from continual.training.watch import Watcher

_REPORT_EVERY = 10
_SECONDS = "task/seconds"
_SECONDS_OF_SILENCE = 20.0
"""After so long without a line, one tells where the training is, if there are no bars that do."""


class Progress:
    """Progress bars on a terminal, plain lines elsewhere, and the stop signal.

    Args:
        console: Where to write; standard error is the place for it. None keeps silent.
    """

    def __init__(self, console: "Console | None" = None) -> None:
        self._console = console
        self._bars = None
        self._task_bar = self._stage_bar = None
        self._training: tuple[str, int | None] = ("", None)
        self._said = time.monotonic()
        self._stopping = threading.Event()

    @contextlib.contextmanager
    def running(self, stream: str, tasks: list[str], done: int) -> Iterator[None]:
        """Shows the run until it ends; Ctrl-C then asks it to stop after the current step, or batch of texts."""
        with self._stop_on_signal(), stopped_by(self.check), self._drawn(stream, len(tasks), done):
            yield

    def check(self) -> None:
        """Stops here if that was asked for.

        Raises:
            Interrupted: It was.
        """
        if self._stopping.is_set():
            raise Interrupted("Stopped as you asked; everything finished so far is on disk.")

    def warn(self, sentence: str) -> None:
        """Something that the user should know before the results are there."""
        if self._console is not None:
            self._console.print(f"warning: {sentence}", markup=False)

    def watcher(self, task: str, tracker: "Tracker") -> "Watcher":
        """Watches the trainings of one task."""
        return _TaskWatcher(self, task, tracker)

    def stage(self, task: str, stage: str, steps: int | None) -> None:
        """A training begins; None for a number of steps that nobody knows yet."""
        if self._bars is not None:
            self._bars.reset(self._stage_bar, total=steps, description=f"{task}: {stage}", visible=True)
        self._training = (f"{task}: {stage}", steps)
        self._break_silence("")

    def advance(self, steps: int) -> None:
        """`steps` more steps of the current training are done."""
        if self._bars is not None:
            self._bars.update(self._stage_bar, advance=steps)

    def reached(self, number: int) -> None:
        """Step `number` (from 1) of the current training is done; says so where nothing was said for some time."""
        total = self._training[1]
        self._break_silence(f", step {number}" + ("" if total is None else f" of {total}"))

    def task_done(self, task: str, scores: Mapping[str, float | None]) -> None:
        """A task is learned and assessed."""
        if self._bars is not None:
            self._bars.update(self._task_bar, advance=1)
            self._bars.update(self._stage_bar, visible=False)
        if self._console is not None:
            from continual.evaluation.figures.numbers import printed

            metric = next(key for key in scores if key.startswith("task/") and key != _SECONDS).removeprefix("task/")
            shown = [
                (metric, f"task/{metric}"),
                ("aware average", "aware/average"),
                ("routed average", "routed/average"),
            ]
            parts = [f"{label} {printed(metric, scores[key])}" for label, key in shown if scores.get(key) is not None]
            self._said = time.monotonic()
            from rich.markup import escape

            done = f"learned [bold]{escape(task)}[/] in {scores[_SECONDS]:.0f} s: {', '.join(parts)}"
            self._console.print(done, highlight=False)

    def say(self, line: str) -> None:
        """Shows a line that counts nothing."""
        self._said = time.monotonic()
        if self._console is not None:
            self._console.print(line, markup=False, highlight=False)

    def done(self, line: str) -> None:
        """One more of what is counted is done; `line` says what came out."""
        if self._bars is not None:
            self._bars.update(self._task_bar, advance=1)
            self._bars.update(self._stage_bar, visible=False)
        self.say(line)

    def _break_silence(self, step: str) -> None:
        if self._bars is None and time.monotonic() - self._said >= _SECONDS_OF_SILENCE:
            self.say(f"{self._training[0]}{step}")

    @contextlib.contextmanager
    def _drawn(self, stream: str, total: int, done: int) -> Iterator[None]:
        if self._console is None or not self._console.is_terminal:
            yield
            return
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Bars(*columns, console=self._console, transient=True) as bars:
            self._bars = bars
            self._task_bar = bars.add_task(f"{stream}: tasks", total=total, completed=done)
            self._stage_bar = bars.add_task("", total=None, visible=False)
            try:
                yield
            finally:
                self._bars = None

    @contextlib.contextmanager
    def _stop_on_signal(self) -> Iterator[None]:
        """The first Ctrl-C (or SIGTERM) asks, the second insists."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def ask(number: int, frame: FrameType | None) -> None:
            if self._stopping.is_set():
                raise KeyboardInterrupt
            self._stopping.set()
            if self._console is not None:
                self._console.print("stopping after this step; once more to stop at once")

        before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class _TaskWatcher:
    """Passes the progress of one task's trainings on to the screen and the tracker."""

    def __init__(self, progress: Progress, task: str, tracker: "Tracker") -> None:
        self._progress, self._task, self._tracker = progress, task, tracker
        self._steps = 0

    def started(self, stage: str, steps: int | None) -> None:
        """See `Watcher.started`."""
        self._progress.stage(self._task, stage, steps)
        self._progress.check()

    def step(self, stage: str, number: int, loss: float) -> None:
        """See `Watcher.step`."""
        self._steps = number
        self._progress.advance(1)
        self._progress.reached(number)
        if number % _REPORT_EVERY == 0:
            self._tracker.step_metrics(self._task, stage, number, {"loss": loss})
        self._progress.check()

    def epoch(self, stage: str, number: int, scores: dict[str, float]) -> None:
        """See `Watcher.epoch`."""
        self._tracker.step_metrics(self._task, stage, self._steps if number else 0, scores)

    def finished(self, stage: str) -> None:
        """See `Watcher.finished`."""
