"""`continual ls`: what can be named in a config."""

import click

from continual.cli.output import format_option, pick, plugin_option, print_table, show


@click.command()
@click.argument(
    "kind",
    type=click.Choice(
        [
            "experiments",
            "streams",
            "methods",
            "tunings",
            "metrics",
            "backbones",
            "transfer",
            "expansions",
            "pretrainings",
            "students",
        ]
    ),
)
@plugin_option
@format_option
def ls(kind: str, form: str) -> None:
    """Lists what is available: names to use in `continual run NAME key=value`, `pretrain` and `distil`."""
    if kind == "streams":
        entries = _configs(kind) + _unfiled_kinds()
    elif kind in ("experiments", "pretrainings", "students"):
        entries = _configs(kind)
    elif kind == "methods":
        entries = _methods()
    elif kind == "metrics":
        entries = _metrics()
    else:
        entries = _registered(kind)
    columns = list(entries[0])
    show(form, entries, lambda: print_table(columns, pick(entries, *columns)))


def _methods() -> list[dict[str, str]]:
    from continual.baselines import BASELINES
    from continual.methods import METHODS

    return [
        {"name": entry.name, "kind": kind, "help": entry.help, "paper": entry.paper}
        for kind, registry in (("method", METHODS), ("baseline", BASELINES))
        for entry in registry.values()
    ]


def _registered(kind: str) -> list[dict[str, str]]:
    from continual.backbone import BACKBONES
    from continual.growth import EXPANSIONS
    from continual.transfer import TRANSFERABILITY
    from continual.tuning import TUNINGS

    registries = {
        "tunings": TUNINGS,
        "backbones": BACKBONES,
        "transfer": TRANSFERABILITY,
        "expansions": EXPANSIONS,
    }
    registry = registries[kind]
    return [{"name": entry.name, "help": entry.help, "paper": entry.paper} for entry in registry.values()]


def _metrics() -> list[dict[str, str]]:
    from continual.evaluation.catalog import list_metrics

    measured = [{"name": item["name"], "level": item["level"], "help": item["help"]} for item in list_metrics()]
    transfer = [
        {"name": entry["name"], "level": "transfer", "help": entry["help"]} for entry in _registered("transfer")
    ]
    return measured + transfer


def _unfiled_kinds() -> list[dict[str, str]]:
    """The kinds of streams that need no file to be named in a command."""
    from continual.registered import unfiled
    from streams.catalog import KINDS

    return [{"name": name, "help": KINDS[name].help} for name in unfiled("stream")]


def _configs(kind: str) -> list[dict[str, str]]:
    import yaml

    from continual.composing import configs_folder, names_in

    group = {"pretrainings": "pretrain", "students": "distil"}.get(kind, kind.removesuffix("s"))
    entries = []
    for name in names_in(group):
        text = (configs_folder() / group / f"{name}.yaml").read_text(encoding="utf-8")
        section = yaml.safe_load(text) or {}
        comments = [line.lstrip("# ") for line in text.splitlines() if line.startswith("#") and "@package" not in line]
        entries.append({"name": name, "help": section.get("description") or (comments[0] if comments else "")})
    return entries
