"""A sweep on disk: planned, extended, done and done again without repeating anything."""

import dataclasses
import os
import re
import secrets
import shutil
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from continual.errors import RunError, UserError
from continual.evaluation.compare import Comparison, compare
from continual.evaluation.groups import load_measured, told_difference
from continual.files import storage_errors
from continual.following import read_stored
from continual.sweep.check import check_cells, check_grid, told_of
from continual.sweep.grid import Axis, cell_name, cells_of, parse_axes
from continual.sweep.local import LocalBackend
from continual.sweep.missing import missing_cells
from continual.sweep.outcome import Backend, Outcome, Watch
from continual.sweep.record import Cell, Record, digest_of, finished, is_sweep, read_record, runs_in
from continual.sweep.reference import check_reference

if TYPE_CHECKING:
    from continual.config import RunConfig

_LOCK = ".sweep.lock"
_LEFTOVER = re.compile(r"\..*\.[0-9a-f]{12}\.new\.tmp")


class Sweep:
    """A grid of runs in one folder: `sweep.json` and an ordinary run folder for each cell.

    Example:
        >>> from continual.sweep import LocalBackend, Sweep
        >>> sweep = Sweep.plan(folder, "quickstart", ["method=scratch,panda", "seed=0,1,2"])
        >>> outcomes = sweep.run(LocalBackend(jobs=2))
        >>> sweep.compare(reference="scratch").tests

    A cell runs in an interpreter of its own, which knows what this program, installed packages and the setting
    `plugins` register, and not what the calling script itself adds to the registries.

    Args:
        folder: The folder of a sweep that was planned before.

    Raises:
        RunError: It is none.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._record = read_record(folder)
        self.chosen = list(self._record.cells)

    @classmethod
    def plan(
        cls,
        folder: Path,
        experiment: str,
        overrides: Sequence[str] = (),
        threads: int | None = None,
        reference: str | None = None,
        own: Mapping[str, Sequence[str]] = MappingProxyType({}),
    ) -> "Sweep":
        """Makes the sweep's folder and its cells, or adds those that are new.

        Args:
            folder: Where; made if there is nothing.
            experiment: An experiment, a stream or a YAML file, as `config.compose` takes it.
            overrides: Settings; `key=a,b` takes several values, and every combination is a cell.
            threads: CPU threads of new cells whose settings leave them open; None leaves that to torch.
            reference: What `compare` will be asked to compare with, so that a wrong word is found before cells run.
            own: Settings for the cells of a method alone, by its name; several values make cells of that method.

        Returns:
            The sweep, whose `chosen` are the cells of this grid.

        Raises:
            ConfigError: A name, key or value is unknown or of the wrong type, a setting is read by no method that it
                is given to, or the reference fits no cell.
            UserError: A cell could not be run, for one of the reasons that `continual validate` finds.
            RunError: The folder holds something else, or a cell of that name with other settings.
            StorageError: The disk refused a write.
        """
        axes, special = parse_axes(overrides), {method: parse_axes(items) for method, items in own.items()}
        cells = list(cells_of(axes, special, _method_of(experiment, axes)))
        wanted = [(cell, _composed(experiment, cell)) for _, cell in cells]
        check_grid({method for method, _ in cells}, axes, special)
        if folder.exists() and not is_sweep(folder) and any(not it.name.startswith(".") for it in folder.iterdir()):
            raise RunError(f"{folder} exists and is not a sweep; choose another --name.")
        known = {cell.digest for cell in read_record(folder).cells} if is_sweep(folder) else set()
        check_cells([(cell, config) for cell, config in wanted if digest_of(config.resolved) not in known])
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / _LOCK):
            record = _extended(folder, experiment, [*axes, *chain(*special.values())], wanted)
            if reference is not None:
                before = [_settings_in(folder / cell.name) for cell in record.cells]
                check_reference(reference, [*filter(None, before), *(config.resolved for _, config in wanted)])
            record.write(folder)
            _remove_leftovers(folder)
            sweep = cls(folder)
            by_digest = {cell.digest: cell for cell in record.cells}
            configs = {digest_of(config.resolved): config for _, config in wanted}
            sweep.chosen = [by_digest[digest] for digest in configs]
            for cell in sweep.chosen:
                _make(folder / cell.name, configs[cell.digest], threads)
        return sweep

    @property
    def cells(self) -> list[Cell]:
        """All cells, of every grid that was planned in this folder."""
        return list(self._record.cells)

    def is_finished(self, cell: Cell) -> bool:
        """Whether a cell's results are complete."""
        return finished(self.folder / cell.name)

    def run(self, backend: Backend | None = None, watch: Watch | None = None) -> list[Outcome]:
        """Runs the chosen cells that are not finished, continuing those that were begun.

        A cell that fails stops no other; Ctrl-C ends those in work after their current step. Either way this can be
        called again.

        Args:
            backend: Where; one after another on this machine if None.
            watch: Hears how it goes.

        Returns:
            One outcome for each chosen cell, in their order.
        """
        watch = watch or Watch()
        open_cells = [cell for cell in self.chosen if not self.is_finished(cell)]
        watch.begun([cell.name for cell in open_cells])
        folders = [self.folder / cell.name for cell in open_cells]
        ended = {outcome.cell: outcome for outcome in (backend or LocalBackend()).run(folders, watch)}
        return [ended.get(cell.name, Outcome(cell.name, "known")) for cell in self.chosen]

    def compare(self, reference: str | None = None) -> Comparison:
        """Compares the cells that have measured anything; see `evaluation.compare.compare`.

        Raises:
            RunError: There is none.
        """
        runs = [load_measured(folder) for folder in runs_in(self.folder)]
        return compare(runs, reference, missing_cells(self.folder))


