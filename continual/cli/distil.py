"""`continual distil`: makes a student that learns from teachers, or says where it is."""

from pathlib import Path
from typing import Any

import click

from continual.cli.output import cell_text, format_option, pick, print_table, show


@click.command()
@click.argument("name")
@click.argument("overrides", nargs=-1)
@click.option(
    "--runs-dir",
    type=click.Path(path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="Where the student's folder is made.",
)
@click.option("--name", "folder_name", help="Name of the student's folder; made from the settings if not given.")
@format_option
def distil(name: str, overrides: tuple[str, ...], runs_dir: Path, folder_name: str | None, form: str) -> None:
    """Trains a student, with teachers or without: NAME is a file of configs/distil or a YAML file.

    The same command continues what was stopped or killed. Settings follow as key=value, for instance:
    continual distil ckd student=FOLDER teachers=[FOLDER,FOLDER] stream=mt6 task=opus_koran
    """
    from rich.console import Console

    from continual.errors import Interrupted
    from continual.progress import Progress
    from continual.students.session import Student, compose

    student = Student(compose(name, overrides), runs_dir, folder_name)
    try:
        student.execute(Progress(Console(stderr=True, highlight=False)))
    except (Interrupted, KeyboardInterrupt):
        raise Interrupted(
            "Stopped as you asked; everything learned so far is on disk. Run the same command again to go on."
        ) from None
    summary = student.summary()
    columns = student.config.recipe.columns
    show(form, summary | {"folder": str(student.folder)}, lambda: _print(summary, columns, student.folder))


def _print(summary: dict[str, Any], columns: tuple[str, ...], folder: Path) -> None:
    click.echo(f"{summary['name']}: {summary['student']} on {summary['task']}")
    numbers = [name for name in columns if any(isinstance(row.get(name), float) for row in summary["scores"])]
    print_table(columns, pick(summary["scores"], *columns), numbers=numbers)
    for name, value in summary.items():
        if isinstance(value, float):
            click.echo(f"{name.replace('_', ' ')}: {cell_text(value)}")
    click.echo(f"student: {folder}")
