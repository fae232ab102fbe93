"""`continual distil`: makes a student that learns from teachers, or says where it is."""

from pathlib import Path
from typing import Any

import click

from continual.cli.output import carry_out, cell_text, format_option, pick, print_table, runs_dir_option, show


@click.command()
@click.argument("name")
@click.argument("overrides", nargs=-1)
@runs_dir_option("Where the student's folder is made.")
@click.option("--name", "folder_name", help="Name of the student's folder; made from the settings if not given.")
@format_option
def distil(name: str, overrides: tuple[str, ...], runs_dir: Path, folder_name: str | None, form: str) -> None:
    """Trains a student, with teachers or without: NAME is a file of configs/distil or a YAML file.

    The same command continues what was stopped or killed. Settings follow as key=value, for instance:
    continual distil ckd student=FOLDER teachers=[FOLDER,FOLDER] stream=mt6 task=opus_koran
    """
    from continual.students.session import Student, compose

    student = Student(compose(name, overrides), runs_dir, folder_name)
    summary = carry_out(student)
    show(form, summary, lambda: _print(summary, student.config.recipe.columns, student.folder))


def _print(summary: dict[str, Any], columns: tuple[str, ...], folder: Path) -> None:
    click.echo(f"{summary['name']}: {summary['student']} on {summary['task']}")
    numbers = [name for name in columns if any(isinstance(row.get(name), float) for row in summary["scores"])]
    print_table(columns, pick(summary["scores"], *columns), numbers=numbers)
    for name, value in summary.items():
        if isinstance(value, float):
            click.echo(f"{name.replace('_', ' ')}: {cell_text(value)}")
    click.echo(f"student: {folder}")
