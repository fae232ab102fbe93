"""Where tasks come from: the protocol every source fulfils, and what sources of labelled rows share."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

from streams.errors import StreamError
from streams.options import option, require_choice
from streams.rows import LabelNames, Splits, build_task, complete_splits
from streams.task import Task


@runtime_checkable
class TaskSource(Protocol):
    """Anything that can name its tasks and load one of them. Fulfil it to bring tasks of your own."""

    name: str
    """Name of the stream, stable: a saved stream position refuses a source of another name."""

    @property
    def task_names(self) -> list[str]:
        """Names of all tasks in their listed order; cheap."""

    def load(self, task_name: str) -> Task:
        """The task called `task_name`, the same at every call."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SplitSource(abc.ABC):
    """A source that has some splits of its tasks and makes those that are missing.

    Subclasses say which tasks there are, give the rows of one, and know what may not be parted by a split.
    """

    kind: ClassVar[str]
    metric: ClassVar[str]

    name: str = option("stream", "name of the stream")
    tasks: tuple[str, ...] | None = option(None, "the tasks to use, in order; by default all, as found")
    dev_fraction: float = option(0.10, "share of the distinct texts for dev where no dev split is given")
    test_fraction: float = option(0.25, "share of the distinct texts for test where no test split is given")
    split_seed: int = option(0, "seed of the splits that are made here")

    @cached_property
    def task_names(self) -> list[str]:
        """Names of the tasks: those chosen with `tasks`, else all there are."""
        found = self._found()
        if self.tasks is None:
            return found
        for task in self.tasks:
            require_choice(f"the option 'tasks' of stream {self.name!r}", "task", task, found)
        if len(set(self.tasks)) < len(self.tasks):
            raise StreamError(f"Stream {self.name!r} lists a task twice in {list(self.tasks)}; list each once.")
        return list(self.tasks)

    def load(self, task_name: str) -> Task:
        """Reads one task; see `TaskSource.load`."""
        require_choice(f"stream {self.name!r}", "task", task_name, self.task_names)
        splits, info = self._rows(task_name)
        return self._build(task_name, splits, {"source": self.kind, **info})

    @property
    def _fractions(self) -> dict[str, float]:
        return {"dev": self.dev_fraction, "test": self.test_fraction}

    @abc.abstractmethod
    def _found(self) -> list[str]:
        """Names of all tasks there are."""

    @abc.abstractmethod
    def _rows(self, task_name: str) -> tuple[dict[str, list[Any]], dict[str, Any]]:
        """The three splits of a task and their JSON-able provenance."""

    @abc.abstractmethod
    def _completed(self, given: dict[str, list[Any]]) -> tuple[dict[str, list[Any]], dict[str, Any]]:
        """All three splits from those that are given, and what was done, JSON-able."""

    @abc.abstractmethod
    def _build(self, task_name: str, splits: dict[str, list[Any]], info: dict[str, Any]) -> Task:
        """The task that the rows make."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LabelledSource(SplitSource):
    """A source whose tasks are made of labelled rows; splits that are missing are made by text.

    See `streams.rows` and `streams.splits` for what happens to the rows: duplicates share a split, a given test split
    stays whole, conflicting labels are counted.
    """

    metric: ClassVar[str] = "accuracy"

    labels: Mapping[str, str] | tuple[str, ...] | None = option(
        None,
        "label names in order, or a mapping from the labels in the files to names; by default as found, sorted",
    )

    @property
    def _label_names(self) -> LabelNames:
        return LabelNames(self.labels)

    def _clean(self, text: str) -> str:
        """Applied to every text as it is read; sources of a known kind of text override it."""
        return text

    def _completed(self, given: Splits) -> tuple[Splits, dict[str, Any]]:
        return complete_splits(given, self._fractions, self.split_seed)

    def _build(self, task_name: str, splits: Splits, info: dict[str, Any]) -> Task:
        return build_task(task_name, splits, self._label_names, info, self.metric)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ByDomain(SplitSource):
    """A source whose rows come all together, each with a `domain`; every domain is a task.

    The splits are made over all domains at once, before tasks are chosen, so the choice does not change them.
    """

    @abc.abstractmethod
    def _read(self) -> tuple[dict[str, list[Any]], dict[str, Any]]:
        """All rows by given split (`train` alone where none is given) and their provenance."""

    @cached_property
    def _all(self) -> tuple[dict[str, dict[str, list[Any]]], dict[str, Any]]:
        """Rows by domain, in order of first appearance, and by split."""
        given, info = self._read()
        splits, done = self._completed(given)
        domains: dict[str, dict[str, list[Any]]] = {
            row.domain: {name: [] for name in splits} for rows in given.values() for row in rows
        }
        for split, rows in splits.items():
            for row in rows:
                domains[row.domain][split].append(row)
        return domains, {**info, "splits": done}

    def _found(self) -> list[str]:
        return list(self._all[0])

    def _rows(self, task_name: str) -> tuple[dict[str, list[Any]], dict[str, Any]]:
        domains, info = self._all
        return domains[task_name], info


@dataclasses.dataclass(frozen=True, kw_only=True)
class DomainSource(ByDomain, LabelledSource):
    """A source of labelled rows that come all together, each with a domain; every domain is a task."""


def required_path(path: str | None, stream: str) -> Path:
    """`path` with `~` resolved, or a `StreamError` that asks for it."""
    if not path:
        raise StreamError(f"Stream {stream!r} was given no data; set its key 'path' to a file or folder.")
    return Path(path).expanduser()
