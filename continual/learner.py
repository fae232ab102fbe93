"""The learner: takes tasks one after another, keeps what it learned in a pool, and predicts."""

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from continual.answers import Evaluation, Prediction, Translation, TranslationEvaluation, prediction
from continual.backbone.encoder import Encoder
from continual.backbone.frozen import FrozenCache, FrozenView
from continual.backbone.opening import open_backbone
from continual.backbone.readout import Readout
from continual.backbone.texts import EncodedTexts
from continual.checks import check_is_task, check_learning, check_pairs, check_texts, writer_of
from continual.directory import Directory
from continual.errors import LearningError
from continual.evaluation.kinds import CLASSIFICATION, TRANSLATION
from continual.lessons import Lessons
from continual.methods.base import Learned, Lesson, Method
from continual.participant import method_of_pool
from continual.pool.prompt import PromptRecord
from continual.pool.store import PromptPool
from continual.predictor import Predictor
from continual.settings import LearnerSettings, checked_settings
from continual.storing import DIRECTION, RECORDED, Storing, own_task
from continual.training.checkpoint import Checkpoints
from continual.training.watch import Watcher
from continual.transfer import TRANSFERABILITY
from continual.translator import NO_READOUT, Sources, Translator
from continual.tuning import build_tuning
from continual.tuning.head import Head
from continual.views import Views

if TYPE_CHECKING:
    from continual.growth.capacity import Verdict
    from streams import Task


CAPACITY = "capacity"
"""Where a prompt's provenance keeps the verdict of the test of capacity."""

NOTES = "notes"
"""Where a prompt's provenance keeps what the caller has noted."""

PREDICTED_AT_ONCE = 2048
"""Texts whose features are held together while predicting, so that memory does not grow with the number of texts."""


