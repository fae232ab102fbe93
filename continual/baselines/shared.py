"""Baselines with one model for all tasks, as a participant of a run."""

import time
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from continual.backbone.texts import EncodedTexts, Ragged, join
from continual.baselines import osf
from continual.baselines._avalanche import quiet
from continual.baselines.base import Bench
from continual.baselines.export import Units, experiences_of, split_dataset, tokenised
from continual.baselines.memories import MODEL, Past
from continual.baselines.methods import SharedModel
from continual.baselines.model import Classifier, classifier
from continual.baselines.records import fine_tuned
from continual.baselines.scoring import answers, split_score
from continual.baselines.states import States
from continual.baselines.training import Assignment, CumulativeTuning, FineTuning, JointTuning
from continual.participant import LearnedTask, SplitScore, TaskScores, guess
from continual.training.checkpoint import Checkpoints
from continual.training.loop import FitResult
from continual.training.watch import Watcher

if TYPE_CHECKING:
    from streams import Task

_STRATEGIES = {"task": FineTuning, "so far": CumulativeTuning, "all": JointTuning}
_NOT_MEASURED = TaskScores(None, None)


class SharedParticipant:
    """See `Participant`.

    A task starts from the state after the last one as it is on disk, and ends with a new state on disk.

    Args:
        baseline: Its options.
        bench: Where it works.
    """

    tuning = None
    artifacts = ()

    def __init__(self, baseline: SharedModel, bench: Bench) -> None:
        baseline.check(bench.encoder)
        self._baseline, self._bench = baseline, bench
        self._names = bench.stream.names
        self._memory = baseline.memory(len(self._names))
        self._states = States(bench.folder)
        self._units = Units(bench.stream)
        self._tests: dict[str, EncodedTexts] = {}
        self._ready: tuple[int, Classifier] | None = None

    @property
    def notes(self) -> list[str]:
        """See `Participant.notes`."""
        return []

    def prompts(self) -> list[str]:
        """See `Participant.prompts`: one model answers everything."""
        return []

    def check(self, learned: int) -> None:
        """See `Participant.check`."""
        self._states.check(learned, len(self._names))

    def stored(self, task: "Task", position: int) -> LearnedTask | None:
        """See `Participant.stored`."""
        if not self._states.has(position + 1):
            return None
        return LearnedTask(**self._states.load(position + 1)[1]["learned"])

    def learn(self, task: "Task", position: int, checkpoints: Checkpoints, watcher: Watcher) -> LearnedTask:
        """See `Participant.learn`."""
        started = time.monotonic()
        self._ready = None  # two models in memory are enough
        if self._baseline.waits(position, len(self._names)):
            return LearnedTask(len(task.train), len(task.dev), time.monotonic() - started, 0, None, None, [])
        past = self._past(0 if self._baseline.texts == "all" else position)
        model = past.model()
        preserved = self._baseline.preserved(position, len(self._names))
        if preserved is not None:
            osf.divide(model, preserved)
        assignment = self._assignment(task, position, checkpoints, watcher)
        result, kept, facts = self._train(model, assignment, past, position)
        train = sum(len(self._task(place).train) for place in self._baseline.places(position))
        learned = fine_tuned(result, model, time.monotonic() - started, train, len(assignment.targets))
        if preserved is not None:
            osf.unite(model)
        weights = {f"{MODEL}{name}": value for name, value in model.weights().items()}
        self._states.save(position + 1, weights | kept, {"learned": asdict(learned), "memory": facts})
        if not self._memory.needs_all:
            self._states.remove(position)
        return learned

    def untaught(self, task: "Task") -> SplitScore:
        """See `Participant.untaught`."""
        return guess(task)

    def unseen(self, task: "Task", learned: int) -> TaskScores | None:
        """See `Participant.unseen`: the model answers where it has an output for every label of the task."""
        if learned and self._baseline.waits(learned - 1, len(self._names)):
            return _NOT_MEASURED
        if not set(task.labels) <= self._units.known(learned).keys():
            return None
        return self.scores(task, learned)

    def scores(self, task: "Task", learned: int) -> TaskScores:
        """See `Participant.scores`: told, the labels of the task are possible, not told, all that were seen so far."""
        if self._baseline.waits(learned - 1, len(self._names)):
            return _NOT_MEASURED
        if task.name not in self._tests:
            self._tests[task.name] = tokenised(task, "test", self._bench.encoder)
        logits, units = self._model(learned).logits(self._tests[task.name]), self._units.known(learned)
        aware, routed = (
            split_score(task, answers(logits, units, allowed, task.labels))
            for allowed in (list(task.labels), list(units))
        )
        return TaskScores(aware, routed)

    def reread(self, tasks: "Iterable[Task]") -> None:
        """See `Participant.reread`."""
        self._ready = None

    def save(self) -> None:
        """See `Participant.save`: an answer is never needed again, since the model changes."""

    def finish(self) -> None:
        """See `Participant.finish`."""
        self._states.clear()

    def _train(
        self, model: Classifier, assignment: Assignment, past: Past, position: int
    ) -> tuple[FitResult, dict[str, Tensor], dict[str, Any]]:
        """Trains the model by Avalanche's strategy; how that went, and what the memory keeps of it."""
        plugins = self._memory.plugins(past)
        with quiet():
            strategy = _STRATEGIES[self._baseline.texts](
                model=model, assignment=assignment, plugins=plugins, earlier=past.learned
            )
            experiences = experiences_of([past.texts(place) for place in self._baseline.places(position)])
            if isinstance(strategy, CumulativeTuning):
                for earlier in experiences[:-1]:
                    strategy.dataset = (
                        earlier.dataset if strategy.dataset is None else strategy.dataset.concat(earlier.dataset)
                    )
            strategy.train(experiences if isinstance(strategy, JointTuning) else experiences[-1], eval_streams=[])
        assert strategy.result is not None  # train() has gone through all epochs
        return strategy.result, *self._memory.kept(plugins, past)

    def _assignment(self, task: "Task", position: int, checkpoints: Checkpoints, watcher: Watcher) -> Assignment:
        settings, units = self._bench.settings, self._units.known(position + 1)
        tasks = [self._task(place) for place in self._baseline.places(position)]
        dev = [tokenised(other, "dev", self._bench.encoder) for other in tasks]
        return Assignment(
            task=task.name,
            dev=_joined(dev),
            targets=torch.tensor([units[other.labels[label]] for other in tasks for label in other.dev["label"]]),
            config=settings.training.for_tasks(len(tasks)),
            rates=self._baseline.rates,
            seed=settings.seed,
            checkpoints=checkpoints,
            watcher=watcher,
        )

    def _past(self, learned: int) -> Past:
        def texts(place: int) -> Any:
            units = self._units.known(place + 1)
            return split_dataset(self._task(place), "train", self._bench.encoder, units)

        facts = self._states.load(learned)[1]["memory"] if learned else {}
        return Past(learned, facts, lambda n: self._states.load(n)[0], lambda: self._stored_model(learned), texts)

    def _task(self, place: int) -> "Task":
        return self._bench.stream.task(self._names[place])

    def _model(self, learned: int) -> Classifier:
        """The model after so many tasks, to answer with."""
        if self._ready is None or self._ready[0] != learned:
            self._ready = (learned, self._stored_model(learned))
        return self._ready[1]

    def _stored_model(self, learned: int) -> Classifier:
        model = classifier(self._bench.encoder, self._bench.settings)
        if learned:
            tensors = self._states.load(learned)[0]
            model.load({name.removeprefix(MODEL): value for name, value in tensors.items() if name.startswith(MODEL)})
        return model


def _joined(parts: list[EncodedTexts]) -> EncodedTexts:
    """Texts of several tasks, one after the other; a single text is all of the first segment."""
    ids, pairs = join([part.ids for part in parts]), any(part.pairs for part in parts)
    if all(part.types is None for part in parts):
        return EncodedTexts(ids, None, pairs)
    types = [part.types or Ragged(torch.zeros_like(part.ids.values), part.ids.offsets) for part in parts]
    return EncodedTexts(ids, join(types), pairs)
