"""How results are printed: tables for people, JSON for programs."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from continual.making.session import Making

format_option = click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="A table for people or JSON for programs.",
)

_WIDE = 240


def runs_dir_option(help: str) -> Callable[[Any], Any]:
    """The option `--runs-dir`: where a command makes its folder."""
    return click.option(
        "--runs-dir", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help=help
    )


def plugin_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """The option `--plugin`: modules of the user's own that are imported before the command looks names up."""

    def load(context: click.Context, option: click.Parameter, given: tuple[str, ...]) -> None:
        if given:
            from continual.plugins import load_plugins

            load_plugins(list(given))

    help = "A module or Python file that registers parts of your own, for what no run names; may be repeated."
    return click.option(
        "--plugin", metavar="MODULE|FILE", multiple=True, expose_value=False, is_eager=True, callback=load, help=help
    )(command)


def carry_out(making: "Making") -> dict[str, Any]:
    """Makes a model, or finds it made, and gives its summary with its folder.

    Raises:
        Interrupted: The user asked to stop; the message says how to go on.
    """
    from rich.console import Console

    from continual.errors import Interrupted
    from continual.progress import Progress

    try:
        making.execute(Progress(Console(stderr=True, highlight=False)))
    except (Interrupted, KeyboardInterrupt):
        raise Interrupted(
            "Stopped as you asked; everything learned so far is on disk. Run the same command again to go on."
        ) from None
    return making.summary() | {"folder": str(making.folder)}


def show(form: str, value: Any, table: Callable[[], None]) -> None:
    """Prints `value` as JSON, or calls `table`, as the user chose."""
    if form == "json":
        from continual.files import finite

        click.echo(json.dumps(finite(value), indent=2, ensure_ascii=False))
    else:
        table()


def print_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    title: str | None = None,
    numbers: Sequence[str] = (),
) -> None:
    """A table on standard output; columns in `numbers` are flush right."""
    import os

    from rich.align import Align
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(header_style="bold", box=None, pad_edge=False)
    for column in columns:
        side = "right" if column in numbers else "left"
        # A name of two words stands above the numbers as a whole: at the top, its first word would be another's.
        table.add_column(Align(Text(column), side, vertical="bottom"), justify=side, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell_text(cell)) for cell in row))
    console = Console()
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console = Console(width=_WIDE)  # a file has no width at which cells have to be broken
    if title is not None:  # as a line of its own: as the table's title it would be broken at the width of the table
        console.print(Text(title, style="italic"), soft_wrap=True)
    console.print(table)


def cell_text(value: Any) -> str:
    """How a value looks in a table."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.3f}"
    return str(value)


def pick(records: Sequence[Mapping[str, Any]], *names: str) -> list[list[Any]]:
    """The named values of each record, for `print_table`."""
    return [[record.get(name) for name in names] for record in records]
