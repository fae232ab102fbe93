"""How a training is watched from outside, and how it is asked to stop."""

from typing import Protocol


class Watcher(Protocol):
    """Told of every step and epoch. A progress bar, a log and the stop signal are watchers."""

    def started(self, stage: str, steps: int | None) -> None:
        """A training called `stage` begins and will take at most `steps` steps; None where nobody knows yet."""

    def step(self, stage: str, number: int, loss: float) -> None:
        """Step `number` (from 1) is done. May raise `Interrupted` to stop here."""

    def epoch(self, stage: str, number: int, scores: dict[str, float]) -> None:
        """Epoch `number` (0: before the first step) was scored on dev."""

    def finished(self, stage: str) -> None:
        """The training is over."""


class Silent:
    """A watcher that watches nothing."""

    def started(self, stage: str, steps: int | None) -> None:
        """See `Watcher.started`."""

    def step(self, stage: str, number: int, loss: float) -> None:
        """See `Watcher.step`."""

    def epoch(self, stage: str, number: int, scores: dict[str, float]) -> None:
        """See `Watcher.epoch`."""

    def finished(self, stage: str) -> None:
        """See `Watcher.finished`."""


class NamedWatcher:
    """Tells a watcher of trainings under other names, beside those that it hears of already.

    Args:
        watcher: Who is told.
        prefix: What their names begin with.
    """

    def __init__(self, watcher: Watcher, prefix: str) -> None:
        self._watcher, self._prefix = watcher, prefix

    def started(self, stage: str, steps: int | None) -> None:
        """See `Watcher.started`."""
        self._watcher.started(f"{self._prefix}{stage}", steps)

    def step(self, stage: str, number: int, loss: float) -> None:
        """See `Watcher.step`."""
        self._watcher.step(f"{self._prefix}{stage}", number, loss)

    def epoch(self, stage: str, number: int, scores: dict[str, float]) -> None:
        """See `Watcher.epoch`."""
        self._watcher.epoch(f"{self._prefix}{stage}", number, scores)

    def finished(self, stage: str) -> None:
        """See `Watcher.finished`."""
        self._watcher.finished(f"{self._prefix}{stage}")
