"""The commands around one run: run, resume, learn, report."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from continual.cli.output import format_option, runs_dir_option, show
from continual.cli.summary import print_summary

if TYPE_CHECKING:
    from continual.progress import Progress


@click.command()
@click.argument("name")
@click.argument("overrides", nargs=-1)
@runs_dir_option("Where run folders are made.")
@click.option("--name", "run_name", help="Name of the run's folder; made from the settings if not given.")
@format_option
def run(name: str, overrides: tuple[str, ...], runs_dir: Path, run_name: str | None, form: str) -> None:
    """Learns a stream: NAME is an experiment, a stream or a YAML file.

    Settings follow as key=value, for instance: continual run pheme method=scratch seed=1 training.epochs=4
    """
    from continual.config import compose
    from continual.run import Run
    from continual.unread import check_read

    config = compose(name, overrides)
    check_read(config.learner.method.get("name", ""), overrides)
    folder = runs_dir / (run_name or _free_name(runs_dir, Path(name).stem, config))
    _execute(lambda: Run.create(folder, config).folder, form, new=True)


@click.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
@format_option
def resume(folder: Path, form: str) -> None:
    """Continues a run that was stopped or killed; the results are those of an undisturbed run."""
    from continual.run import Run

    _execute(lambda: Run(folder).folder, form)


@click.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1)
@format_option
def learn(folder: Path, overrides: tuple[str, ...], form: str) -> None:
    """Learns tasks that were added to the stream of a run, finished or not.

    Settings of the stream say which, unless its data have new ones: continual learn runs/shop
    stream.order=[books,music,toys]. The tasks learned so far come first, as before.
    """
    from continual.extension import extend
    from continual.run import Run

    _execute(lambda: extend(Run(folder), overrides).folder, form)


@click.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
@format_option
def report(folder: Path, form: str) -> None:
    """Shows the results of a run and writes its report.html anew."""
    from continual.evaluation.report import render_report
    from continual.evaluation.summary import load_summary
    from continual.files import write_text
    from continual.run import REPORT, Run

    opened = Run(folder)
    summary = load_summary(folder).to_dict()
    write_text(folder / REPORT, render_report(summary, opened.config.resolved, folder))
    show(form, summary, lambda: print_summary(summary, folder))


def _execute(make: Callable[[], Path], form: str, new: bool = False) -> None:
    """Executes the run whose folder `make` makes or finds, alone or as one of several processes.

    Where a new one is refused before it learns anything, no folder stays behind.
    """
    from continual.errors import Interrupted, StorageError, UserError
    from continual.evaluation.summary import load_summary
    from continual.run import Run
    from continual.team import join_team

    team = join_team()
    with team.folder(make) as folder:
        try:
            Run(folder).execute(_progress(silent=not team.leads))
        except (Interrupted, KeyboardInterrupt, UserError) as error:
            if not team.leads:
                raise SystemExit(2) from None  # the leader says why
            if isinstance(error, UserError) and not isinstance(error, Interrupted):
                if new and not isinstance(error, StorageError):  # with room on the disk again, it can be resumed
                    Run(folder).discard_unbegun()
                raise
            raise Interrupted(
                f"Stopped as you asked; everything finished so far is on disk. Continue with: continual resume {folder}"
            ) from None
        if team.leads:
            summary = load_summary(folder).to_dict()
            show(form, summary, lambda: print_summary(summary, folder))


def _progress(silent: bool) -> "Progress":
    from rich.console import Console

    from continual.progress import Progress

    return Progress(None if silent else Console(stderr=True, highlight=False, soft_wrap=True))


def _free_name(runs_dir: Path, stem: str, config: Any) -> str:
    """`STREAM-METHOD-seedN`, with a number behind it where that is taken."""
    base = f"{stem}-{config.learner.method['name']}-seed{config.seed}"
    name, number = base, 2
    while (runs_dir / name).exists():
        name, number = f"{base}-{number}", number + 1
    return name
