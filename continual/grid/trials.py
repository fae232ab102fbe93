"""The trainings of a grid under one seed."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from continual.backbone.encoder import Encoder
from continual.config import RunConfig
from continual.construction import construct_named
from continual.errors import LearningError, RunError
from continual.evaluation.kinds import CLASSIFICATION
from continual.grid.records import Outcome, Own, Pair
from continual.learner import Learner
from continual.methods import METHODS
from continual.methods.base import Learned, Lesson
from continual.pool.search import Hit
from continual.progress import Progress
from continual.seeding import seed_of
from continual.tracking.tracker import NullTracker
from continual.training.checkpoint import FolderCheckpoints
from continual.training.examples import Examples
from continual.training.ground import Ground, lay_ground
from continual.training.model import PromptModel
from continual.tuning.head import Evidence, Head
from continual.views import texts_of
from streams import build_stream

if TYPE_CHECKING:
    from datasets import Dataset

_OWN, _TEACHER = "probe", "teacher-1"
"""PANDA's names for these trainings: what is trained here under the same names it finds done."""

_Saved = tuple[dict[str, Tensor], dict[str, Any]]


class Trials:
    """Trains each task's own prompt, and transfers prompts from task to task.

    Prompts from scratch are stored in a pool, from which they are taken as sources. Their trainings stay on disk, since
    every transfer to their task builds on them.

    Args:
        folder: Where pool and trainings are kept.
        config: The configuration of this seed; its method is PANDA.
        encoder: The frozen backbone.
        progress: Who is told, and may ask to stop.
    """

    def __init__(self, folder: Path, config: RunConfig, encoder: Encoder, progress: Progress) -> None:
        self._folder, self._progress, self._seed = folder, progress, config.seed
        self._panda = construct_named(METHODS, config.learner.method, "method")
        settings = dataclasses.replace(config.learner, method={"name": "scratch"})  # how what is stored was learned
        self._learner = Learner(folder / "pool", encoder, settings)
        self._stream = build_stream(config.stream, config.seed)

    def own(self, name: str) -> Own:
        """Trains a task's own prompt from scratch and stores it."""
        lesson, ground, test = self._prepared(name)
        model = lesson.fit(_OWN, lesson.fresh())
        if self._learner.pool.latest(name) is None:
            head = ground.final(self._learner.settings.training.refit)
            self._learner.store(lesson, Learned(model, _OWN), head, {"seconds": lesson.stages[0].seconds})
        self._forget(lesson, test)
        return Own(name, self._seed, _outcome(lesson, _OWN, model, test))

    def pairs(self, target: str, sources: Sequence[str]) -> Iterator[Pair]:
        """Transfers the prompts of `sources`, whose own prompts are trained, to `target`, one after another."""
        lesson, _, test = self._prepared(target, sources)
        probe = lesson.fit(_OWN, lesson.fresh())
        scores = {item.prompt: dict(item.scores) for item in lesson.rank(probe)}
        for name, source in zip(sources, lesson.sources, strict=True):
            self._progress.check()
            one = dataclasses.replace(lesson, sources=[source], stages=[], checkpoints=_Remembered(lesson.checkpoints))
            transferred = one.fit(_TEACHER, source.tensors)
            learned = self._panda.learn(one)
            yield Pair(
                source=name,
                target=target,
                seed=self._seed,
                scores=scores[source.prompt],
                transfer=_outcome(one, _TEACHER, transferred, test),
                panda=_outcome(one, learned.stage, learned.model, test),
                distilled=bool(learned.used),
            )
        self._forget(lesson, test)

    def _prepared(self, name: str, sources: Sequence[str] = ()) -> tuple[Lesson, Ground, Examples]:
        """The task as a lesson with these sources, its ground, and its test texts."""
        learner, lessons, task = self._learner, self._learner.lessons, self._stream.task(name)
        if task.kind != CLASSIFICATION:
            raise LearningError(
                f"Task {name!r} is a {task.kind}, but a grid measures transfer between classifications; choose another "
                "stream."
            )
        train, dev = lessons.material(task)
        ground = lay_ground(train, dev, len(task.labels), seed_of(self._seed, name), learner.views.cache)
        checkpoints = FolderCheckpoints(self._folder / "own" / f"{self._stream.names.index(name):04d}")
        hits = [Hit(learner.directory.prompt_of(source).id, 1.0) for source in sources]
        watcher = self._progress.watcher(name, NullTracker())
        lesson = lessons.lesson(task, ground.train, ground.dev, lessons.keys(train), hits, checkpoints, watcher)
        if len(lesson.sources) < len(sources):
            raise RunError(f"The prompts in {learner.pool.path} were made by another version; start a new grid.")
        return lesson, ground, self._test(task.test, ground.head())

    def _test(self, split: "Dataset", head: Head) -> Examples:
        view = self._learner.views.of(texts_of(split, self._learner.encoder))
        ground = head.logits(Evidence(view.features, head.dictionary.bags(view.terms)))
        return Examples(view, torch.tensor(list(split["label"]), dtype=torch.long), ground)

    def _forget(self, lesson: Lesson, test: Examples) -> None:
        """What the frozen backbone made of the texts is not needed any more."""
        for part in (lesson.train, lesson.dev, test):
            self._learner.views.cache.drop(part.view.texts)


@dataclass
class _Remembered:
    """Checkpoints of the trainings of one transfer, in memory; what is not among them is looked up in `before`.

    A transfer takes seconds, so nothing of it is worth writing; that its stages find each other done is.
    """

    before: Any
    saved: dict[str, _Saved] = dataclasses.field(default_factory=dict)

    def save(self, name: str, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """See `Checkpoints.save`. Copies, because training goes on in what it saves."""
        self.saved[name] = {key: value.clone() for key, value in tensors.items()}, {**state, "curve": [*state["curve"]]}

    def load(self, name: str) -> _Saved | None:
        """See `Checkpoints.load`."""
        return self.saved.get(name) or self.before.load(name)


def _outcome(lesson: Lesson, stage: str, model: PromptModel, test: Examples) -> Outcome:
    """How the training called `stage` went, whose best weights are in `model`."""
    result = next(item for item in lesson.stages if item.stage == stage)
    return Outcome(
        first=result.curve[1]["dev_accuracy"],
        dev=result.dev_accuracy,
        test=model.score(test)[0],
        epoch=result.best_epoch,
        steps=result.steps,
        seconds=result.seconds,
    )
