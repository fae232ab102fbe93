"""`continual grow`: a larger model that computes what the given one computes, with the pool that belongs to it."""

from pathlib import Path
from typing import Any

import click

from continual.cli.output import format_option, plugin_option, print_table, show


@click.command()
@click.argument("source", metavar="MODEL_OR_RUN_OR_POOL")
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--how", default="exact", show_default=True, help="The expansion; see `continual ls expansions`.")
@click.option("--layers", default=0, show_default=True, help="Layers to add, to encoder and decoder each.")
@click.option("--width", default=0, show_default=True, help="Units to add to hidden states.")
@click.option("--inner", default=0, show_default=True, help="Feed-forward units to add to each layer beside.")
@click.option("--seed", default=0, show_default=True, help="Decides what is random.")
@plugin_option
@format_option
def grow(source: str, out: Path, how: str, layers: int, width: int, inner: int, seed: int, form: str) -> None:
    """Grows a model and saves an ordinary Hugging Face folder OUT; of a run or pool, OUT/model and OUT/pool.

    For instance: continual grow minilm larger --layers 2
    """
    from continual.construction import construct
    from continual.growth import EXPANSIONS
    from continual.growth.command import grow_model, grow_pool
    from continual.growth.sizes import Amount
    from continual.places import HOLDER, POOL, RUN, sort_of

    expansion = construct(EXPANSIONS, how, {}, "growth")
    amount = Amount(layers, width, inner)
    if sort_of(Path(source)) in (RUN, POOL, HOLDER):
        facts = grow_pool(Path(source), out, expansion, amount, seed)
    else:
        facts = grow_model(source, out, expansion, amount, seed)
    show(form, facts, lambda: _print(facts, out))


def _print(facts: dict[str, Any], out: Path) -> None:
    rows = [[name, facts["from"][name], facts["to"][name]] for name in facts["from"]]
    print_table(["", "before", "after"], rows, f"{facts['family']}, how={facts['how']}", numbers=("before", "after"))
    change = facts["change"]
    click.echo(
        f"largest change of the {change['what']} on {change['sentences']} sentences: {change['largest']:.1e}, "
        f"of at most {change['scale']:.1f}"
    )
    if "prompts" in facts:
        click.echo(f"prompts carried over: {facts['prompts']}")
    click.echo(f"folder: {out}")
