"""What finished cells have measured: as runs in a folder, and as numbers beside the results."""

from pathlib import Path
from typing import Any

from benchmarks.common import RESULTS
from benchmarks.methods.cells import Cell
from continual.files import read_json, write_json


class Ledger:
    """The numbers of finished cells, each under all settings it was run with: with others it counts as not run.

    Args:
        runs: Where cells are run.
        path: The file that outlives this folder.
    """

    def __init__(self, runs: Path, path: Path = RESULTS / "methods-cells.json") -> None:
        self._runs, self._path = runs, path
        self._numbers: dict[str, dict[str, Any]] = read_json(path) if path.exists() else {}

    def numbers(self, cell: Cell) -> dict[str, Any] | None:
        """What the table holds of a cell; None if it is not finished."""
        stream, settings = cell.settings()
        key = " ".join([stream, *settings])
        if key not in self._numbers:
            measured = cell.numbers(self._runs)
            if measured is None:
                return None
            self._numbers[key] = measured
        return self._numbers[key]

    def write(self) -> None:
        """Writes all that have been asked for so far or were known before."""
        write_json(self._path, dict(sorted(self._numbers.items())))
