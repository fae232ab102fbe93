"""The report of a run: one HTML file that needs nothing else, neither network nor fonts nor other files."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

from continual.evaluation.figures import curves, headline, heatmap, palette, sources, tables
from continual.evaluation.figures.numbers import unit_of
from continual.evaluation.kinds import second_of
from continual.evaluation.summary import Summary

_TEMPLATES = Path(__file__).parent / "templates"

# Characters that HTML cannot hold, and halves of surrogate pairs, which UTF-8 cannot.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def render_report(summary: Mapping[str, Any], config: Mapping[str, Any], folder: Path | None = None) -> str:
    """Draws the report of a run, finished or not.

    Args:
        summary: The JSON object of `summary.json`.
        config: The resolved config of the run, nested mappings of plain values.
        folder: The run's folder as commands are to name it; None where that is not known.

    Returns:
        A complete HTML document. Every text of the run is escaped, and the document forbids itself to load
        anything.

    Raises:
        ValueError: `summary` does not fit the schema; the message names the place.
    """
    run = Summary.from_dict(printable(summary))
    place = printable(str(folder or run.run))
    return render_template("report.html.j2", **_scores(run), **_details(run, printable(config)), folder=place)


def render_template(template: str, **values: Any) -> str:
    """Fills a template of this program with values and its colours; every text is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    colours = {
        "steps": range(palette.STEPS),
        "light": palette.style_variables(dark=False),
        "dark": palette.style_variables(dark=True),
    }
    return environment.get_template(template).render(**values, **colours)


def _scores(run: Summary) -> dict[str, Any]:
    """What the template shows of the results."""
    unit = unit_of(run.metric)
    matrices = {"aware": run.aware.matrix}
    if run.routed is not None and any(value is not None for row in run.routed.matrix for value in row):
        matrices["routed"] = run.routed.matrix
    confusion = run.routed.confusion if run.routed is not None else None
    return {
        "run": run,
        "learned": curves.last_row(run.aware.matrix),
        "unit": unit,
        "lead": headline.lead(run),
        "tiles": headline.tiles(run),
        "metrics": headline.metric_rows(run),
        "maps": _maps(run),
        "average": curves.average_chart(matrices, run.tasks, unit),
        "panels": curves.task_panels(matrices, run.tasks, unit),
        "has_routed": "routed" in matrices,
        "routing": heatmap.routing_map(confusion) if confusion is not None and confusion.prompts else None,
    }


def _details(run: Summary, config: Mapping[str, Any]) -> dict[str, Any]:
    """What the template shows of how the results came about."""
    return {
        "graph": sources.source_graph(run.per_task),
        "row_height": sources.ROW,
        "tasks": tables.task_rows(run),
        "second": unit_of(second_of(run.metric)).name,
        "samples": [record for record in run.per_task if record.samples],
        "own_scores": tables.own_scores(run),
        "growth": tables.growth_rows(run),
        "training": curves.training_panels(run.per_task, unit_of("accuracy")),
        "roles": {curves.role(stage.name) for record in run.per_task for stage in record.stages if stage.curve},
        "resources": headline.resources(run),
        "bars": tables.time_bars(run),
        "config": tables.config_rows(config),
    }


def _maps(run: Summary) -> list[heatmap.HeatMap]:
    """The matrices of scores that have any value, those of one metric on one scale of colours."""
    second = second_of(run.metric)
    unit, beside = unit_of(run.metric), unit_of(second)
    sides = [("Task told", run.aware), ("Task not told", run.routed)]
    offered = [(f"{title}, {unit.name}", side and side.matrix, unit) for title, side in sides]
    offered += [
        (f"{title}, {beside.name}", side and getattr(side, f"{second}_matrix"), beside) for title, side in sides
    ]
    filled = [it for it in offered if it[1] and any(value is not None for row in it[1] for value in row)]
    limits = {unit.name: heatmap.domain([it[1] for it in filled if it[2].name == unit.name]) for unit in (unit, beside)}
    return [heatmap.score_map(title, run.tasks, matrix, it, limits[it.name]) for title, matrix, it in filled]


def printable(value: Any) -> Any:
    """A copy of a JSON value whose texts hold only characters that an HTML file can."""
    if isinstance(value, Mapping):
        return {printable(str(key)): printable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [printable(item) for item in value]
    return _UNPRINTABLE.sub("\ufffd", value) if isinstance(value, str) else value