def _method_of(experiment: str, axes: Sequence[Axis]) -> str:
    """The method of cells whose settings name none."""
    from continual.config import compose

    return "" if any(axis.key == "method" for axis in axes) else compose(experiment).learner.method.get("name", "")


def _composed(experiment: str, settings: Mapping[str, str]) -> "RunConfig":
    from continual.config import compose

    try:
        return compose(experiment, [f"{key}={value}" for key, value in settings.items()])
    except UserError as error:
        raise told_of(error, settings) from error


def _extended(
    folder: Path, experiment: str, axes: Sequence[Axis], wanted: Sequence[tuple[Mapping[str, str], "RunConfig"]]
) -> Record:
    """The record of the folder with the wanted cells added."""
    record = read_record(folder) if is_sweep(folder) else Record(experiment)
    grid = {key: list(values) for key, values in record.grid.items()}
    for axis in axes:
        grid[axis.key] = list(dict.fromkeys([*grid.get(axis.key, []), *axis.values]))
    shown = [key for key, values in grid.items() if len(values) > 1]
    cells = {cell.digest: cell for cell in record.cells}
    by_name = {cell.name: cell for cell in record.cells}
    for settings, config in wanted:
        digest = digest_of(config.resolved)
        if digest in cells:
            _refuse_changed(folder / cells[digest].name, digest)
            continue
        name = cell_name(settings, shown)
        if name in by_name:
            raise _other_settings(folder / name, config.resolved)
        cells[digest] = by_name[name] = Cell(name, dict(settings), digest)
    return dataclasses.replace(record, grid=grid, cells=list(cells.values()))


def _refuse_changed(folder: Path, digest: str) -> None:
    """A cell whose config was changed by hand is not the cell that the record speaks of."""
    settings = _settings_in(folder)
    if settings is not None and digest_of(settings) != digest:
        raise RunError(
            f"The settings in {folder / 'config.yaml'} are not those that this cell was planned with; "
            "put the old ones back, or choose another --name."
        )


def _other_settings(folder: Path, resolved: Mapping[str, Any]) -> RunError:
    before = _settings_in(folder)
    difference = told_difference(before, resolved) if before else ""
    told = f": {difference}" if difference else ""
    return RunError(f"{folder} was planned with other settings{told}; give the old ones, or choose another --name.")


def _settings_in(folder: Path) -> dict[str, Any] | None:
    import yaml

    try:
        value = read_stored(folder / "config.yaml")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise RunError(f"{folder / 'config.yaml'} cannot be read ({reason}); put the old file back.") from error
    return value if isinstance(value, dict) else {}


def _make(folder: Path, config: "RunConfig", threads: int | None) -> None:
    """Makes a cell's run folder, whole or not at all."""
    from continual.config import parse
    from continual.run import Run

    if folder.exists():
        return
    if config.threads is None and threads is not None:
        # With the run, so that it is resumed with as many whoever resumes it: sums depend on their number.
        config = parse({**config.stored, "threads": threads})
    temporary = folder.parent / f".{folder.name}.{secrets.token_hex(6)}.new.tmp"
    try:
        Run.create(temporary, config)
        with storage_errors(folder):
            os.rename(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _remove_leftovers(folder: Path) -> None:
    """Removes what a killed process was making; nobody else makes anything while the sweep is locked."""
    for path in folder.iterdir():
        if _LEFTOVER.fullmatch(path.name):
            shutil.rmtree(path, ignore_errors=True)
