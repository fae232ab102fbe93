"""Baselines with a model of its own for each task, as participants of a run: all but how a model is made."""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from continual.backbone.frozen import FrozenView, freeze
from continual.backbone.readout import Readout
from continual.backbone.texts import EncodedTexts
from continual.baselines.base import Baseline, Bench
from continual.baselines.export import tokenised
from continual.baselines.places import Places
from continual.baselines.scoring import answers, split_score
from continual.baselines.states import States
from continual.participant import LearnedTask, SplitScore, TaskScores, guess
from continual.training.checkpoint import Checkpoints
from continual.training.watch import Watcher

if TYPE_CHECKING:
    from streams import Task

_VECTOR = Readout("last", ("pool",), terms=0)


class ModelForEachTask(ABC):
    """See `Participant`.

    Routing and the mark of strangers are those of the pool, see `places.Places`.

    Args:
        baseline: Its options.
        bench: Where it works.
    """

    tuning = None
    artifacts = ()

    def __init__(self, baseline: Baseline, bench: Bench) -> None:
        baseline.check(bench.encoder)
        self._bench = bench
        self._names = bench.stream.names
        self._states = States(bench.folder)
        self._tests: dict[str, FrozenView] = {}
        self._answers: dict[tuple[int, str], np.ndarray] = {}
        self._places = Places(self._states, bench.settings)

    @abstractmethod
    def _fit(
        self, task: "Task", train: FrozenView, dev: FrozenView, checkpoints: Checkpoints, watcher: Watcher
    ) -> tuple[dict[str, Tensor], LearnedTask]:
        """The tensors of a model for the task, and how it went; `seconds` are those of earlier sessions.

        Args:
            task: The task.
            train: What the frozen backbone says of its training texts.
            dev: The same of its dev texts.
            checkpoints: Where to keep the state of a training.
            watcher: Who is told.
        """

    @abstractmethod
    def _logits(self, tensors: dict[str, Tensor], view: FrozenView) -> Tensor:
        """What the model of such tensors says of texts, [texts, labels of its task]."""

    @property
    def notes(self) -> list[str]:
        """See `Participant.notes`."""
        return []

    def prompts(self) -> list[str]:
        """See `Participant.prompts`: models go by the names of their tasks."""
        return [name for place, name in enumerate(self._names) if self._states.has(place + 1)]

    def check(self, learned: int) -> None:
        """See `Participant.check`."""
        self._states.check(learned, len(self._names))

    def stored(self, task: "Task", position: int) -> LearnedTask | None:
        """See `Participant.stored`."""
        if not self._states.has(position + 1):
            return None
        return LearnedTask(**self._states.load(position + 1)[1])

    def learn(self, task: "Task", position: int, checkpoints: Checkpoints, watcher: Watcher) -> LearnedTask:
        """See `Participant.learn`."""
        started = time.monotonic()
        train, dev = (self._view(tokenised(task, split, self._bench.encoder)) for split in ("train", "dev"))
        tensors, learned = self._fit(task, train, dev, checkpoints, watcher)
        learned = replace(learned, seconds=learned.seconds + time.monotonic() - started)
        # The model comes last: where it is, its place is known too.
        self._places.keep(position, train.profile, dev.profile)
        self._states.save(position + 1, tensors, asdict(learned))
        return learned

    def untaught(self, task: "Task") -> SplitScore:
        """See `Participant.untaught`."""
        return guess(task)

    def unseen(self, task: "Task", learned: int) -> TaskScores | None:
        """See `Participant.unseen`: the nearest models of tasks with the same labels answer, told or not."""
        labels = set(task.labels)
        able = [place for place in range(learned) if set(self._task(place).labels) == labels]
        if not able:
            return None
        score = self._routed(task, able, learned)
        return TaskScores(score, score)

    def scores(self, task: "Task", learned: int) -> TaskScores:
        """See `Participant.scores`."""
        own = self._names.index(task.name)
        prompts = [task.name] * len(task.test)
        aware = split_score(task, self._answered(own, task), prompts=prompts, own=1.0, unknown=0.0)
        return TaskScores(aware, self._routed(task, range(learned), learned))

    def reread(self, tasks: "Iterable[Task]") -> None:
        """See `Participant.reread`."""
        self._answers.clear()
        self._places.clear()

    def save(self) -> None:  # noqa: B027  (there is nothing to write)
        """See `Participant.save`: answers are computed for whole splits, so they are the same whenever they are."""

    def finish(self) -> None:
        """See `Participant.finish`."""
        self._states.clear()

    def _routed(self, task: "Task", places: Sequence[int], learned: int) -> SplitScore:
        """Every text is answered by one of the models at some places of the stream, of `learned` ones."""
        vectors = self._test(task).profile
        chosen, unknown = self._places.route(vectors, places, learned)
        found = np.empty(len(vectors), dtype=np.int64)
        for number in chosen.unique().tolist():
            rows = (chosen == number).numpy()
            found[rows] = self._answered(places[number], task)[rows]
        prompts = [self._names[places[number]] for number in chosen.tolist()]
        return split_score(
            task,
            found,
            prompts=prompts,
            own=float(np.mean([name == task.name for name in prompts])),
            unknown=unknown,
        )

    def _answered(self, place: int, task: "Task") -> np.ndarray:
        """For each test text of a task the number of its label that the model at a place gives, or `FOREIGN`."""
        key = (place, task.name)
        if key not in self._answers:
            labels = self._task(place).labels
            units = {label: unit for unit, label in enumerate(labels)}
            logits = self._logits(self._states.load(place + 1)[0], self._test(task))
            self._answers[key] = answers(logits, units, labels, task.labels)
        return self._answers[key]

    def _test(self, task: "Task") -> FrozenView:
        if task.name not in self._tests:
            self._tests[task.name] = self._view(tokenised(task, "test", self._bench.encoder))
        return self._tests[task.name]

    def _view(self, texts: EncodedTexts) -> FrozenView:
        """What the frozen backbone says of texts as wholes."""
        return freeze(self._bench.encoder, texts, self._bench.encoder.depth, _VECTOR, keep_states=False)

    def _task(self, place: int) -> "Task":
        return self._bench.stream.task(self._names[place])
