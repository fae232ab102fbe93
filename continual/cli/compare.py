"""`continual compare`: several runs or sweeps side by side."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from continual.cli.output import print_table, show

if TYPE_CHECKING:
    from continual.evaluation.compare import Comparison

_COMPARED = (
    "n",
    "average",
    "routed_average",
    "forgetting",
    "routed_forgetting",
    "bwt",
    "fwt",
    "intransigence",
    "macro_f1",
    "chrf",
    "own_metric",
    "routed_own_metric",
    "trainable_parameters_per_task",
    "total_seconds",
    "cpu_seconds",
)
_HEADS = {
    "routed_average": "routed average",
    "routed_forgetting": "routed forgetting",
    "own_metric": "own metric",
    "routed_own_metric": "routed own metric",
    "trainable_parameters_per_task": "parameters",
    "total_seconds": "seconds",
    "cpu_seconds": "processor seconds",
}
_MARKDOWN = (
    "n",
    *("average", "routed_average", "forgetting", "routed_forgetting", "bwt", "routed_bwt", "fwt", "routed_fwt"),
    "intransigence",
    *("macro_f1", "routed_macro_f1", "chrf", "routed_chrf", "own_metric", "routed_own_metric"),
    *("trainable_parameters_per_task", "train_seconds", "total_seconds", "cpu_seconds"),
)
_TESTED = (
    *("first", "second", "difference", "p_sign_flip", "p_t", "p_tasks"),
    *("routed_difference", "routed_p_sign_flip", "routed_p_t", "routed_p_tasks"),
)

reference_option = click.option(
    "--reference",
    metavar="GROUP",
    help="Test every group against this one only: a method, or key=value; several are joined by commas.",
)


@click.command()
@click.argument("folders", metavar="RUN_OR_SWEEP...", nargs=-1, required=True, type=click.Path(path_type=Path))
@reference_option
@click.option(
    "--figure",
    type=click.Path(path_type=Path),
    help="Draw accuracy against trained parameters and against seconds: a file that ends in .svg, .png or .html.",
)
@click.option("--each-run", is_flag=True, help="One row for each run instead of means; JSON has both.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "markdown", "csv"]),
    default="table",
    show_default=True,
    help="How to print.",
)
def compare(folders: tuple[Path, ...], reference: str | None, figure: Path | None, each_run: bool, form: str) -> None:
    """Compares runs: means over seeds with 95 % intervals, and paired tests between their settings.

    Runs that differ in nothing but their seeds are one group. A sweep stands for all of its runs.
    """
    from continual.evaluation.compare import compare as compared
    from continual.evaluation.groups import load_measured
    from continual.sweep.missing import missing_cells
    from continual.sweep.record import runs_in

    if each_run and form == "json":
        raise click.UsageError('--each-run chooses rows of a table; --format json has each run as well, under "runs".')
    # A sweep and one of its runs are not two measurements.
    paths = {run.resolve(): run for folder in folders for run in runs_in(folder)}
    missing = [note for folder in folders for note in missing_cells(folder)]
    result = compared([load_measured(run) for run in paths.values()], reference, missing)
    if figure is not None:
        from continual.evaluation.comparison_page import draw

        draw(result, figure)
    if form == "markdown":
        _print_markdown(result, each_run)
    elif form == "csv":
        _print_csv(result, each_run, reference is not None)
    else:
        value = result.to_dict() | {"figure": None if figure is None else str(figure)}
        show(form, value, lambda: print_comparison(result, figure, each_run))


def print_comparison(result: "Comparison", figure: Path | None = None, each_run: bool = False) -> None:
    """Means and tests, or each run, on standard output, notes on standard error."""
    if each_run:
        _print_runs(result)
    elif result.groups:
        _print_means(result)
        _print_tests(result)
    for note in result.notes:
        click.echo(f"note: {note}", err=True)
    if figure is not None:
        click.echo(f"figure: {figure}")


def _print_means(result: "Comparison") -> None:
    from continual.evaluation.compare import worth_showing
    from continual.evaluation.formats import cell_text, flat_rows, for_people

    rows = flat_rows(for_people(result.groups))
    measures = worth_showing([*_COMPARED, *result.extra], rows)
    columns = [*_telling(result, rows), *measures]
    cells = [[cell_text(row, key) for key in columns] for row in rows]
    streams = ", ".join(sorted({row["stream"] for row in rows}))
    heads = [_HEADS.get(name, name) for name in columns]
    title = f"{streams}: means over seeds, ± 95 % interval"
    print_table(heads, cells, title, numbers=[_HEADS.get(name, name) for name in measures])


def _print_runs(result: "Comparison") -> None:
    from continual.evaluation.compare import worth_showing
    from continual.evaluation.formats import cell_text, flat_rows, for_people

    rows = flat_rows(for_people(result.runs))
    measures = worth_showing([name for name in (*_COMPARED, *result.extra) if name != "n"], rows)
    cells = [[cell_text(row, key) for key in ("run", "seed", *measures)] for row in rows]
    heads = [_HEADS.get(name, name) for name in measures]
    print_table(["run", "seed", *heads], cells, "each run", numbers=["seed", *heads])


def _print_tests(result: "Comparison") -> None:
    """Differences and their p values, groups by their short names."""
    from continual.evaluation.formats import cell_text, for_people

    if not result.tests:
        return
    names = {row["label"]: row["name"] for row in result.groups}
    tests = for_people(result.tests, _metrics(result))
    rows = [{**test, "first": names[test["first"]], "second": names[test["second"]]} for test in tests]
    columns = ("first", "second", "difference", "p_sign_flip", "p_tasks", "routed_difference", "routed_p_sign_flip")
    heads = ("", "minus", "difference", "p over seeds", "p over tasks", "routed difference", "routed p over seeds")
    cells = [[cell_text(row, key, 4 if "difference" in key else 3) for key in columns] for row in rows]
    counts = sorted({len(row["seeds"]) for row in rows})
    seeds = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    print_table(heads, cells, f"paired by seed ({seeds} shared), exact sign-flip tests", numbers=heads[2:])


def _metrics(result: "Comparison") -> dict[str, str]:
    return {row["label"]: row["metric"] for row in result.groups}


def _telling(result: "Comparison", rows: Sequence[dict[str, Any]]) -> list[str]:
    """The columns that tell the groups apart."""
    from continual.evaluation.groups import KEYS

    differing = [key for key in KEYS if len({row[key] for row in rows}) > 1]
    known = {*(name for row in result.groups for name in row)}
    settings = [name for name in dict.fromkeys(name for row in rows for name in row) if name not in known]
    return [*differing, *settings] or ["method"]


def _print_markdown(result: "Comparison", each_run: bool) -> None:
    from continual.evaluation.compare import worth_showing
    from continual.evaluation.formats import flat_rows, for_people, to_markdown

    if each_run:
        click.echo(to_markdown(for_people(result.runs)))
    else:
        columns = [
            *_telling(result, flat_rows(result.groups)),
            *worth_showing([*_MARKDOWN, *result.extra], result.groups),
        ]
        click.echo(to_markdown(for_people(result.groups), columns))
        if result.tests:
            click.echo(to_markdown(for_people(result.tests, _metrics(result)), _TESTED, digits=4))
    for note in result.notes:
        click.echo(f"note: {note}", err=True)


def _print_csv(result: "Comparison", each_run: bool, against_one: bool) -> None:
    """One row for each run, or for each group with the test against the reference behind its means."""
    from continual.evaluation.formats import to_csv

    rows = result.runs
    if not each_run:
        tests = {test["first"]: test for test in result.tests} if against_one else {}
        rows = [row | _test_columns(tests.get(row["label"], {})) for row in result.groups]
    click.echo(to_csv(rows), nl=False)
    for note in result.notes:
        click.echo(f"note: {note}", err=True)


def _test_columns(test: dict[str, Any]) -> dict[str, Any]:
    renamed = {"second": "reference", "seeds": "shared_seeds", "tasks": "shared_tasks"}
    return {renamed.get(name, name): value for name, value in test.items() if name != "first"}
