"""`continual sweep`: a grid of runs."""

import contextlib
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from continual.cli.compare import print_comparison, reference_option
from continual.cli.output import format_option, runs_dir_option, show
from continual.sweep.outcome import Outcome, Watch

if TYPE_CHECKING:
    from continual.errors import UserError
    from continual.evaluation.compare import Comparison
    from continual.sweep import Backend, Sweep


@click.command()
@click.argument("name")
@click.argument("overrides", nargs=-1)
@runs_dir_option("Where the folder of the sweep is made.")
@click.option("--name", "sweep_name", help="Name of the sweep's folder; made from what varies if not given.")
@click.option(
    "--backend",
    "place",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Where cells run: on this machine, or on a Ray cluster.",
)
@click.option("--jobs", type=int, help="Cells at a time; 1 on this machine, and on Ray as many as there is room for.")
@click.option("--ray-address", help="The Ray cluster; the one of RAY_ADDRESS, or one on this machine, if not given.")
@click.option(
    "--for",
    "own",
    nargs=2,
    multiple=True,
    metavar="METHOD KEY=VALUE",
    help="A setting for the cells of one method alone; may be given again.",
)
@reference_option
@format_option
def sweep(
    name: str,
    overrides: tuple[str, ...],
    runs_dir: Path,
    sweep_name: str | None,
    place: str,
    jobs: int | None,
    ray_address: str | None,
    own: tuple[tuple[str, str], ...],
    reference: str | None,
    form: str,
) -> None:
    """Runs a grid: NAME as for `run`, and settings with several values each, as key=a,b,c.

    For instance: continual sweep quickstart method=scratch,panda seed=0,1,2 --jobs 2

    Called again, it runs only what is not finished; with further values it adds cells. Each cell is an ordinary run
    folder in the sweep's folder.
    """
    from continual.sweep import Sweep

    backend = _backend(place, jobs, ray_address)
    special: dict[str, list[str]] = {}
    for method, override in own:
        if override.startswith("-"):  # as where the setting was forgotten: click takes the next word, whatever it is
            raise click.UsageError(f"--for {method} goes with a setting, as --for {method} KEY=VALUE.")
        special.setdefault(method, []).append(override)
    folder = runs_dir / (sweep_name or _name_of(name, overrides, special))
    planned = Sweep.plan(folder, name, overrides, backend.threads, reference, special)
    known = sum(planned.is_finished(cell) for cell in planned.chosen)
    with _shown(planned.folder) as watch:
        count = f"{len(planned.chosen)} cell{'' if len(planned.chosen) == 1 else 's'}"
        watch.console.print(f"{planned.folder}: {count}, {known} finished before", markup=False)
        if len(planned.cells) == 1:
            watch.console.print("note: no setting has several values; write them as method=scratch,panda seed=0,1,2")
        outcomes = planned.run(backend, watch)
    _conclude(planned, outcomes, reference, form)


class ShownWatch(Watch):
    """One line for each cell on standard error, and on a terminal a bar over all.

    Args:
        folder: The sweep's.
    """

    def __init__(self, folder: Path) -> None:
        from rich.console import Console

        self.console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._folder = folder
        self._parts: dict[str, float] = {}
        self.bars: Any = None
        self._bar: Any = None

    def begun(self, cells: Sequence[str]) -> None:
        """See `Watch.begun`."""
        self._parts = dict.fromkeys(cells, 0.0)
        if self.bars is not None:
            self._bar = self.bars.add_task("cells", total=len(cells))

    def learned(self, cell: str, done: int, tasks: int) -> None:
        """See `Watch.learned`."""
        self._moved(cell, done / max(tasks, 1))

    def ended(self, outcome: Outcome) -> None:
        """See `Watch.ended`."""
        self._moved(outcome.cell, 1.0)
        self.console.print(f"{outcome.cell}: {self._told(outcome)}", markup=False)

    def stopping(self) -> None:
        """See `Watch.stopping`."""
        self.console.print("stopping after this step; once more to stop at once")

    def _moved(self, cell: str, part: float) -> None:
        self._parts[cell] = part
        if self.bars is not None:
            self.bars.update(self._bar, completed=sum(self._parts.values()))

    def _told(self, outcome: Outcome) -> str:
        from continual.evaluation.figures.numbers import duration, printed

        if outcome.status == "failed":
            return f"failed: {outcome.sentence}"
        if outcome.status != "finished":
            return _WORDS[outcome.status]
        from continual.evaluation.summary import load_summary

        summary = load_summary(self._folder / outcome.cell)
        scores = [("average", summary.aware), ("routed", summary.routed)]
        known = [(word, it.average) for word, it in scores if it is not None and it.average is not None]
        parts = [f"{word} {printed(summary.metric, value)}" for word, value in known]
        return f"{', '.join(parts)}, in {duration(outcome.seconds)}"


