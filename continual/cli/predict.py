"""`continual predict`: labels or translates texts by what a run or pool has learned."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from continual.cli.given import Given, read_given, say
from continual.cli.output import format_option, plugin_option, print_table, show
from continual.errors import LearningError, PoolError

if TYPE_CHECKING:
    from continual.learner import Learner


@click.command()
@click.argument("path", metavar="RUN_OR_POOL", type=click.Path(path_type=Path))
@click.argument("texts", nargs=-1)
@click.option("--task", help="The task the texts belong to; without it every text finds its own prompt.")
@click.option(
    "--file",
    "source",
    type=click.File("rb"),
    help="One text a line, or a table by its ending (.csv, .tsv, .jsonl, .parquet); - for lines of standard input.",
)
@click.option("--text-column", help="The column of the texts where FILE is a table; `text` if not given.")
@click.option("--pair-column", help="The column of their second texts, for tasks on pairs.")
@click.option("--encoding", default="utf-8", show_default=True, help="Characters of FILE; auto finds windows-1252.")
@click.option(
    "--int8", is_flag=True, help="Compute in int8: faster on a CPU and less exact; try it on labelled texts first."
)
@click.option(
    "--backbone",
    "backbone",
    metavar="FOLDER|NAME|KEY=VALUE",
    multiple=True,
    help="Where the backbone is now, or how it is opened, if not as the run or pool says; may be repeated.",
)
@click.option("--pair", "pairs", multiple=True, help="Second text, once for each text, for tasks on pairs.")
@plugin_option
@format_option
def predict(
    path: Path,
    texts: tuple[str, ...],
    task: str | None,
    source: Any,
    text_column: str | None,
    pair_column: str | None,
    encoding: str,
    int8: bool,
    backbone: tuple[str, ...],
    pairs: tuple[str, ...],
    form: str,
) -> None:
    """Labels or translates texts with the prompts of a run or a pool, given one by one or in a file.

    Labels come with the prompt that was used. Translations come one a line, each for the line that it translates, so
    that `--file in.txt > out.txt` keeps the lines together; an empty line stays one. `--format json` tells the rest.
    """
    from continual.backbone_settings import backbone_settings
    from continual.deployment import open_learner

    if (text_column or pair_column) and source is None:
        raise click.UsageError("--text-column and --pair-column are of a table; give one with --file FILE.")
    read = Given([]) if source is None else read_given(source, text_column, pair_column, encoding)
    say(read.notes)
    given, pairs = [*texts, *read.texts], (*pairs, *(read.pairs or ()))
    if not given and source is None:
        raise click.UsageError("Give texts as arguments, or one a line with --file FILE.")
    learner = open_learner(path, int8, backbone_settings(backbone))
    if not given:  # an empty file
        show(form, [], lambda: None)
        return
    kinds = learner.directory.kinds(task)
    if len(kinds) > 1:
        raise PoolError(f"{path} holds prompts that {' and '.join(sorted(kinds))} need; tell which by --task NAME.")
    if "translation" in kinds:
        _translate(learner, given, list(pairs), task, form)
        return
    predictions = learner.predict(given, list(pairs) or None, task)
    rows = [{"text": text} | asdict(item) for text, item in zip(given, predictions, strict=True)]

    def table() -> None:
        shown = [
            [
                _clip(row["text"]),
                row["label"],
                row["confidence"],
                row["prompt"],
                "yes" if row["known"] else "NO",
            ]
            for row in rows
        ]
        print_table(["text", "label", "confidence", "prompt", "known task"], shown, numbers=["confidence"])

    show(form, rows, table)


def _translate(learner: "Learner", texts: list[str], pairs: list[str], task: str | None, form: str) -> None:
    """Shows one line for each text, whatever the translation holds."""
    if pairs:
        raise LearningError("Translations are of single texts; leave --pair and --pair-column out.")
    translations = learner.translate(texts, task)
    rows = [
        {"source": text, "translation": item.text} | {k: v for k, v in asdict(item).items() if k != "text"}
        for text, item in zip(texts, translations, strict=True)
    ]
    show(form, rows, lambda: click.echo("\n".join(" ".join(item.text.split()) for item in translations)))


def _clip(text: str, limit: int = 60) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= limit else f"{plain[: limit - 1]}…"
