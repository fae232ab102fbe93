"""`sweep.json`: what a sweep consists of, whichever of it is done."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from continual.errors import RunError
from continual.evaluation.groups import decisive
from continual.files import read_json, write_json

FILE_NAME = "sweep.json"
_SCHEMA = 1


@dataclass(frozen=True)
class Cell:
    """One run of a sweep.

    Attributes:
        name: Its folder inside the folder of the sweep.
        settings: The values that it takes of the grid, by key.
        digest: What its resolved config comes to, see `digest_of`.
    """

    name: str
    settings: Mapping[str, str]
    digest: str


@dataclass(frozen=True)
class Record:
    """All of a sweep, over every command that added to it.

    Attributes:
        experiment: The experiment, stream or YAML file that the cells start from.
        grid: Every value that was asked for, by key.
        cells: The cells, in the order in which they were first asked for.
    """

    experiment: str
    grid: dict[str, list[str]] = field(default_factory=dict)
    cells: list[Cell] = field(default_factory=list)

    def write(self, folder: Path) -> None:
        """Writes `sweep.json`, whole or not at all."""
        write_json(folder / FILE_NAME, {"schema": _SCHEMA, **asdict(self)})


def is_sweep(folder: Path) -> bool:
    """Whether the folder is that of a sweep."""
    return (folder / FILE_NAME).is_file()


def read_record(folder: Path) -> Record:
    """Reads `sweep.json`.

    Raises:
        RunError: There is none, or it cannot be understood.
    """
    path = folder / FILE_NAME
    try:
        value = read_json(path)
        if value["schema"] > _SCHEMA:
            raise RunError(f"{path} was written by a newer version of this program; update it and try again.")
        return Record(value["experiment"], dict(value["grid"]), [Cell(**cell) for cell in value["cells"]])
    except FileNotFoundError:
        raise RunError(f"{folder} is not a sweep: it has no {FILE_NAME}; give the folder of a sweep.") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"{path} is damaged ({error}); delete it and run the command of the sweep under another --name, or compare "
            "its run folders one by one."
        ) from error


def runs_in(folder: Path) -> list[Path]:
    """The run folders of a sweep that have measured something, in order; a folder that is no sweep is itself a run.

    Raises:
        RunError: It is a sweep in which no cell has measured anything yet.
    """
    if not is_sweep(folder):
        return [folder]
    paths = [folder / cell.name for cell in read_record(folder).cells]
    begun = [path for path in paths if (path / "summary.json").is_file()]
    if not begun:
        raise RunError(f"No cell of {folder} has learned a task yet; run the command of the sweep again.")
    return begun


def finished(folder: Path) -> bool:
    """Whether the run in a folder has written all its results."""
    try:
        summary = read_json(folder / "summary.json")
    except (OSError, ValueError):
        return False
    # The table of matrices is written after the summary.
    return isinstance(summary, dict) and summary.get("finished") is True and (folder / "matrix.csv").is_file()


def digest_of(resolved: Mapping[str, Any]) -> str:
    """A digest of the settings that decide a run's results; threads, memory and tracking are none of them."""
    settings = {**decisive(resolved), "seed": resolved.get("seed")}
    text = json.dumps(settings, sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
