"""`continual grid`: transfers every source to every target and compares the transferability metrics."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from continual.cli.output import format_option, print_table, runs_dir_option, show

if TYPE_CHECKING:
    from continual.grid.findings import Findings
    from continual.grid.records import Measured


def _names(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (value or "").split(",") if part.strip())


def _numbers(context: click.Context, parameter: click.Parameter, value: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in value.split(","))
    except ValueError:
        raise click.BadParameter(f"{value!r} is no list of whole numbers; write it as 0,1,2.") from None


@click.command()
@click.argument("stream")
@click.argument("overrides", nargs=-1)
@click.option(
    "--sources", callback=_names, help="Tasks to transfer from, as A,B,C; all tasks of the stream if not given."
)
@click.option(
    "--targets", callback=_names, help="Tasks to transfer to, as A,B,C; all tasks of the stream if not given."
)
@click.option(
    "--examples", type=int, default=200, show_default=True, help="Largest number of training texts of a task; 0: all."
)
@click.option("--seeds", callback=_numbers, default="0", show_default=True, help="Repetitions, as 0,1,2.")
@runs_dir_option("Where the grid's folder is made.")
@click.option("--name", help="Name of the grid's folder; grid-STREAM if not given.")
@format_option
def grid(
    stream: str,
    overrides: tuple[str, ...],
    sources: tuple[str, ...],
    targets: tuple[str, ...],
    examples: int,
    seeds: tuple[int, ...],
    runs_dir: Path,
    name: str | None,
    form: str,
) -> None:
    """Transfers sources to targets and tells which metric foresees who helps: STREAM is as for `continual run`.

    Every source is learned from scratch by plain prompt tuning, transferred to every target, and distilled into a fresh
    prompt (PANDA). The same command continues a grid that was stopped, or adds tasks and seeds to it.

    Settings follow as key=value, for instance: continual grid simulated tuning=late --targets kitchen,office
    """
    from rich.console import Console

    from continual.errors import Interrupted
    from continual.evaluation.typed import to_json
    from continual.grid.grid import Grid
    from continual.grid.plan import plan_grid
    from continual.progress import Progress

    plan = plan_grid(stream, overrides, sources, targets, seeds, examples or None)
    folder = runs_dir / (name or f"grid-{Path(stream).stem}")
    opened = Grid(folder, plan)
    try:
        opened.run(Progress(Console(stderr=True, highlight=False)))
    except (Interrupted, KeyboardInterrupt):
        raise Interrupted(
            "Stopped as you asked; every finished cell is on disk. Run the same command again to go on."
        ) from None
    measured, found = opened.measured, opened.findings()
    value: dict[str, Any] = to_json(measured) | {"findings": to_json(found)}
    show(form, value, lambda: _print(measured, found, folder))


def _print(measured: "Measured", found: "Findings", folder: Path) -> None:
    _print_transfers(measured, found)
    _print_foresight(measured, found)
    rows = [
        [claim, *("not decided" if answer is None else "yes" if answer else "no" for answer in answers)]
        for claim, *answers in zip(
            found.orderings["dev"].holds, *(one.holds.values() for one in found.orderings.values()), strict=True
        )
    ]
    print_table(["PANDA's orderings, over all sources and targets", *found.orderings], rows)
    click.echo(measured.distillation())
    click.echo(f"page:   {folder / 'grid.html'}")
    click.echo(f"record: {folder / 'grid.json'}")


def _print_transfers(measured: "Measured", found: "Findings") -> None:
    """For each target its own prompt, and the means and extremes over the sources."""
    rows = []
    for column, target in enumerate(measured.targets):
        values = {
            name: [row[column] for row in table if row[column] is not None] for name, table in found.tables.items()
        }
        own = found.scratch[target]
        cells = [_range(values[name]) for name in ("transfer_first", "transfer_dev", "panda_dev", "panda_test")]
        rows.append([target, own["first"], own["dev"], own["test"], *cells])
    columns = ["target", "first", "dev", "test", "transfer, first", "transfer, dev", "PANDA, dev", "PANDA, test"]
    title = f"{measured.stream}: accuracy of the target's own prompt, and over the sources: mean (lowest to highest)"
    print_table(columns, rows, title, numbers=columns[1:])


def _print_foresight(measured: "Measured", found: "Findings") -> None:
    rows = [
        [name, *(one.targets[target] for target in measured.targets), one.mean] for name, one in found.spearman.items()
    ]
    columns = ["metric", *measured.targets, "mean"]
    title = "Spearman's correlation of predicted transferability with accuracy after the first epoch, over the sources"
    print_table(columns, rows, title, numbers=columns[1:])


def _range(values: list[float]) -> str:
    return f"{sum(values) / len(values):.3f} ({min(values):.3f} to {max(values):.3f})" if values else "–"
