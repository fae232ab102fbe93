"""The baseline of translation with a model of its own for each task."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from continual.backbone.frozen import freeze
from continual.baselines.base import Bench
from continual.baselines.methods import PerTask
from continual.baselines.places import Places
from continual.baselines.translation.model import WholeModel
from continual.baselines.translation.participant import TranslationBaseline, learned_of, score_of
from continual.participant import LearnedTask, SplitScore, TaskScores
from continual.training.checkpoint import Checkpoints
from continual.training.watch import Watcher
from continual.translation_assessment import same_direction
from continual.translator import NO_READOUT, Sources, Written

if TYPE_CHECKING:
    from streams import Task


class SeparateTranslators(TranslationBaseline):
    """See `Participant`. A fine-tuned copy of the backbone for each task; routing is that of the pool.

    Args:
        baseline: Its options.
        bench: Where it works.
    """

    def __init__(self, baseline: PerTask, bench: Bench) -> None:
        super().__init__(bench, baseline.rates.body)
        self._answers: dict[tuple[int, str], Written] = {}
        self._places = Places(self._states, bench.settings)
        self._profiles: dict[str, Tensor] = {}

    def prompts(self) -> list[str]:
        """See `Participant.prompts`: models go by the names of their tasks."""
        return [name for place, name in enumerate(self._names) if self._states.has(place + 1)]

    def stored(self, task: "Task", position: int) -> LearnedTask | None:
        """See `Participant.stored`."""
        if not self._states.has(position + 1):
            return None
        return LearnedTask(**self._states.load(position + 1)[1])

    def learn(self, task: "Task", position: int, checkpoints: Checkpoints, watcher: Watcher) -> LearnedTask:
        """See `Participant.learn`."""
        started = time.monotonic()
        train, dev = self._text([task], "train"), self._text([task], "dev")
        profiles, held_out = (self._profile(list(split["text"])) for split in (task.train, task.dev))
        model = WholeModel(self._backbone)
        result = self._fit(model, task, train, dev, checkpoints, watcher)
        seconds = time.monotonic() - started + result.earlier_seconds
        learned = learned_of(result, train, dev, seconds, model.size, task.name)
        # The model comes last: where it is, its place is known too.
        self._places.keep(position, profiles, held_out)
        self._states.save(position + 1, model.trained(), asdict(learned))
        return learned

    def unseen(self, task: "Task", learned: int) -> TaskScores | None:
        """See `Participant.unseen`: the nearest models of the task's direction answer, told or not."""
        able = [place for place in range(learned) if same_direction(self._task(place).info, task.info)]
        if not able:
            return None
        score = self._routed(task, able, learned)
        return TaskScores(score, score)

    def scores(self, task: "Task", learned: int) -> TaskScores:
        """See `Participant.scores`."""
        written, count = self._answered(self._names.index(task.name), task), len(task.test)
        aware = score_of(task, written, prompts=[task.name] * count, own=1.0, unknown=0.0)
        return TaskScores(aware, self._routed(task, range(learned), learned))

    def reread(self, tasks: "Iterable[Task]") -> None:
        """See `Participant.reread`."""
        self._answers.clear()
        self._places.clear()

    def _routed(self, task: "Task", places: Sequence[int], learned: int) -> SplitScore:
        """Every sentence goes to one of the models at some places of the stream, of `learned` ones."""
        chosen, unknown = self._places.route(self._test_profile(task), places, learned)
        every = {place: self._answered(places[place], task) for place in set(chosen.tolist())}
        texts = [every[place].texts[row] for row, place in enumerate(chosen.tolist())]
        prompts = [self._names[places[place]] for place in chosen.tolist()]
        return score_of(
            task,
            Written(texts, sum(it.tokens for it in every.values()), sum(it.seconds for it in every.values())),
            prompts=prompts,
            own=float(np.mean([name == task.name for name in prompts])),
            unknown=unknown,
        )

    def _answered(self, place: int, task: "Task") -> Written:
        """What the model at a place makes of a task's test split; each is asked, and its tokens counted, once."""
        key = (place, task.name)
        if key in self._answers:
            return self._answers[key]
        model = self._loaded(self._states.load(place + 1)[0])
        written = self._written(model.backbone, task)
        self._answers[key] = replace(written, tokens=0, seconds=0.0)
        return written

    def _test_profile(self, task: "Task") -> Tensor:
        if task.name not in self._profiles:
            self._profiles[task.name] = self._profile(list(task.test["text"]))
        return self._profiles[task.name]

    def _profile(self, texts: list[str]) -> Tensor:
        """What the frozen backbone routes each text by, [texts, 2 * width]."""
        sources = Sources.of(self._backbone, texts)
        return sources.profile(freeze(self._backbone, sources.pieces, 0, NO_READOUT, keep_states=False))
