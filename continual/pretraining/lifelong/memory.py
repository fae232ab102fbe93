"""The memory beside a model: texts of each domain, as tokens, so that a later pretraining can replay and watch them.

    memory.json    schema; for each domain its prompt, its held-out loss, windows to replay and held-out ones to watch,
                   and of both the numbers of those that do not end their text

It stands in the state between two domains and in the finished folder alike. A pretraining that goes on from the folder
reads it; `transformers` and backbones do not.
"""

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from continual.errors import BackboneError
from continual.files import read_json, write_json
from continual.pretraining.lifelong.texts import Window

MEMORY = "memory.json"

_SCHEMA = 1


@dataclass(frozen=True)
class Kept:
    """What is kept of a domain.

    Attributes:
        windows: Windows to replay.
        watched: Held-out windows, which tell what replay still helps.
    """

    windows: list[Window]
    watched: list[Window]

    @property
    def tokens(self) -> int:
        """Tokens of the windows to replay."""
        return sum(len(window.ids) for window in self.windows)


@dataclass(frozen=True)
class PastDomains:
    """What is known of past domains.

    Attributes:
        kept: Of each domain its texts, in the order in which they were learned.
        prompts: The tokens of the domains' prompts.
        losses: Their held-out losses when last measured, in nats for each token.
    """

    kept: dict[str, Kept] = field(default_factory=dict)
    prompts: dict[str, tuple[int, ...]] = field(default_factory=dict)
    losses: dict[str, float] = field(default_factory=dict)


def write_memory(folder: Path, memory: PastDomains) -> None:
    """Stores a memory in a folder that exists."""
    domains = {
        name: {
            "prompt": memory.prompts[name],
            "loss": memory.losses[name],
            "windows": [list(window.ids) for window in kept.windows],
            "windows_cut": _cut(kept.windows),
            "watched": [list(window.ids) for window in kept.watched],
            "watched_cut": _cut(kept.watched),
        }
        for name, kept in memory.kept.items()
    }
    write_json(folder / MEMORY, {"schema": _SCHEMA, "domains": domains})


def copy_memory(source: Path, folder: Path) -> None:
    """Takes the memory that lies beside a model along to another folder; nothing where there is none."""
    if (source / MEMORY).is_file():
        shutil.copyfile(source / MEMORY, folder / MEMORY)


def read_memory(folder: Path) -> PastDomains:
    """The memory in a folder; an empty one where there is none.

    Raises:
        BackboneError: It is damaged, or was written by a newer program.
    """
    path = folder / MEMORY
    if not path.is_file():
        return PastDomains()
    try:
        value = read_json(path)
        if value["schema"] > _SCHEMA:
            raise BackboneError(
                f"{path} has schema {value['schema']} but this program reads up to {_SCHEMA}; upgrade "
                "continual-prompts."
            )
        domains: dict[str, Any] = value["domains"]
        return PastDomains(
            {name: Kept(_windows(kept, "windows"), _windows(kept, "watched")) for name, kept in domains.items()},
            {name: tuple(kept["prompt"]) for name, kept in domains.items()},
            {name: float(kept["loss"]) for name, kept in domains.items()},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise BackboneError(
            f"{path} is damaged ({type(error).__name__}: {error}); restore it from a copy, or remove it to go on "
            "without a memory."
        ) from error


def _cut(windows: list[Window]) -> list[int]:
    return [number for number, window in enumerate(windows) if not window.ends]


def _windows(kept: dict[str, Any], name: str) -> list[Window]:
    cut = set(kept.get(f"{name}_cut", ()))  # missing in memories that were written before cuts were told
    return [Window(list(map(int, ids)), ends=number not in cut) for number, ids in enumerate(kept[name])]
