"""How results are printed: tables for people, JSON for programs."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

format_option = click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="A table for people or JSON for programs.",
)


_WIDE = 240


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

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell_text(cell)) for cell in row))
    console = Console()
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console = Console(width=_WIDE)  # a file has no width at which cells have to be broken
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
