"""Timing with its spread, and rows of goal, measured and verdict."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

REPEATS = 5


@dataclass(frozen=True)
class Timing:
    """Seconds of repeated measurements.

    Attributes:
        median: Their median.
        low: The smallest.
        high: The largest.
        repeats: How many.
    """

    median: float
    low: float
    high: float
    repeats: int

    @classmethod
    def of(cls, seconds: Sequence[float]) -> "Timing":
        """The summary of measured seconds."""
        return cls(statistics.median(seconds), min(seconds), max(seconds), len(seconds))


def timed(body: Callable[[], Any], repeats: int = REPEATS, warmup: int = 1) -> Timing:
    """Runs `body` some times unmeasured, then `repeats` times measured."""
    for _ in range(warmup):
        body()
    return Timing.of([seconds_of(body) for _ in range(repeats)])


def alternately(bodies: dict[str, Callable[[], Any]], repeats: int = REPEATS, warmup: int = 1) -> dict[str, Timing]:
    """Times several bodies in turns, so that a slow minute of the machine meets all of them."""
    for _ in range(warmup):
        for body in bodies.values():
            body()
    seconds: dict[str, list[float]] = {name: [] for name in bodies}
    for _ in range(repeats):
        for name, body in bodies.items():
            seconds[name].append(seconds_of(body))
    return {name: Timing.of(values) for name, values in seconds.items()}


def seconds_of(body: Callable[[], Any]) -> float:
    """Wall time of one call."""
    started = time.perf_counter()
    body()
    return time.perf_counter() - started


@dataclass
class Row:
    """One line of a table of goals.

    Attributes:
        what: What was measured.
        against: What it is compared with.
        goal: The goal in words.
        measured: The figure.
        met: Whether the figure reaches the goal.
        unit: Of the figure.
        limits: What limits the figure now, in a sentence.
        details: Everything behind it, JSON-able.
    """

    what: str
    against: str
    goal: str
    measured: float
    met: bool
    unit: str = "times"
    limits: str = ""
    details: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As a dictionary."""
        return asdict(self)


def show(rows: Sequence[Row]) -> None:
    """Prints rows as a table."""
    from rich.console import Console
    from rich.table import Table

    table = Table("what", "against", "goal", "measured", "verdict")
    for row in rows:
        table.add_row(row.what, row.against, row.goal, f"{row.measured:.3g} {row.unit}", "met" if row.met else "MISSED")
    Console(width=160).print(table)