class Learner:
    """Learns a stream of tasks on one frozen backbone and forgets none of them.

    Args:
        pool: A pool, or the folder of one, which is created where there is none.
        backbone: A loaded encoder, or what `open_backbone` opens: a name of `continual ls backbones`, the folder of a
            saved model, or settings such as `{"name": "hub", "path": "roberta-base"}`.
        settings: How tasks are learned.

    Attributes:
        encoder: The frozen backbone.
        method: What learns a task.
        tuning: What is trained for a task.
        views: Texts as the backbone reads them.
        lessons: Lays out what a method may use to learn a task.
        directory: Finds the prompts that answer.

    Raises:
        PoolError: The pool belongs to another backbone, or is damaged.
        ConfigError: A setting is unknown or out of range.

    Example:
        A simulated stream, learned and used::

            from continual import Learner
            from streams import SimulatedSource, StreamManager

            learner = Learner("my-pool")
            for task in StreamManager(SimulatedSource()):
                learner.learn(task)
            print(learner.predict(["The soup was hot."]))
    """

    def __init__(
        self,
        pool: PromptPool | str | Path,
        backbone: Encoder | Mapping[str, Any] | str | Path = "minilm",
        settings: LearnerSettings | None = None,
    ) -> None:
        self.settings = checked_settings(settings)
        self.method: Method = method_of_pool(self.settings.method)
        self.encoder = backbone if isinstance(backbone, Encoder) else open_backbone(backbone)
        TRANSFERABILITY.entry(self.settings.transfer.metric)
        self.tuning = build_tuning(self.settings.tuning)
        self.method.check_tuning(self.tuning)
        if self.settings.training.perturbs:
            self.encoder.check_perturbed()
        if isinstance(pool, PromptPool):
            pool.check_backbone(self.encoder.fingerprint)
            self.pool = pool
        else:
            about = {"backbone_name": self.encoder.name, "opening": self.encoder.opening}
            self.pool = PromptPool(pool, self.encoder.fingerprint, **about)
        self.views = self._views()
        self.lessons = Lessons(self.views, self.pool, self.settings, self.method, self.tuning)
        self.directory = Directory(self.pool, self.encoder)
        self._turn = threading.Lock()
        self.use(self.pool)

    def use(self, pool: PromptPool) -> None:
        """From now on the prompts that answer are read from `pool`, which is the learner's own on disk."""
        self._answering = pool
        self.predictor = Predictor(self.encoder, pool)
        self._translator: Translator | None = None

    # ------------------------------------------------------------------ learning

    def learn(
        self,
        task: "Task",
        checkpoints: Checkpoints | None = None,
        watcher: Watcher | None = None,
        examine: bool = False,
        run: Mapping[str, Any] | None = None,
        **notes: Any,
    ) -> PromptRecord:
        """Learns one task and stores it in the pool; what the pool held before is not touched.

        Args:
            task: The task. Its test split is not looked at.
            checkpoints: Where trainings keep their state, so that a second call goes on after a crash.
            watcher: Who is told of the progress.
            examine: Test whether the task needs a larger backbone; the verdict is stored with the prompt.
            run: What a run has to find again in the prompt's provenance; only a run needs it.
            **notes: Anything of your own that JSON can hold; it is stored as `provenance["notes"]`.

        Returns:
            The record of the stored prompt. Its provenance tells how it was learned.

        Raises:
            PoolError: The pool was opened for reading only, as by `open_learner`.
            LearningError: It is no task, or cannot be learned in this way.
        """
        check_is_task(task, "learn")
        self.pool.check_writable()
        if not self.encoder.exact:
            raise LearningError(
                f"The backbone {self.encoder.name!r} computes in int8, which is for prediction only; "
                "learn on the original one."
            )
        check_learning(self.method, self.tuning, self.settings.answers, self.encoder, task)
        started = time.monotonic()
        train, dev = self.lessons.material(task)
        ground = self.lessons.ground(task, train, dev)
        if ground is not None:
            train, dev = ground.train, ground.dev
        keys = self.lessons.keys(train)
        hits = self.lessons.recall(keys)
        lesson = self.lessons.lesson(task, train, dev, keys, hits, checkpoints, watcher)
        learned = self.method.learn(lesson)  # ranks its sources and adapts them
        earlier = sum(stage.earlier_seconds for stage in lesson.stages)
        facts = {"recalled": [asdict(hit) for hit in hits[:RECORDED]]} | dict(run or {})
        if notes:
            facts[NOTES] = notes
        if examine:
            verdict = self.capacity(lesson, learned)
            earlier += verdict.earlier_seconds
            facts[CAPACITY] = verdict.to_json()
        if "direction" in task.info:
            facts[DIRECTION] = task.info["direction"]
        facts["seconds"] = time.monotonic() - started + earlier
        final = None if ground is None else ground.final(self.settings.training.refit)
        record = self.store(lesson, learned, final, facts)
        for view in (*train.views, *dev.views):
            self.views.cache.drop(view.texts)
        return record

    def capacity(self, lesson: Lesson, learned: Learned) -> "Verdict":
        """Tests whether prompts can hold the task; see `continual/growth/capacity.py`."""
        from continual.growth.capacity import examine

        cache, rendered = self.views.cache, []

        def view_at(texts: EncodedTexts, layer: int) -> FrozenView:
            rendered.append(texts)
            return cache.view(texts, layer, Readout("none", terms=0))

        verdict = examine(self.method, lesson, learned, self.settings.growth, view_at)
        for texts in rendered:
            if texts is not lesson.train.view.texts and texts is not lesson.dev.view.texts:
                cache.drop(texts)
        return verdict

    def store(self, lesson: Lesson, learned: Learned, ground: Head | None, facts: dict[str, Any]) -> PromptRecord:
        """Puts what was learned into the pool, whole or not at all."""
        return self._storing.store(lesson, learned, ground, facts)

    def settle(self, record: PromptRecord) -> None:
        """Ends what storing `record` had still to do, where a crash came between."""
        self._storing.settle(record)

    # ------------------------------------------------------------------ use

    def predict(
        self, texts: Sequence[str], pairs: Sequence[str] | None = None, task: str | None = None
    ) -> list[Prediction]:
        """The label of every text. Threads may ask at the same time; they take turns.

        Args:
            texts: The texts.
            pairs: Their second texts, for tasks on pairs.
            task: The task they belong to; where it is not told, every text is routed to the prompt that fits it, pairs
                to those of tasks on pairs.

        Raises:
            PoolError: The pool is empty, or has no prompt for `task`.
            LearningError: A text is not a string, texts and pairs differ in number, the told task is no classification,
                or was learned on pairs and single texts were given, or the other way round; likewise all prompts, where
                none is told.
        """
        check_texts(texts, pairs)
        told = self.directory.told(task, CLASSIFICATION, pairs is not None)
        if told is not None:
            check_pairs(told, pairs)
        predictions: list[Prediction] = []
        for start in range(0, len(texts), PREDICTED_AT_ONCE):
            some = slice(start, start + PREDICTED_AT_ONCE)
            with self._turn:
                predictions += self._predict(texts[some], None if pairs is None else pairs[some], told, task)
        return predictions

    def translate(self, texts: Sequence[str], task: str | None = None) -> list[Translation]:
        """The translation of every text.

        Blank texts stay blank. What is longer than the backbone reads is translated piece by piece, of whole sentences
        where these fit. Threads may ask at the same time; they take turns.

        Args:
            texts: The sources.
            task: The task they belong to; where it is not told, every text is routed to the prompt that fits it.

        Raises:
            PoolError: The pool has no prompt of a translation, or none for `task`.
            LearningError: A text is not a string, the backbone writes nothing, or the told task is no translation.
        """
        check_texts(texts, None)
        told = self.directory.told(task, TRANSLATION)
        translations = [Translation("")] * len(texts)
        filled = [place for place, text in enumerate(texts) if text.strip()]
        for start in range(0, len(filled), PREDICTED_AT_ONCE):
            some = filled[start : start + PREDICTED_AT_ONCE]
            with self._turn:
                written = self._translate([texts[place] for place in some], told, task)
            for place, item in zip(some, written, strict=True):
                translations[place] = item
        return translations

    def evaluate(self, task: "Task", told: bool = True) -> Evaluation | TranslationEvaluation:
        """Scores the pool on a task's test split: by what is measured of its kind of task.

        Args:
            task: The task.
            told: Whether the learner is told which task it is, or has to route every text.
        """
        from continual.assessment import evaluate_task

        check_is_task(task, "evaluate")
        return evaluate_task(self, task, told)

    @property
    def translator(self) -> Translator:
        """Applies stored prompts to sources.

        Raises:
            LearningError: The backbone writes nothing.
        """
        if self._translator is None:
            self._translator = Translator(writer_of(self.encoder), self.settings.decoding, self._answering)
        return self._translator

    @property
    def _storing(self) -> Storing:
        return Storing(self.encoder, self.pool, self.settings, self.method)

    def _views(self) -> Views:
        readout = self.settings.readout if self.settings.answers == "head" else NO_READOUT
        megabytes = self.settings.cache_mb
        entry = self.tuning.entry(self.encoder)
        return Views(self.encoder, entry, readout, FrozenCache(self.encoder, megabytes), megabytes)

    def _translate(self, texts: Sequence[str], told: PromptRecord | None, task: str | None) -> list[Translation]:
        sources = Sources.of(writer_of(self.encoder), texts)
        view = self.views.of(sources.pieces, keep=False, readout=NO_READOUT)
        routes = self.directory.routes(sources.profile(view), told, TRANSLATION)
        written = self.translator.translate(sources, range(len(texts)), [item.prompt for item in routes], view)
        tasks = {prompt: own_task(self.pool.record(prompt)) for prompt in {item.prompt for item in routes}}
        return [
            Translation(text, task or tasks[item.prompt], item.prompt, item.known, item.similarity)
            for text, item in zip(written.texts, routes, strict=True)
        ]

    def _predict(
        self, texts: Sequence[str], pairs: Sequence[str] | None, told: PromptRecord | None, task: str | None
    ) -> list[Prediction]:
        view = self.views.of(self.encoder.tokenize(texts, pairs), keep=False)
        routes = self.directory.routes(view.profile, told, pairs=pairs is not None)
        logits = self.predictor.logits(view, range(len(view)), [item.prompt for item in routes])
        records = {prompt: self.pool.record(prompt) for prompt in {item.prompt for item in routes}}
        return [
            prediction(item, records[item.prompt], scores, task) for item, scores in zip(routes, logits, strict=True)
        ]
