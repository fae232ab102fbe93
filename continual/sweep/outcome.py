"""How a cell of a sweep ended, and who is told about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

Status = Literal["finished", "known", "failed", "busy", "stopped"]
"""`known` was finished before this sweep began, `busy` is being worked on by another process."""


@dataclass(frozen=True)
class Outcome:
    """How a cell ended.

    Attributes:
        cell: Its name.
        status: What became of it.
        seconds: Wall time of this session, in seconds.
        sentence: Why it failed.
    """

    cell: str
    status: Status
    seconds: float = 0.0
    sentence: str = ""


class Watch:
    """Hears how a sweep proceeds; does nothing with it. Methods may be called from several threads."""

    def begun(self, cells: Sequence[str]) -> None:
        """The sweep begins; these cells are to be done."""

    def learned(self, cell: str, done: int, tasks: int) -> None:
        """A cell has learned `done` of its tasks."""

    def ended(self, outcome: Outcome) -> None:
        """A cell has ended."""

    def stopping(self) -> None:
        """The user asked to stop; cells in work end after their current step."""


class Backend(Protocol):
    """Where cells are run."""

    @property
    def threads(self) -> int:
        """CPU threads for a new cell whose config leaves them open."""

    def run(self, folders: Sequence[Path], watch: Watch) -> list[Outcome]:
        """Runs each folder's run to its end, in a process of its own, and returns one outcome for each, in order.

        A cell that fails stops no other. SIGINT and SIGTERM end the cells in work after their current step; what was
        not begun then is `stopped` as well.
        """
