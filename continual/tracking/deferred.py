"""A tracker whose run is opened when there is something to report."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from continual.tracking.tracker import Status, Tracker


class Deferred(Tracker):
    """Opens the run of another tracker when it is first told of something: what is refused before leaves none behind.

    Args:
        tracker: Reports what this one is told.
        begin: Starts it.
    """

    def __init__(self, tracker: Tracker, begin: Callable[[Tracker], None]) -> None:
        super().__init__()
        self._tracker, self._begin, self._begun = tracker, begin, False
        self.notes = tracker.notes

    def start(
        self,
        run_name: str,
        params: Mapping[str, Any],
        config_yaml: str,
        tags: Mapping[str, str] | None = None,
    ) -> str | None:
        """See `Tracker.start`."""
        self._begun = True
        return self._tracker.start(run_name, params, config_yaml, tags)

    def step_metrics(self, task: str, stage: str, step: int, metrics: Mapping[str, float | None]) -> None:
        """See `Tracker.step_metrics`."""
        self._open().step_metrics(task, stage, step, metrics)

    def task_metrics(self, index: int, metrics: Mapping[str, float | None]) -> None:
        """See `Tracker.task_metrics`."""
        self._open().task_metrics(index, metrics)

    def artifacts(self, paths: Iterable[Path]) -> None:
        """See `Tracker.artifacts`."""
        self._open().artifacts(paths)

    def finish(self, status: Status) -> None:
        """See `Tracker.finish`: what failed before there was anything to report was refused, and is not reported."""
        if self._begun or status != "failed":
            self._open().finish(status)

    def _open(self) -> Tracker:
        if not self._begun:
            self._begun = True
            self._begin(self._tracker)
        return self._tracker
