"""`continual pretrain`: makes a model that no hub is needed for, or says where it is."""

from pathlib import Path
from typing import Any

import click

from continual.cli.output import carry_out, format_option, pick, print_table, show

_WORDS = ("domain", "way")
_NUMBERS = ("pairs", "texts", "before", "own", "loss", "perplexity", "change", "bleu")
"""What the scores of any kind of pretraining may hold."""


@click.command()
@click.argument("name")
@click.argument("overrides", nargs=-1)
@click.option(
    "--cache",
    type=click.Path(path_type=Path),
    help="Where models are kept; $CONTINUAL_CACHE/pretrained or ~/.cache/continual/pretrained if not given.",
)
@click.option("--find", is_flag=True, help="Only print the folder of the finished model; fail if it is not there.")
@format_option
def pretrain(name: str, overrides: tuple[str, ...], cache: Path | None, find: bool, form: str) -> None:
    """Pretrains a model, or finds it if it was made before: NAME is a file of configs/pretrain or a YAML file.

    The same command continues a model that was stopped or killed. Settings follow as key=value, for instance:
    continual pretrain translation-base direction=de-en training.minutes=20
    """
    from continual.pretraining.config import compose
    from continual.pretraining.session import Pretraining, pretrained

    if find:
        click.echo(pretrained(name, overrides, cache))
        return
    made = Pretraining(compose(name, overrides), cache)
    summary = carry_out(made)
    show(form, summary, lambda: _print(summary, made.folder))


def _print(summary: dict[str, Any], folder: Path) -> None:
    title = f"{summary['name']}: {summary['steps']} steps in {summary['seconds']['total']:.0f} s, held-out text"
    columns = [name for name in (*_WORDS, *_NUMBERS) if any(name in row for row in summary["scores"])]
    print_table(columns, pick(summary["scores"], *columns), title, numbers=_NUMBERS)
    if summary.get("earlier"):
        columns = ["domain", "texts", "before", "perplexity", "change"]
        title = "learned before, on the held-out text that its memory keeps"
        print_table(columns, pick(summary["earlier"], *columns), title, numbers=_NUMBERS)
    for domain, place in summary.get("pool", {}).get("stream", {}).items():
        click.echo(f"{domain}: {place}")
    if "average_perplexity" in summary:
        rise = summary["average_increase"][-1]
        click.echo(f"AP {summary['average_perplexity'][-1]:.2f}" + (f", AP+ {rise:+.2f}" if rise is not None else ""))
    click.echo(f"model: {folder}")
