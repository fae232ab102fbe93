"""Sources and streams by name, built from plain mappings such as a parsed YAML file."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from streams.errors import StreamError
from streams.manager import StreamManager
from streams.options import OptionHelp, describe, from_mapping, option, unknown
from streams.registry import Entry, Registry
from streams.source import TaskSource

KINDS: Registry[Entry] = Registry("kind of stream", "continual.streams", error=StreamError)
"""Kinds of sources by name; a source's class is imported when its kind is first used."""
KINDS.add("simulated", "streams.simulated:SimulatedSource", "made-up texts of related tasks; needs no file")
KINDS.add("table", "streams.table:TableSource", "a table whose columns hold text, label and the name of the task")
KINDS.add("folders", "streams.folders:FoldersSource", "a folder for each task, with train, dev and test files")
KINDS.add("hub", "streams.hub:HubSource", "a data set of the Hugging Face hub")
KINDS.add("pheme", "streams.rumor:PhemeSource", "rumours by event: the PHEME release or a table of its tweets")
KINDS.add("twitter", "streams.rumor:TwitterSource", "rumours of Twitter15 and Twitter16 in their published layout")
KINDS.add("coaid", "streams.rumor:CoaidSource", "COVID-19 misinformation by month: CoAID in its published layout")
KINDS.add("stance", "streams.stance:StanceSource", "stance towards a target: SemEval-2016 task 6 or a table like it")
KINDS.add(
    "stance_simulated",
    "streams.stance_simulated:SimulatedStanceSource",
    "made-up texts for and against targets; needs no file",
)
KINDS.add(
    "translation",
    "streams.translation:TranslationFilesSource",
    "parallel texts by domain: folders, tables, Moses pairs or translation memories",
)
KINDS.add(
    "translation_table",
    "streams.translation:TranslationTableSource",
    "one table of parallel texts with a column that names the domain",
)
KINDS.add("translation_hub", "streams.translation_hub:TranslationHubSource", "parallel texts of the Hugging Face hub")
KINDS.add(
    "simulated_translation",
    "streams.translation_simulated:SimulatedTranslationSource",
    "made-up sentences into a toy language; needs no file",
)
KINDS.add("texts", "streams.texts:TextSource", "domains of plain text without labels, for pretraining")
KINDS.add("joined", "streams.joined:JoinedSource", "the tasks of several streams as one")


@dataclasses.dataclass(frozen=True, kw_only=True)
class StreamOptions:
    """What a stream adds to its source."""

    kind: str = option(help="kind of source, see `KINDS`")
    description: str | None = option(None, "what the stream is, in one line; for listings only")
    order: Literal["listed", "shuffle"] | tuple[str, ...] = option(
        "listed", "order of the tasks: as listed, shuffled by the seed, or the names of the tasks to use"
    )
    max_train: int | None = option(None, "largest number of training rows of a task, sampled by class")
    max_dev: int | None = option(None, "largest number of dev rows of a task, sampled by class")
    max_test: int | None = option(None, "largest number of test rows of a task, sampled by class")
    skip_unusable: bool = option(False, "leave out tasks whose data cannot be used, and say so; else they are refused")


def source_class(kind: str) -> type:
    """The class of sources of this kind; its dataclass fields are the keys of its configuration.

    Raises:
        StreamError: There is no such kind.
    """
    return KINDS.load(kind)


def describe_stream(kind: str) -> list[OptionHelp]:
    """All keys of the configuration of a stream of this kind, with types, defaults and help."""
    return [*describe(StreamOptions), *describe(source_class(kind))]


def build_source(config: Mapping[str, Any]) -> TaskSource:
    """A source from a mapping with `kind` and that kind's own keys; reads no data yet.

    Raises:
        StreamError: an unknown kind or key, or a value of the wrong type.

    Example:
        >>> build_source({"kind": "simulated", "train": 20}).task_names[:2]
        ['kitchen', 'harbour']
    """
    kind, where = _kind(config)
    values = {key: value for key, value in config.items() if key != "kind"}
    return from_mapping(source_class(kind), {"name": kind, **values}, where)


def build_stream(config: Mapping[str, Any], seed: int = 0) -> StreamManager:
    """A stream from a mapping with the keys of `StreamOptions` and the source's own keys.

    Args:
        config: plain values; `describe_stream` lists the keys.
        seed: of the shuffled order and the caps, and of the splits unless `split_seed` is given.

    Raises:
        StreamError: an unknown kind or key, a value of the wrong type, or data that name no such task.

    Example:
        >>> stream = build_stream({"kind": "simulated", "train": 20, "order": ["office", "kitchen"]})
        >>> stream.names
        ('office', 'kitchen')
    """
    kind, where = _kind(config)
    own = {help_.name for help_ in describe(StreamOptions)}
    known = [help_.name for help_ in describe_stream(kind)]
    for key in config:
        # Checked here over both sets of keys, so that the suggestion may come from either.
        if key not in known:
            raise StreamError(f"{where[0].upper()}{where[1:]} has an {unknown('key', key, known)}")
    options = from_mapping(StreamOptions, {key: value for key, value in config.items() if key in own}, where)
    values = {key: value for key, value in config.items() if key not in own}
    source = build_source({"split_seed": seed, **values, "kind": kind})
    caps = (options.max_train, options.max_dev, options.max_test)
    return StreamManager(source, options.order, seed, *caps, skip_unusable=options.skip_unusable)


def _kind(config: Mapping[str, Any]) -> tuple[str, str]:
    """The kind that a configuration names, and how to call it in messages."""
    if not config.get("kind"):
        raise StreamError(f"A stream needs the key 'kind'; choose one of {', '.join(KINDS)}.")
    return str(config["kind"]), f"stream {str(config.get('name', config['kind']))!r}"
