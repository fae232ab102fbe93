"""Streams of text tasks: tasks, where they come from, and the order in which they arrive.

>>> from streams import SimulatedSource, StreamManager
>>> len(StreamManager(SimulatedSource()))
6

Importing this package loads none of its modules; each public name is fetched when it is first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streams.catalog import KINDS, build_source, build_stream, describe_stream
    from streams.errors import StreamError, UserError
    from streams.folders import FoldersSource
    from streams.hub import HubSource
    from streams.joined import JoinedSource
    from streams.manager import StreamManager
    from streams.rumor import CoaidSource, PhemeSource, TwitterSource
    from streams.simulated import SimulatedSource, SimulatedTask
    from streams.source import DomainSource, LabelledSource, SplitSource, TaskSource
    from streams.stance import STANCES, StanceSource
    from streams.stance_simulated import SimulatedStanceSource
    from streams.table import TableSource
    from streams.task import SPLITS, Example, Task
    from streams.texts import TextSource
    from streams.translation import TranslationFilesSource, TranslationTableSource
    from streams.translation_hub import TranslationHubSource
    from streams.translation_simulated import SimulatedTranslationSource

_HOMES = {
    "KINDS": "catalog",
    "SPLITS": "task",
    "STANCES": "stance",
    "CoaidSource": "rumor",
    "DomainSource": "source",
    "Example": "task",
    "FoldersSource": "folders",
    "HubSource": "hub",
    "JoinedSource": "joined",
    "LabelledSource": "source",
    "PhemeSource": "rumor",
    "SimulatedSource": "simulated",
    "SimulatedStanceSource": "stance_simulated",
    "SimulatedTask": "simulated",
    "SimulatedTranslationSource": "translation_simulated",
    "SplitSource": "source",
    "StanceSource": "stance",
    "StreamError": "errors",
    "StreamManager": "manager",
    "TableSource": "table",
    "Task": "task",
    "TaskSource": "source",
    "TextSource": "texts",
    "TranslationFilesSource": "translation",
    "TranslationHubSource": "translation_hub",
    "TranslationTableSource": "translation",
    "TwitterSource": "rumor",
    "UserError": "errors",
    "build_source": "catalog",
    "build_stream": "catalog",
    "describe_stream": "catalog",
}

__all__ = [
    "KINDS",
    "SPLITS",
    "STANCES",
    "CoaidSource",
    "DomainSource",
    "Example",
    "FoldersSource",
    "HubSource",
    "JoinedSource",
    "LabelledSource",
    "PhemeSource",
    "SimulatedSource",
    "SimulatedStanceSource",
    "SimulatedTask",
    "SimulatedTranslationSource",
    "SplitSource",
    "StanceSource",
    "StreamError",
    "StreamManager",
    "TableSource",
    "Task",
    "TaskSource",
    "TextSource",
    "TranslationFilesSource",
    "TranslationHubSource",
    "TranslationTableSource",
    "TwitterSource",
    "UserError",
    "build_source",
    "build_stream",
    "describe_stream",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
