"""`continual pool`: looks into pools and moves prompts between them."""

from pathlib import Path
from typing import Any

import click

from continual.cli.output import format_option, pick, plugin_option, print_table, show


def open_pool(path: Path, read_only: bool = True) -> Any:
    """The pool in a folder, see `places.pool_folder`."""
    from continual.places import pool_folder
    from continual.pool import PromptPool

    return PromptPool(pool_folder(path), create=False, read_only=read_only)


@click.group()
def pool() -> None:
    """Looks into prompt pools. POOL is the folder of a pool, of a run, or what `continual grow` made of either."""


@pool.command("ls")
@click.argument("path", metavar="POOL", type=click.Path(path_type=Path))
@format_option
def list_prompts(path: Path, form: str) -> None:
    """Lists the prompts of a pool."""
    from continual.storing import DEV_ACCURACY

    opened = open_pool(path)
    answering = set(opened.answering().values())
    rows = [
        {
            "prompt": record.id,
            "task": record.task,
            "answers": "yes" if record.id in answering else "no",
            "labels": len(record.labels),
            "method": record.method,
            "tuning": record.tuning.get("name"),
            "sources": ", ".join(source["prompt"] for source in record.provenance.get("sources", [])),
            "dev_accuracy": record.provenance.get(DEV_ACCURACY),
            "created": record.created[:19],
        }
        for record in opened.records()
    ]
    columns = ("prompt", "task", "answers", "labels", "method", "tuning", "sources", "dev_accuracy", "created")
    show(form, rows, lambda: print_table(columns, pick(rows, *columns), numbers=("labels", "dev_accuracy")))


@pool.command("show")
@click.argument("path", metavar="POOL", type=click.Path(path_type=Path))
@click.argument("prompt")
@format_option
def show_prompt(path: Path, prompt: str, form: str) -> None:
    """Shows everything about one prompt except the values of its tensors."""
    record = open_pool(path).record(prompt).to_json()

    def table() -> None:
        plain = {key: value for key, value in record.items() if key not in ("tensors", "provenance")}
        print_table(["field", "value"], [[key, _short(value)] for key, value in plain.items()])
        tensors = [[name, "x".join(map(str, info["shape"])), info["dtype"]] for name, info in record["tensors"].items()]
        print_table(["tensor", "shape", "type"], tensors)
        facts = [[key, _short(value)] for key, value in record["provenance"].items() if key != "stages"]
        print_table(["provenance", "value"], facts)

    show(form, record, table)


@pool.command()
@click.argument("path", metavar="POOL", type=click.Path(path_type=Path))
@format_option
def verify(path: Path, form: str) -> None:
    """Checks every file of a pool against its checksum; exit code 2 if something is wrong."""
    opened = open_pool(path)
    problems = [vars(problem) for problem in opened.verify()]

    def table() -> None:
        for problem in problems:
            click.echo(str(problem["sentence"]))
        if not problems:
            click.echo(f"{len(opened)} prompts, all sound.")

    show(form, {"prompts": len(opened), "problems": problems}, table)
    if problems:
        raise SystemExit(2)


@pool.command()
@click.argument("path", metavar="POOL", type=click.Path(path_type=Path))
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--prompt", "prompts", multiple=True, help="Only this prompt; may be given more than once.")
@format_option
def export(path: Path, target: Path, prompts: tuple[str, ...], form: str) -> None:
    """Writes prompts to TARGET, a .zip file or a new folder, from which another pool can import them."""
    opened = open_pool(path)
    written = opened.export(target, list(prompts) or None)
    count = len(prompts) or len(opened)
    show(
        form,
        {"path": str(written), "prompts": count},
        lambda: click.echo(f"{count} prompts written to {written}"),
    )


@pool.command("import")
@click.argument("path", metavar="POOL", type=click.Path(path_type=Path))
@click.argument("archive", type=click.Path(path_type=Path))
@format_option
def import_prompts(path: Path, archive: Path, form: str) -> None:
    """Adds the prompts of ARCHIVE to POOL, which is created where there is none.

    ARCHIVE is a file or folder that `pool export` made, or another pool, a run or what was grown from either. A prompt
    whose id is taken becomes the newest version of its task, which answers; `pool use` chooses another one.
    """
    from continual.places import pool_folder
    from continual.pool import PromptPool
    from continual.pool.layout import is_unused

    target = PromptPool(path) if is_unused(path) else open_pool(path, read_only=False)
    before = target.answering()
    added = [record.id for record in target.import_(pool_folder(archive))]
    taken = [
        {"task": task, "prompt": prompt, "instead_of": before[task]}
        for task, prompt in target.answering().items()
        if before.get(task, prompt) != prompt
    ]

    def table() -> None:
        click.echo(f"{len(added)} prompts added: {', '.join(added) or 'none were new'}")
        for item in taken:
            click.echo(
                f"{item['prompt']} now answers for {item['task']!r} in place of {item['instead_of']}; "
                f"to take that back: continual pool use {path} {item['instead_of']}"
            )

    show(form, {"added": added, "answers": taken}, table)


@pool.command("use")
@click.argument("path", metavar="POOL", type=click.Path(path_type=Path))
@click.argument("prompt")
@format_option
def use_prompt(path: Path, prompt: str, form: str) -> None:
    """Lets PROMPT answer for its task from now on.

    It is stored again as the newest version of the task, and no other prompt changes.
    """
    from continual.choosing import chosen

    record = chosen(open_pool(path, read_only=False), prompt)
    again = "" if record.id == prompt else f", which is {prompt}"
    show(
        form,
        {"task": record.task, "prompt": record.id, "chosen": prompt},
        lambda: click.echo(f"{record.id}{again}, answers for {record.task!r}"),
    )


@pool.command()
@click.argument("path", metavar="POOL", type=click.Path(path_type=Path))
@click.argument("prompt")
@click.option(
    "--add", "added", metavar="PROMPT", multiple=True, help="A prompt that becomes a source; may be repeated."
)
@click.option("--remove", "removed", metavar="PROMPT", multiple=True, help="A source to take away; may be repeated.")
@plugin_option
@format_option
def mix(path: Path, prompt: str, added: tuple[str, ...], removed: tuple[str, ...], form: str) -> None:
    """Stores a new version of PROMPT, a mixture that method=attempt has learned, with other sources.

    Nothing is trained, and the old version stays. The new one answers for the task from then on.
    """
    from continual.mixing import remixed

    record = remixed(open_pool(path, read_only=False), prompt, added, removed)
    sources = [source["prompt"] for source in record.provenance["sources"]]
    show(
        form,
        {"prompt": record.id, "sources": sources},
        lambda: click.echo(f"{record.id} stored, mixed from {', '.join(sources)}"),
    )


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 200 else f"{text[:197]}..."
