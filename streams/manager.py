"""`StreamManager`: the tasks in their order, the place reached, and the stream without its boundaries."""

from __future__ import annotations

import dataclasses
import random
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from streams.errors import StreamError
from streams.options import require_choice
from streams.source import TaskSource
from streams.splits import stratified_cap
from streams.task import SPLITS, Example, Task

_CACHED_TASKS = 16


class StreamManager:
    """Feeds the tasks of a source one after another and remembers how far it got.

    Iterating yields all tasks, as often as one likes. `remaining()` yields those from the cursor on and moves it
    when the consumer comes back for the next task, not when a task is handed out: a crash while learning a task
    leaves the cursor on that task, and `state_dict` and `load_state_dict` take it across processes.

    Args:
        source: where the tasks come from.
        order: `listed` (as the source lists them), `shuffle` (drawn from the seed), or the names of the tasks
            to feed, which may leave some out.
        seed: decides the shuffled order and the sampling of capped splits; the source has a seed of its own.
        max_train: largest number of training rows of a task; larger splits are sampled by class.
        max_dev: the same for dev.
        max_test: the same for test.
        skip_unusable: read all tasks at once and leave out those whose data make none, such as a single class.

    Attributes:
        skipped: for each task that was left out so, why.

    Raises:
        StreamError: the order names an unknown task or one twice, or a cap is not positive, or no task is left.

    Example:
        >>> from streams import SimulatedSource, StreamManager
        >>> stream = StreamManager(SimulatedSource(), order=["office", "kitchen"], max_train=50)
        >>> [(task.name, len(task.train)) for task in stream]
        [('office', 50), ('kitchen', 50)]
        >>> [task.name for task in stream.remaining()], stream.cursor
        (['office', 'kitchen'], 2)
    """

    def __init__(
        self,
        source: TaskSource,
        order: str | Sequence[str] = "listed",
        seed: int = 0,
        max_train: int | None = None,
        max_dev: int | None = None,
        max_test: int | None = None,
        skip_unusable: bool = False,
    ) -> None:
        self.source = source
        self.seed = seed
        self.caps = {"train": max_train, "dev": max_dev, "test": max_test}
        for split, cap in self.caps.items():
            if cap is not None and cap < 1:
                raise StreamError(f"Stream {source.name!r} has max_{split}={cap}; choose a number above 0 or null.")
        self.names: tuple[str, ...] = _ordered(source, order, seed)
        self._cursor = 0
        self._cache: OrderedDict[str, Task] = OrderedDict()
        self.skipped: dict[str, str] = {}
        if skip_unusable:
            self._leave_out_unusable()

    @property
    def name(self) -> str:
        """Name of the stream."""
        return self.source.name

    @property
    def cursor(self) -> int:
        """Position in `names` of the task being learned; `len(self)` when the stream is over."""
        return self._cursor

    def __len__(self) -> int:
        """Number of tasks, learned or not."""
        return len(self.names)

    def __iter__(self) -> Iterator[Task]:
        """All tasks in their order, learned or not; the cursor stays in place."""
        return map(self.task, self.names)

    def remaining(self) -> Iterator[Task]:
        """The tasks from the cursor on, which moves past a task when the next one is asked for."""
        while self._cursor < len(self.names):
            yield self.task(self.names[self._cursor])
            self._cursor += 1

    def peek(self) -> Task | None:
        """The task at the cursor, without moving it; None when the stream is over."""
        return self.task(self.names[self._cursor]) if self._cursor < len(self.names) else None

    def task(self, name: str) -> Task:
        """Any task of the stream, caps applied, such as an earlier one to evaluate; recent ones are kept."""
        require_choice(f"stream {self.name!r}", "task", name, self.names)
        if name not in self._cache:
            self._cache[name] = self._capped(self.source.load(name))
            if len(self._cache) > _CACHED_TASKS:
                self._cache.popitem(last=False)
        self._cache.move_to_end(name)
        return self._cache[name]

    def batches(self, size: int, split: str = "train", skip: int = 0) -> Iterator[list[Example]]:
        """The examples from the cursor on with the boundaries hidden, for consumers not told the task.

        Batches are cut without regard to tasks: one may hold the end of a task and the start of the next, and
        no example says where it belongs. Rows come in the order of their split. The cursor stays in place.

        Args:
            size: examples in a batch; the last may be smaller.
            split: train, dev or test.
            skip: number of batches to pass over, to go on after an interruption.
        """
        if size < 1:
            raise StreamError(f"Stream {self.name!r} was asked for batches of {size}; ask for at least 1.")
        names = self.names[self._cursor :]
        batch: list[Example] = []
        for example in (example for name in names for example in self.task(name).examples(split)):
            batch.append(example)
            if len(batch) == size:
                if skip > 0:
                    skip -= 1
                else:
                    yield batch
                batch = []
        if batch and skip <= 0:
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """The place reached and what it is a place in, JSON-able."""
        return {"cursor": self._cursor, **self._identity()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on where `state_dict` was taken.

        Raises:
            StreamError: the state is incomplete or was taken from a stream with another name, order, seed or
                caps.
        """
        for key, value in self._identity().items():
            if state.get(key) != value:
                raise StreamError(
                    f"The saved position belongs to a stream with {key} {state.get(key)!r}, but stream "
                    f"{self.name!r} has {value!r}; resume with the configuration it was saved under."
                )
        cursor = state.get("cursor")
        if not isinstance(cursor, int) or not 0 <= cursor <= len(self.names):
            raise StreamError(
                f"The saved position of stream {self.name!r} has the cursor {cursor!r}; expected a number "
                f"from 0 to {len(self.names)}, so the state is damaged and the stream has to start anew."
            )
        self._cursor = cursor

    def _leave_out_unusable(self) -> None:
        for name in self.names:
            try:
                self.task(name)
            except StreamError as error:
                self.skipped[name] = str(error)
        self.names = tuple(name for name in self.names if name not in self.skipped)
        if not self.names:
            name, reason = next(iter(self.skipped.items()))
            raise StreamError(f"Stream {self.name!r} has no usable task; of {name!r} this is why: {reason}")

    def _identity(self) -> dict[str, Any]:
        return {"stream": self.name, "order": list(self.names), "seed": self.seed, "caps": dict(self.caps)}

    def _capped(self, task: Task) -> Task:
        from datasets import Dataset

        changed: dict[str, Any] = {}
        for split in SPLITS:
            dataset, cap = task.split(split), self.caps[split]
            if cap is None or len(dataset) <= cap:
                continue
            # Kinds of task without labels are one stratum.
            labels = dataset["label"][:] if "label" in dataset.column_names else [0] * len(dataset)
            classes = len(set(labels))
            if split == "train" and cap < classes:
                raise StreamError(
                    f"Task {task.name!r} has {classes} classes, so max_train={cap} is too small to show each "
                    f"once; set max_train to {classes} or more."
                )
            rows = stratified_cap(labels, cap, f"{self.seed}/{task.name}/{split}")
            # A copy instead of a view: later reads need no detour through row numbers.
            changed[split] = Dataset.from_dict(dataset[rows], features=dataset.features)
        if not changed:
            return task
        caps = {split: self.caps[split] for split in changed}
        return dataclasses.replace(task, info={**task.info, "caps": {**caps, "seed": self.seed}}, **changed)


def _ordered(source: TaskSource, order: str | Sequence[str], seed: int) -> tuple[str, ...]:
    names = list(source.task_names)
    if order == "listed":
        return tuple(names)
    if order == "shuffle":
        random.Random(f"{seed}/order").shuffle(names)
        return tuple(names)
    where = f"the order of stream {source.name!r}"
    if isinstance(order, str):
        require_choice(where, "word", order, ["listed", "shuffle", "a list of task names"])
    for name in order:
        require_choice(where, "task", name, names)
    if not order or len(set(order)) < len(order):
        raise StreamError(
            f"The order {list(order)} of stream {source.name!r} is empty or repeats a task; list each once."
        )
    return tuple(order)
