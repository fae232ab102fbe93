"""The commands around one run: run, resume, learn, predict, report, validate."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from continual.cli.given import Given, read_given, say
from continual.cli.output import format_option, pick, print_table, runs_dir_option, show
from continual.errors import LearningError, PoolError

if TYPE_CHECKING:
    from continual.learner import Learner
    from continual.progress import Progress
    from streams import Task

_OWN_COLUMNS = ("task", "metric", "score", "routed_score")


@click.command()
@click.argument("name")
@click.argument("overrides", nargs=-1)
@runs_dir_option("Where run folders are made.")
@click.option("--name", "run_name", help="Name of the run's folder; made from the settings if not given.")
@format_option
def run(name: str, overrides: tuple[str, ...], runs_dir: Path, run_name: str | None, form: str) -> None:
    """Learns a stream: NAME is an experiment, a stream or a YAML file.

    Settings follow as key=value, for instance: continual run pheme method=scratch seed=1 training.epochs=4
    """
    from continual.config import compose
    from continual.run import Run
    from continual.unread import check_read

    config = compose(name, overrides)
    check_read(config.learner.method.get("name", ""), overrides)
    folder = runs_dir / (run_name or _free_name(runs_dir, Path(name).stem, config))
    _execute(lambda: Run.create(folder, config).folder, form, new=True)


@click.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
@format_option
def resume(folder: Path, form: str) -> None:
    """Continues a run that was stopped or killed; the results are those of an undisturbed run."""
    from continual.run import Run

    _execute(lambda: Run(folder).folder, form)


@click.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1)
@format_option
def learn(folder: Path, overrides: tuple[str, ...], form: str) -> None:
    """Learns tasks that were added to the stream of a run, finished or not.

    Settings of the stream say which, unless its data have new ones: continual learn runs/shop
    stream.order=[books,music,toys]. The tasks learned so far come first, as before.
    """
    from continual.extension import extend
    from continual.run import Run

    _execute(lambda: extend(Run(folder), overrides).folder, form)


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
    from continual.config import backbone_settings
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


@click.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
@format_option
def report(folder: Path, form: str) -> None:
    """Shows the results of a run and writes its report.html anew."""
    from continual.evaluation.report import render_report
    from continual.evaluation.summary import load_summary
    from continual.files import write_text
    from continual.run import REPORT, Run

    opened = Run(folder)
    summary = load_summary(folder).to_dict()
    write_text(folder / REPORT, render_report(summary, opened.config.resolved, folder))
    show(form, summary, lambda: _print_summary(summary, folder))


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
    from continual.growth.stream import check_schedule
    from continual.participant import check_settings, method_registry
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
    check_schedule(config.learner, len(stream))
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
    from continual.config import names_in
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


def _execute(make: Callable[[], Path], form: str, new: bool = False) -> None:
    """Executes the run whose folder `make` makes or finds, alone or as one of several processes.

    Where a new one is refused before it learns anything, no folder stays behind.
    """
    from continual.errors import Interrupted, StorageError, UserError
    from continual.evaluation.summary import load_summary
    from continual.run import Run
    from continual.team import join_team

    team = join_team()
    with team.folder(make) as folder:
        try:
            Run(folder).execute(_progress(silent=not team.leads))
        except (Interrupted, KeyboardInterrupt, UserError) as error:
            if not team.leads:
                raise SystemExit(2) from None  # the leader says why
            if isinstance(error, UserError) and not isinstance(error, Interrupted):
                if new and not isinstance(error, StorageError):  # with room on the disk again, it can be resumed
                    Run(folder).discard_unbegun()
                raise
            raise Interrupted(
                f"Stopped as you asked; everything finished so far is on disk. Continue with: continual resume {folder}"
            ) from None
        if team.leads:
            summary = load_summary(folder).to_dict()
            show(form, summary, lambda: _print_summary(summary, folder))


def _progress(silent: bool) -> "Progress":
    from rich.console import Console

    from continual.progress import Progress

    return Progress(None if silent else Console(stderr=True, highlight=False, soft_wrap=True))


def _print_summary(summary: dict[str, Any], folder: Path) -> None:
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


def _free_name(runs_dir: Path, stem: str, config: Any) -> str:
    """`STREAM-METHOD-seedN`, with a number behind it where that is taken."""
    base = f"{stem}-{config.learner.method['name']}-seed{config.seed}"
    name, number = base, 2
    while (runs_dir / name).exists():
        name, number = f"{base}-{number}", number + 1
    return name


def _clip(text: str, limit: int = 60) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= limit else f"{plain[: limit - 1]}…"
