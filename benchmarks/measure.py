"""Timing with its spread, and rows of goal, measured and verdict."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

REPEATS = 5


@dataclass(frozen=True)
class Spread:
    """Repeated measurements of one thing.

    Attributes:
        values: What was measured, in the order of measuring.
    """

    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Of at least one measurement."""
        return cls(tuple(values))

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.values)

    @property
    def low(self) -> float:
        """The smallest."""
        return min(self.values)

    @property
    def high(self) -> float:
        """The largest."""
        return max(self.values)

    def over(self, other: "Spread") -> "Spread":
        """The ratio to another in each turn, so that a slow minute of the machine is in both or in neither."""
        return Spread(tuple(one / two for one, two in zip(self.values, other.values, strict=True)))

    def to_json(self) -> dict[str, float]:
        """The summary."""
        return {"median": self.median, "low": self.low, "high": self.high, "repeats": len(self.values)}


def timed(body: Callable[[], Any], repeats: int = REPEATS, warmup: int = 1) -> Spread:
    """Runs `body` some times unmeasured, then `repeats` times measured, in seconds."""
    for _ in range(warmup):
        body()
    return Spread.of([seconds_of(body) for _ in range(repeats)])


def alternately(
    bodies: dict[str, Callable[[], Any]], repeats: int = REPEATS, warmup: int = 1, budget: float | None = None
) -> dict[str, Spread]:
    """Times several bodies in turns, so that a slow minute of the machine meets all of them.

    Args:
        bodies: What to run, by name.
        repeats: How many turns are measured.
        warmup: How many turns come before, unmeasured.
        budget: No turn begins after so many seconds, apart from the first; all `repeats` are done by default.
    """
    for _ in range(warmup):
        for body in bodies.values():
            body()
    seconds: dict[str, list[float]] = {name: [] for name in bodies}
    started = time.perf_counter()
    for turn in range(repeats):
        if turn and budget is not None and time.perf_counter() - started > budget:
            break
        for name, body in bodies.items():
            seconds[name].append(seconds_of(body))
    return {name: Spread.of(values) for name, values in seconds.items()}


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
        goal: The goal in words; empty where there is none.
        measured: The figure: a median where it was measured several times.
        met: Whether the figure reaches the goal; None without a goal.
        unit: Of the figure.
        limits: What limits the figure now, in a sentence.
        details: Everything behind it, JSON-able.
        low: The smallest of the measurements; None where their spread was not kept.
        high: The largest of them, likewise.
        n: How many measurements there were, and of what if not of time; None where it was not kept.
    """

    what: str
    against: str
    goal: str
    measured: float
    met: bool | None
    unit: str = "times"
    limits: str = ""
    details: dict[str, Any] = field(default_factory=dict)
    low: float | None = None
    high: float | None = None
    n: int | str | None = None

    @classmethod
    def of(
        cls,
        spread: Spread,
        what: str,
        against: str = "",
        goal: str = "",
        met: bool | None = None,
        unit: str = "times",
        limits: str = "",
        details: dict[str, Any] | None = None,
        n: str | None = None,
    ) -> "Row":
        """A row of repeated measurements."""
        return cls(
            what,
            against,
            goal,
            spread.median,
            met,
            unit,
            limits,
            details or {},
            spread.low,
            spread.high,
            n or len(spread.values),
        )

    def to_json(self) -> dict[str, Any]:
        """As a dictionary."""
        return asdict(self)

    @property
    def verdict(self) -> str:
        """Whether the goal is met, in a word."""
        return "–" if self.met is None else "met" if self.met else "MISSED"

    @property
    def shown(self) -> str:
        """The figure with its unit."""
        return f"{figure(self.measured)} {self.unit}".strip()

    @property
    def spread(self) -> str:
        """The smallest and the largest measurement."""
        if self.low is None or self.high is None or str(self.n).split()[0] == "1":
            return "–"
        return f"{figure(self.low)} – {figure(self.high)}"


def figure(value: float) -> str:
    """A number as tables show it: three digits."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def show(rows: Sequence[Row]) -> None:
    """Prints rows as a table."""
    from rich.console import Console
    from rich.table import Table

    table = Table("what", "against", "goal", "measured", "spread", "n", "verdict")
    for row in rows:
        n = "–" if row.n is None else str(row.n)
        table.add_row(row.what, row.against, row.goal, row.shown, row.spread, n, row.verdict)
    Console(width=180).print(table)