_WORDS = {"busy": "another process works on it", "stopped": "stopped", "known": "finished before"}


@contextlib.contextmanager
def _shown(folder: Path) -> Iterator[ShownWatch]:
    watch = ShownWatch(folder)
    if not watch.console.is_terminal:
        yield watch
        return
    from rich import progress as bar

    columns = [bar.TextColumn("{task.description}"), bar.BarColumn(), bar.TaskProgressColumn(), bar.TimeElapsedColumn()]
    with bar.Progress(*columns, console=watch.console, transient=True) as bars:
        watch.bars = bars
        yield watch


def _backend(place: str, jobs: int | None, address: str | None) -> "Backend":
    from continual.sweep import LocalBackend, RayBackend

    if place == "ray":
        return RayBackend(address, jobs)
    if address is not None:
        raise click.UsageError("--ray-address goes with --backend ray.")
    return LocalBackend(1 if jobs is None else jobs)


def _name_of(name: str, overrides: Sequence[str], own: Mapping[str, Sequence[str]]) -> str:
    """`EXPERIMENT-KEY-KEY` after the settings that vary."""
    from continual.sweep.grid import parse_axes

    axes = [axis for items in (overrides, *own.values()) for axis in parse_axes(items)]
    varied = dict.fromkeys(axis.key.lstrip("+").rsplit(".", 1)[-1] for axis in axes if len(axis.values) > 1)
    return "-".join([Path(name).stem, *(varied or ["sweep"])])


def _conclude(planned: "Sweep", outcomes: Sequence[Outcome], reference: str | None, form: str) -> None:
    """Prints the results, then what has to be put right."""
    from continual.errors import Interrupted

    done = any(planned.is_finished(cell) for cell in planned.cells)
    comparison, refused = _compared(planned, reference) if done else (None, None)
    by_name = {outcome.cell: outcome for outcome in outcomes}
    cells = [
        {**vars(by_name[cell.name]), "settings": dict(cell.settings), "run": str(planned.folder / cell.name)}
        for cell in planned.chosen
    ]
    value = {"sweep": str(planned.folder), "cells": cells, "comparison": comparison and comparison.to_dict()}
    show(form, value, lambda: print_comparison(comparison) if comparison is not None else None)
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    busy = [outcome.cell for outcome in outcomes if outcome.status == "busy"]
    if refused is not None:
        click.echo(f"error: {refused}", err=True)
    if busy:
        click.echo(f"note: Another process works on {', '.join(busy)}; run this again when it is done.", err=True)
    for outcome in failed:
        click.echo(f"failed: {outcome.cell}: {outcome.sentence}", err=True)
    if any(outcome.status == "stopped" for outcome in outcomes):
        again = shlex.join(["continual", *sys.argv[1:]])
        raise Interrupted(f"Stopped as you asked; everything finished so far is on disk. Go on with: {again}")
    if failed or refused is not None:
        raise SystemExit(2)


def _compared(planned: "Sweep", reference: str | None) -> "tuple[Comparison, UserError | None]":
    """The comparison, between all pairs where the reference is not to be had, and why it is not."""
    from continual.errors import ConfigError

    try:
        return planned.compare(reference), None
    except ConfigError as error:
        # What has been measured must be seen, and whoever has stopped the sweep must hear how to go on.
        return planned.compare(), error
