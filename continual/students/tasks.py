"""The tasks of a stream that a student learns for."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from continual.errors import ConfigError
from continual.students.data import stream_of

if TYPE_CHECKING:
    from streams import Task

SECTIONS = ("stream", "tasks")
"""The sections of a recipe's settings that name its tasks."""


@dataclass(frozen=True)
class TasksSpec:
    """Some tasks of a stream as settings name them.

    Attributes:
        stream: The stream's section, as `streams.build_stream` takes it.
        names: The tasks, in order; all of the stream if None.
        seed: Of what is drawn in the stream.
    """

    stream: Mapping[str, Any]
    names: tuple[str, ...] | None
    seed: int

    @classmethod
    def parse(cls, settings: Mapping[str, Any], seed: int) -> "TasksSpec":
        """From the sections `SECTIONS`.

        Raises:
            ConfigError: They are of the wrong type.
        """
        stream, names = stream_of(settings), settings.get("tasks")
        if names is None:
            return cls(stream, None, seed)
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            raise ConfigError(f"tasks is {names!r}, expected a list of names; set tasks=[NAME, ...], or null for all.")
        return cls(stream, tuple(names), seed)

    @cached_property
    def tasks(self) -> "tuple[Task, ...]":
        """The tasks, read once.

        Raises:
            StreamError: There is no such task, or one cannot be read.
        """
        from streams import build_stream

        stream = build_stream(self.stream, self.seed)
        return tuple(stream.task(name) for name in (self.names or stream.names))

    def identity(self) -> dict[str, Any]:
        """Names and a digest of all texts: the same texts mean the same tasks, wherever they come from."""
        whole = hashlib.sha256()
        for task in self.tasks:
            for split in ("train", "dev", "test"):
                for example in task.examples(split):
                    row = (task.name, split, example.text, example.text_pair, example.label)
                    whole.update(repr(row).encode("utf-8", "surrogatepass"))
        return {"tasks": [task.name for task in self.tasks], "texts": whole.hexdigest()}
