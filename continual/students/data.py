"""The texts that a student learns from and is scored on: one task of a stream."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from continual.construction import coerced
from continual.errors import ConfigError, LearningError

if TYPE_CHECKING:
    from streams import Task

SECTIONS = ("stream", "task")
"""The sections of a recipe's settings that name its texts."""


def stream_of(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """The section `stream` of a recipe's settings.

    Raises:
        ConfigError: It is missing or no section.
    """
    stream = settings.get("stream")
    if not isinstance(stream, Mapping):
        raise ConfigError(f"stream is {stream!r}, expected settings; set stream=NAME, see `continual ls streams`.")
    return stream


def check_classification(task: "Task") -> None:
    """Refuses a task that is none.

    Raises:
        LearningError: It is of another kind.
    """
    if task.kind != "classification":
        raise LearningError(
            f"Task {task.name!r} is of kind {task.kind}, expected classification; choose a stream of such tasks."
        )


@dataclass(frozen=True)
class TaskSpec:
    """A task as settings name it.

    Attributes:
        stream: The stream's section, as `streams.build_stream` takes it.
        name: The task in it; its first one if None.
        seed: Of what is drawn in the stream.
    """

    stream: Mapping[str, Any]
    name: str | None
    seed: int

    @classmethod
    def parse(cls, settings: Mapping[str, Any], seed: int) -> "TaskSpec":
        """From the sections `SECTIONS`.

        Raises:
            ConfigError: They are of the wrong type.
        """
        return cls(stream_of(settings), coerced(settings.get("task"), str | None, "task"), seed)

    @cached_property
    def task(self) -> "Task":
        """The task, read once.

        Raises:
            StreamError: There is no such task, or it cannot be read.
        """
        from streams import build_stream

        stream = build_stream(self.stream, self.seed)
        return stream.task(self.name if self.name is not None else stream.names[0])

    def of_kind(self, kind: str) -> "Task":
        """The task, if it is of this kind, such as `translation`.

        Raises:
            ConfigError: It is of another kind.
        """
        if self.task.kind != kind:
            raise ConfigError(
                f"The task {self.task.name!r} is a {self.task.kind}, expected a {kind}; choose another stream or task."
            )
        return self.task

    def identity(self) -> dict[str, Any]:
        """Name and digest of the texts: the same texts mean the same task, wherever they come from."""
        whole = hashlib.sha256()
        for split in ("train", "dev", "test"):
            for example in self.task.examples(split):
                whole.update(repr((split, example.text, example.text_pair, example.label, example.target)).encode())
        return {"name": self.task.name, "kind": self.task.kind, "texts": whole.hexdigest()}
