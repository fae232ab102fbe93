"""`continual validate`: what would hinder a run, before anything is learned."""

from typing import TYPE_CHECKING, Any

import click

from continual.cli.output import format_option, pick, print_table, show
from continual.errors import LearningError

if TYPE_CHECKING:
    from streams import Task


@click.command()
@click.argument("name")
@click.argument("overrides", nargs=-1)
@format_option
def validate(name: str, overrides: tuple[str, ...], form: str) -> None:
    """Checks settings and data of a run without learning anything: every task is loaded and counted.

    It also tells what was left out, repaired or cut, and names every task that cannot be learned.
    Of a stream of translations whose backbone is left open, the data alone are checked.
    """
    from continual.backbone.opening import open_backbone
    from continual.config import compose
    from continual.errors import BackboneError
    from continual.participant import check_length, check_settings, method_registry
    from continual.unread import check_read
    from continual.usable import examined
    from streams import build_stream

    config = compose(name, overrides)
    method = config.learner.method.get("name", "")
    method_registry(method)  # before the backbone is loaded, which takes a second
    check_read(method, overrides)
    backbone, refused = None, None
    try:
        backbone = open_backbone(config.backbone)
        check_settings(config.learner, backbone)
    except BackboneError as error:
        refused = error
    stream = build_stream(config.stream, config.seed)
    check_length(config.learner, len(stream))
    found = list(examined(stream, config.learner, backbone if refused is None else None))
    lacking = None if refused is not None else _only_a_writer_lacks(name, overrides, backbone, found)
    if lacking is not None:
        found = [(name, task, None) for name, task, _ in found]
    rows = [_counted(name, task, backbone) | ({"error": str(error)} if error else {}) for name, task, error in found]
    rows += [{"task": name, "skipped": reason} for name, reason in stream.skipped.items()]
    value = {"stream": stream.name, "config": config.resolved, "tasks": rows}
    show(form, value, lambda: _print_counted(rows))
    _warn_of_replaced(rows)
    if lacking is not None:
        click.echo(f"note: {lacking}", err=True)
    unusable = [error for _, _, error in found if error is not None]
    if refused is not None or len(unusable) == 1:
        raise refused or unusable[0]  # after the counts, which hold whoever is to learn from the data
    if unusable:
        raise LearningError(f"{len(unusable)} of {len(rows)} tasks cannot be learned; the first: {unusable[0]}")


def _only_a_writer_lacks(name: str, overrides: tuple[str, ...], backbone: Any, found: list[Any]) -> str | None:
    """Why translations cannot be learned, where only the default backbone, which nobody asked for, stands against it.

    Args:
        name: What is validated; an experiment or a file has chosen its backbone.
        overrides: The settings given.
        backbone: The backbone.
        found: Each task with why it cannot be learned, see `usable.examined`.
    """
    from continual.backbone.text_to_text import TextToText
    from continual.composing import names_in
    from continual.evaluation.kinds import TRANSLATION

    sections = {item.partition("=")[0].lstrip("+").partition(".")[0] for item in overrides}
    if name not in names_in("stream") or sections - {"stream", "seed"} or isinstance(backbone, TextToText):
        return None
    translations = all(task is not None and task.kind == TRANSLATION for _, task, _ in found)
    return next((str(error) for _, _, error in found if error is not None), None) if translations else None


def _warn_of_replaced(rows: list[dict[str, Any]]) -> None:
    """Tells on standard error where characters were lost, once for each file."""
    from continual.reading_notes import REPLACED

    lost = [row for row in rows if row.get("reading", {}).get(REPLACED)]
    for note in dict.fromkeys(note for row in lost for note in row["notes"] if note.startswith("Reading")):
        click.echo(f"warning: {note}", err=True)


def _counted(name: str, task: "Task | None", encoder: Any) -> dict[str, Any]:
    """What `validate` tells of a task; `dropped` only where its source has filters."""
    from continual.reading_notes import reading_counts, reading_notes

    if task is None:
        return {"task": name}
    row: dict[str, Any] = {"task": name, "labels": len(task.labels) or None}
    row |= {split: len(task.split(split)) for split in ("train", "dev", "test")}
    counts = reading_counts(task, encoder)
    own = {key: value for key, value in counts.items() if key != "task"} | counts["task"]
    return row | own | {"notes": reading_notes(task, counts)}


def _print_counted(rows: list[dict[str, Any]]) -> None:
    """The counts as a table, and below it what became of the data and what cannot be used."""
    filters = list(dict.fromkeys(name for row in rows for name in row.get("dropped", {})))
    columns = ["task", "labels", "train", "dev", "test", *(f"- {name}" for name in filters)]
    shown = [row | {f"- {name}": count for name, count in row.get("dropped", {}).items()} for row in rows]
    print_table(columns, pick(shown, *columns), numbers=columns[1:])
    for note in dict.fromkeys(note for row in rows for note in row.get("notes", [])):
        click.echo(f"note: {note}")
    for row in rows:
        for word in ("error", "skipped"):
            if word in row:
                click.echo(f"{word}: {row['task']}: {row[word]}")
