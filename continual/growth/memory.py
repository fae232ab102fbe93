"""A few texts of each task, without labels: what a grown model is taught and judged by."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from continual.backbone.encoder import Encoder
from continual.backbone.texts import EncodedTexts
from continual.errors import RunError
from continual.files import read_json, write_json
from continual.seeding import seed_of

if TYPE_CHECKING:
    from streams import Task


@dataclass(frozen=True)
class Remembered:
    """The texts kept of one task.

    Attributes:
        task: Its name.
        texts: The texts.
        pairs: Their second texts, for tasks on pairs.
    """

    task: str
    texts: list[str]
    pairs: list[str] | None = None

    @classmethod
    def of(cls, task: "Task", most: int, seed: int) -> "Remembered":
        """Texts drawn from a task's training split.

        Args:
            task: The task.
            most: How many at most.
            seed: Decides which.
        """
        generator = torch.Generator().manual_seed(seed_of(seed, task.name, "memory"))
        rows = sorted(torch.randperm(len(task.train), generator=generator)[:most].tolist())
        drawn = task.train.select(rows)
        pairs = list(drawn["text_pair"]) if "text_pair" in drawn.column_names else None
        return cls(task.name, list(drawn["text"]), pairs)

    def halves(self) -> tuple["Remembered", "Remembered"]:
        """What teaches, and what judges: every second text each."""
        return self._part(0), self._part(1)

    def tokenized(self, encoder: Encoder) -> EncodedTexts:
        """The texts for a backbone."""
        return encoder.tokenize(self.texts, self.pairs)

    def _part(self, start: int) -> "Remembered":
        return Remembered(self.task, self.texts[start::2], None if self.pairs is None else self.pairs[start::2])


class KeptTexts:
    """The texts kept of all tasks of a run, one file each.

    Args:
        folder: Where they lie.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, position: int, remembered: Remembered) -> None:
        """Keeps the texts of the task at a place of the stream, unless they are kept already."""
        path = self._folder / f"{position:04d}.json"
        if not path.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            write_json(path, vars(remembered))

    def all(self) -> list[Remembered]:
        """The texts of all tasks, in the order of the stream.

        Raises:
            RunError: A file is damaged.
        """
        return [_read(path) for path in sorted(self._folder.glob("[0-9]*.json"))]


def _read(path: Path) -> Remembered:
    try:
        value: Mapping[str, Any] = read_json(path)
        return Remembered(value["task"], value["texts"], value["pairs"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path} is damaged ({error}); start a new run.") from error
