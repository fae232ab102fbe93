"""What a metric is, and how one is found by its name."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from continual.registry import Entry, Registry

Better = Literal["higher", "lower", "neither"]


@dataclass(frozen=True)
class Metric(Entry):
    """A named metric with the words that explain it: an entry of a registry with further facts.

    Attributes:
        formula: The definition in one line of text.
        better: Which direction is good.
        needs_bound: Whether it needs the scores of joint training as well, which a run by itself does not have.
    """

    formula: str = ""
    better: Better = "neither"
    needs_bound: bool = False

    @property
    def function(self) -> Callable[..., Any]:
        """The pure function that computes it."""
        return self.load()


def metrics(group: str | None = None) -> Registry[Metric]:
    """A registry of metrics, which installed packages may extend by the entry points of a group."""
    return Registry("metric", group, entry=Metric, complete=True)
