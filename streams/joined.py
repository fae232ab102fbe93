"""Several streams as one, so that tasks of different data can follow each other or be compared."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar

from streams.catalog import build_stream
from streams.errors import StreamError
from streams.manager import StreamManager
from streams.options import option, require_choice
from streams.task import Task

_SEPARATOR = "/"


@dataclasses.dataclass(frozen=True, kw_only=True)
class JoinedSource:
    """The tasks of several streams, each called `PART/TASK`, part after part.

    Every part is a stream's configuration of its own, with its kind, order and caps.

    Raises:
        StreamError: on use, if there are no parts or the configuration of one is wrong.

    Example:
        >>> parts = {"a": {"kind": "simulated", "order": ["office"]}, "b": {"kind": "stance_simulated"}}
        >>> JoinedSource(parts=parts).task_names[:2]
        ['a/office', 'b/bicycle-lanes']
    """

    kind: ClassVar[str] = "joined"

    name: str = option("joined", "name of the stream")
    parts: Mapping[str, Any] | None = option(None, "for each part its name and its configuration, as of a stream")
    tasks: tuple[str, ...] | None = option(None, "the tasks to use, as PART/TASK, in order; by default all")
    split_seed: int = option(0, "seed of the parts that have none of their own")

    @cached_property
    def task_names(self) -> list[str]:
        """Names of the tasks: those chosen with `tasks`, else all there are."""
        found = [f"{part}{_SEPARATOR}{task}" for part, stream in self._streams.items() for task in stream.names]
        if self.tasks is None:
            return found
        for task in self.tasks:
            require_choice(f"the option 'tasks' of stream {self.name!r}", "task", task, found)
        if len(set(self.tasks)) < len(self.tasks):
            raise StreamError(f"Stream {self.name!r} lists a task twice in {list(self.tasks)}; list each once.")
        return list(self.tasks)

    def load(self, task_name: str) -> Task:
        """Loads a task of a part, under its longer name."""
        require_choice(f"stream {self.name!r}", "task", task_name, self.task_names)
        part, _, name = task_name.partition(_SEPARATOR)
        task = self._streams[part].task(name)
        info = {**task.info, "source": self.kind, "part": {"name": part, "source": task.info.get("source")}}
        return dataclasses.replace(task, name=task_name, info=info)

    @cached_property
    def _streams(self) -> dict[str, StreamManager]:
        if not self.parts:
            raise StreamError(f"Stream {self.name!r} joins no streams; give its key 'parts' at least one.")
        return {part: build_stream(self._config(part, config), self.split_seed) for part, config in self.parts.items()}

    def _config(self, part: str, config: Any) -> Mapping[str, Any]:
        if _SEPARATOR in part or not part:
            raise StreamError(f"Stream {self.name!r} calls a part {part!r}; choose a name without {_SEPARATOR}.")
        if not isinstance(config, Mapping):
            raise StreamError(
                f"Stream {self.name!r} has {config!r} for the part {part!r}; expected the configuration of a stream, "
                "such as {kind: table, path: FILE}."
            )
        return config
