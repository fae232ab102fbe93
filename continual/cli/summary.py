"""What a run has measured, for the terminal."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from continual.cli.output import pick, print_table

_OWN_COLUMNS = ("task", "metric", "score", "routed_score")


def print_summary(summary: dict[str, Any], folder: Path) -> None:
    """Prints a summary, and where the rest of it is."""
    from continual.evaluation.figures.numbers import printed, unit_of
    from continual.evaluation.kinds import second_of

    metric = summary["metric"]
    size = len(summary["per_task"])
    aware = summary["aware"]["matrix"][size] if size else []
    routed = summary["routed"]["matrix"][size] if size else []
    second = second_of(metric)
    beside = summary["aware"][f"{second}_matrix"][size] if size else []
    rows = [
        {
            "task": item["task"],
            "aware": printed(metric, aware[place]),
            "routed": printed(metric, routed[place]),
            second: printed(second, beside[place]),
            "sources": ", ".join(map(_source_text, item["sources"])) or "–",
            "seconds": f"{item['seconds']:.1f}",
        }
        for place, item in enumerate(summary["per_task"])
    ]
    head = f"{summary['stream']}, {summary['method']}, seed {summary['seed']}"
    columns = ("task", "aware", "routed", second, "sources", "seconds")
    title = f"{head}: {unit_of(metric).name} after the last task"
    print_table(columns, pick(rows, *columns), title, numbers=("aware", "routed", second, "seconds"))
    measures = ("average", "learning", "anytime", "forgetting", "bwt", "fwt", second)
    scores = [
        [kind, *(printed(second if name == second else metric, summary[kind][name]) for name in measures)]
        for kind in ("aware", "routed")
    ]
    print_table(["", *measures], scores, numbers=measures)
    _print_own_metrics(summary)
    _print_growth(summary)
    _print_totals(summary, folder)


def _source_text(source: Mapping[str, Any]) -> str:
    score = source["score"]
    return source["prompt"] if score is None else f"{source['prompt']} ({score:.2f})"


def _print_own_metrics(summary: dict[str, Any]) -> None:
    """What tasks score by a metric of their own, for streams that have such tasks."""
    rows = [[item[key] for key in _OWN_COLUMNS] for item in summary["per_task"]]
    if any(row[1] not in (None, summary["metric"]) for row in rows):
        mean = ["mean", "", summary["aware"]["own_metric"], summary["routed"]["own_metric"]]
        print_table(["task", "metric", "aware", "routed"], [*rows, mean], "by their own metric", ("aware", "routed"))


def _print_growth(summary: dict[str, Any]) -> None:
    """After which tasks it was asked whether the backbone must grow, and what was found."""
    rows = [[item["task"], _sizes(item), item["reason"], f"{item['seconds']:.1f}"] for item in summary["growth"]]
    if rows:
        print_table(["after", "backbone", "why", "seconds"], rows, "growth of the backbone", numbers=("seconds",))


def _sizes(item: dict[str, Any]) -> str:
    if item["to"] is None:
        return "as it was"
    changed = [name for name in item["to"] if item["to"][name] != item["from"][name]]
    return ", ".join(f"{name} {item['from'][name]} to {item['to'][name]}" for name in changed)


def _print_totals(summary: dict[str, Any], folder: Path) -> None:
    routing = summary["routed"]["routing_accuracy"]
    total = summary["seconds"]["total"]
    if routing is not None:
        click.echo(f"texts sent to a prompt of their own task: {routing:.1%}; time: {total:.0f} s")
    speed = summary["tokens_per_second"]
    if speed["generate"] is not None:
        learned = "" if speed["train"] is None else f"{speed['train']:.0f} learned from, "
        click.echo(f"tokens in a second: {learned}{speed['generate']:.0f} written; {summary['signatures']['bleu']}")
    for note in summary["notes"]:
        click.echo(f"note: {note}", err=True)
    if not summary["finished"]:
        click.echo(f"This run is not finished; continue with: continual resume {folder}")
    click.echo(f"report: {folder / 'report.html'}")
    click.echo(f"run:    {folder}")
