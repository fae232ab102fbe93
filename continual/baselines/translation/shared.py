"""Baselines of translation with one model for all tasks."""

import time
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING

from continual.baselines.base import Bench
from continual.baselines.methods import SharedModel
from continual.baselines.translation.memories import MODEL, Past, TextMemory
from continual.baselines.translation.model import WholeModel
from continual.baselines.translation.participant import TranslationBaseline, learned_of, score_of
from continual.participant import LearnedTask, TaskScores
from continual.seeding import seed_of
from continual.training.checkpoint import Checkpoints
from continual.training.watch import Watcher

if TYPE_CHECKING:
    from streams import Task

_NOT_MEASURED = TaskScores(None, None)


class SharedTranslator(TranslationBaseline):
    """See `Participant`. A task starts from the state after the last one as it is on disk.

    The model is not told the task and translates alike whether it is told or not.

    Args:
        baseline: Its options.
        bench: Where it works.
        memory: What is kept of earlier tasks beside the model.
    """

    def __init__(self, baseline: SharedModel, bench: Bench, memory: TextMemory) -> None:
        super().__init__(bench, baseline.rates.body)
        self._baseline, self._memory = baseline, memory
        self._ready: tuple[int, WholeModel] | None = None

    def prompts(self) -> list[str]:
        """See `Participant.prompts`: one model answers everything."""
        return []

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
        tasks = [self._task(place) for place in self._baseline.places(position)]
        remembered = [(self._task(place), rows) for place, rows in enumerate(self._memory.rows(past))]
        train, dev = self._text(tasks, "train", remembered), self._text(tasks, "dev")
        model = self._model_after(past.learned)
        penalty = self._memory.penalty(past)
        result = self._fit(model, task, train, dev, checkpoints, watcher, penalty, len(tasks))
        settings, own = self._bench.settings, self._text([task], "train")
        seed = seed_of(settings.seed, task.name, "memory")
        kept, facts = self._memory.kept(model, own, past, settings.training.batch_size, seed)
        seconds = time.monotonic() - started + result.earlier_seconds
        learned = learned_of(result, train, dev, seconds, model.size)
        weights = {f"{MODEL}{name}": value for name, value in model.trained().items()}
        self._states.save(position + 1, weights | kept, {"learned": asdict(learned), "memory": facts})
        if not self._memory.needs_all:
            self._states.remove(position)
        return learned

    def unseen(self, task: "Task", learned: int) -> TaskScores | None:
        """See `Participant.unseen`: the model translates whatever it is given."""
        return self.scores(task, learned) if learned else None

    def scores(self, task: "Task", learned: int) -> TaskScores:
        """See `Participant.scores`."""
        if self._baseline.waits(learned - 1, len(self._names)):
            return _NOT_MEASURED
        if self._ready is None or self._ready[0] != learned:
            self._ready = (learned, self._model_after(learned))
        score = score_of(task, self._written(self._ready[1].backbone, task))
        return TaskScores(score, score)

    def reread(self, tasks: "Iterable[Task]") -> None:
        """See `Participant.reread`."""
        self._ready = None

    def _past(self, learned: int) -> Past:
        facts = self._states.load(learned)[1]["memory"] if learned else {}
        return Past(learned, facts, lambda number: self._states.load(number)[0])

    def _model_after(self, learned: int) -> WholeModel:
        if not learned:
            return WholeModel(self._backbone)
        tensors = self._states.load(learned)[0]
        return self._loaded(
            {name.removeprefix(MODEL): value for name, value in tensors.items() if name.startswith(MODEL)}
        )
