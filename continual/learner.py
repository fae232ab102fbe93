"""The learner: takes tasks one after another, keeps what it learned in a pool, and predicts."""

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from continual.answers import Evaluation, Prediction, Translation, TranslationEvaluation, prediction
from continual.backbone import BACKBONES
from continual.backbone.encoder import Encoder
from continual.backbone.frozen import FrozenCache, FrozenView
from continual.backbone.readout import Readout
from continual.backbone.text_to_text import TextToText
from continual.backbone.texts import EncodedTexts
from continual.checks import check_learning, check_pairs, check_texts
from continual.construction import construct_named
from continual.errors import LearningError, PoolError
from continual.evaluation.kinds import CLASSIFICATION, TRANSLATION
from continual.methods import METHODS
from continual.methods.base import Learned, Lesson, Method, Source
from continual.pool.clusters import spherical_kmeans
from continual.pool.prompt import Prompt, PromptRecord
from continual.pool.search import Hit
from continual.pool.store import PromptPool
from continual.predictor import Predictor
from continual.registry import suggestion
from continual.router import Route, route
from continual.seeding import seed_of
from continual.settings import LearnerSettings
from continual.storing import DIRECTION, RECORDED, Storing, kind_of, serves, shared_name
from continual.training.checkpoint import Checkpoints, NoCheckpoints
from continual.training.examples import Examples, Material
from continual.training.ground import Ground, lay_ground
from continual.training.label_model import Worded
from continual.training.pairs import Pairs
from continual.training.watch import Silent, Watcher
from continual.transfer import TRANSFERABILITY
from continual.transfer.probe import probe_version
from continual.transfer.signature import Prober, stored_signature
from continual.translator import NO_READOUT, Sources, Translator
from continual.tuning import build_tuning, stored_tuning
from continual.tuning.base import trained_tensors
from continual.tuning.head import Head

if TYPE_CHECKING:
    from datasets import Dataset

    from continual.growth.capacity import Verdict
    from streams import Task


CAPACITY = "capacity"
"""Where a prompt's provenance keeps the verdict of the test of capacity."""

PREDICTED_AT_ONCE = 2048
"""Texts whose features are held together while predicting, so that memory does not grow with the number of texts."""


class Learner:
    """Learns a stream of tasks on one frozen backbone and forgets none of them.

    Args:
        pool: A pool, or the folder of one, which is created where there is none.
        backbone: A loaded encoder, or a name of `continual ls backbones`.
        settings: How tasks are learned.

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
        backbone: Encoder | str = "minilm",
        settings: LearnerSettings | None = None,
    ) -> None:
        self.settings = settings or LearnerSettings()
        self.encoder = BACKBONES.load(backbone)() if isinstance(backbone, str) else backbone
        self.method: Method = construct_named(METHODS, self.settings.method, "method")
        TRANSFERABILITY.entry(self.settings.transfer.metric)
        self.tuning = build_tuning(self.settings.tuning)
        self.entry = self.tuning.entry(self.encoder)
        self.readout = self.settings.readout if self.settings.answers == "head" else NO_READOUT
        if self.settings.training.perturbs:
            self.encoder.check_perturbed()
        if isinstance(pool, PromptPool):
            self.pool = pool
        else:
            self.pool = PromptPool(pool, self.encoder.fingerprint, backbone_name=self.encoder.name)
        self.cache = FrozenCache(self.encoder, self.settings.cache_mb)
        self.use(self.pool)
        self._prober: Prober | None = None

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
        **provenance: Any,
    ) -> PromptRecord:
        """Learns one task and stores it in the pool; what the pool held before is not touched.

        Args:
            task: The task. Its test split is not looked at.
            checkpoints: Where trainings keep their state, so that a second call goes on after a crash.
            watcher: Who is told of the progress.
            examine: Test whether the task needs a larger backbone; the verdict is stored with the prompt.
            **provenance: Further JSON-able facts to be stored with the prompt.

        Returns:
            The record of the stored prompt. Its provenance tells how it was learned.
        """
        if not self.encoder.exact:
            raise LearningError(
                f"The backbone {self.encoder.name!r} computes in int8, which is for prediction only; "
                "learn on the original one."
            )
        check_learning(self.method, self.tuning, self.settings.answers, self.encoder, task)
        started = time.monotonic()
        train, dev = self.fingerprint(task)
        ground = self.ground(task, train, dev)
        if ground is not None:
            train, dev = ground.train, ground.dev
        keys = self.keys(train)
        hits = self.recall(keys)
        lesson = self.lesson(task, train, dev, keys, hits, checkpoints, watcher)
        learned = self.method.learn(lesson)  # ranks its sources and adapts them
        provenance |= {CAPACITY: self.capacity(lesson, learned).to_json()} if examine else {}
        earlier = sum(stage.earlier_seconds for stage in lesson.stages)
        facts = {"seconds": time.monotonic() - started + earlier, "recalled": [asdict(hit) for hit in hits[:RECORDED]]}
        if "direction" in task.info:
            facts[DIRECTION] = task.info["direction"]
        record = self.store(
            lesson, learned, None if ground is None else ground.final(self.settings.training.refit), facts | provenance
        )
        for view in (*train.views, *dev.views):
            self.cache.drop(view.texts)
        return record

    def fingerprint(self, task: "Task") -> tuple[Material, Material]:
        """The frozen backbone reads the task's train and dev texts."""
        if task.kind == TRANSLATION:
            return self._pairs(task.train), self._pairs(task.dev)
        train, dev = (self._examples(split, len(task.labels)) for split in (task.train, task.dev))
        if self.settings.answers == "head":
            return train, dev
        words = self.writer.tokenize_targets(task.labels)
        return tuple(Worded(part.view, part.labels, part.ground, words) for part in (train, dev))

    def ground(self, task: "Task", train: Material, dev: Material) -> Ground | None:
        """What is known of a classification without a prompt; None where the method does without."""
        if not (self.method.grounded and isinstance(train, Examples) and isinstance(dev, Examples)):
            return None
        if self.settings.answers == "label":
            return None
        return lay_ground(train, dev, len(task.labels), seed_of(self.settings.seed, task.name), self.cache)

    def keys(self, train: Material) -> Tensor:
        """The search keys of a task: unit centroids of its texts, [keys, width]."""
        embedding = train.view.embedding.numpy()
        return torch.from_numpy(spherical_kmeans(embedding, self.settings.routing.keys, self.settings.seed))

    def recall(self, keys: Tensor) -> list[Hit]:
        """The prompts of the pool whose keys are nearest to a new task's keys, nearest first."""
        wanted = self.settings.transfer.recalled(len(self.pool))
        if not wanted:
            return []
        best: dict[str, float] = {}
        for hits in self.pool.search(keys, wanted, self.pool.superseded()):
            for hit in hits:
                best[hit.prompt_id] = max(hit.score, best.get(hit.prompt_id, -1.0))
        ordered = sorted(best.items(), key=lambda item: (-item[1], item[0]))
        return [Hit(prompt, score) for prompt, score in ordered[:wanted]]

    def lesson(
        self,
        task: "Task",
        train: Material,
        dev: Material,
        keys: Tensor,
        hits: Sequence[Hit],
        checkpoints: Checkpoints | None = None,
        watcher: Watcher | None = None,
    ) -> Lesson:
        """Lays out everything that the method may use."""
        return Lesson(
            task=task.name,
            labels=tuple(task.labels),
            train=train,
            dev=dev,
            encoder=self.encoder,
            tuning=self.tuning,
            training=self.settings.training,
            metric=self.settings.transfer.metric,
            sources=[source for hit in hits if (source := self._source(hit.prompt_id)) is not None],
            keys=keys,
            prober=self.prober,
            seed=self.settings.seed,
            checkpoints=checkpoints or NoCheckpoints(),
            watcher=watcher or Silent(),
            earlier=self.earlier(task) if self.method.builds else (),
        )

    def earlier(self, task: "Task") -> list[Prompt]:
        """What the method has learned before, newest first: its shared model, or the newest prompt of each other task.

        Args:
            task: What is to be learned; a prompt that it has already is replaced and not built on.

        Raises:
            LearningError: The shared model is of another kind of task.
        """
        if self.method.shared:
            record = self.pool.latest(shared_name(self.method.name))
            if record is not None and kind_of(record) != task.kind:
                raise LearningError(
                    f"method={self.method.name} has one model for all tasks, and that in {self.pool.path} is of "
                    f"{kind_of(record)} tasks; learn {task.kind} tasks in a pool of their own."
                )
            return [] if record is None else [self.pool.get(record.id)]
        newest = [self.pool.latest(name) for name in reversed(self.pool.tasks()) if name != task.name]
        return [
            self.pool.get(record.id) for record in newest if record is not None and self._built_on(record, task.kind)
        ]

    def _built_on(self, record: PromptRecord, kind: str) -> bool:
        same = record.method == self.method.name and kind_of(record) == kind
        return same and stored_tuning(record.tuning).base.spec() == self.tuning.spec()

    def capacity(self, lesson: Lesson, learned: Learned) -> "Verdict":
        """Tests whether prompts can hold the task; see `continual/growth/capacity.py`."""
        from continual.growth.capacity import examine

        nothing = Readout("none", terms=0)
        return examine(
            lesson, learned, self.settings.growth, lambda texts, layer: self.cache.view(texts, layer, nothing)
        )

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
        """The label of every text.

        Args:
            texts: The texts.
            pairs: Their second texts, for tasks on pairs.
            task: The task they belong to; where it is not told, every text is routed to the prompt that fits it.

        Raises:
            PoolError: The pool is empty, or has no prompt for `task`.
            LearningError: A text is not a string, texts and pairs differ in number, the told task is no classification,
                or was learned on pairs and single texts were given, or the other way round.
        """
        check_texts(texts, pairs)
        told = self._told(task, CLASSIFICATION)
        if told is not None:
            check_pairs(told, pairs)
        predictions: list[Prediction] = []
        for start in range(0, len(texts), PREDICTED_AT_ONCE):
            some = slice(start, start + PREDICTED_AT_ONCE)
            predictions += self._predict(texts[some], None if pairs is None else pairs[some], told, task)
        return predictions

    def translate(self, texts: Sequence[str], task: str | None = None) -> list[Translation]:
        """The translation of every text.

        Blank texts stay blank. What is longer than the backbone reads is translated piece by piece, of whole sentences
        where these fit.

        Args:
            texts: The sources.
            task: The task they belong to; where it is not told, every text is routed to the prompt that fits it.

        Raises:
            PoolError: The pool has no prompt of a translation, or none for `task`.
            LearningError: A text is not a string, the backbone writes nothing, or the told task is no translation.
        """
        check_texts(texts, None)
        told = self._told(task, TRANSLATION)
        translations = [Translation("")] * len(texts)
        filled = [place for place, text in enumerate(texts) if text.strip()]
        for start in range(0, len(filled), PREDICTED_AT_ONCE):
            some = filled[start : start + PREDICTED_AT_ONCE]
            for place, item in zip(some, self._translate([texts[place] for place in some], told, task), strict=True):
                translations[place] = item
        return translations

    def kinds(self, task: str | None = None) -> set[str]:
        """The kinds of tasks that the pool's prompts answer, or that of a task that is told."""
        if task is not None:
            return {kind_of(self.prompt_of(task))}
        if not isinstance(self.encoder, TextToText):
            return {CLASSIFICATION}
        return {kind_of(record) for record in self.pool.records()}

    def evaluate(self, task: "Task", told: bool = True) -> Evaluation | TranslationEvaluation:
        """Scores the pool on a task's test split: by what is measured of its kind of task.

        Args:
            task: The task.
            told: Whether the learner is told which task it is, or has to route every text.
        """
        from continual.assessment import evaluate_task

        return evaluate_task(self, task, told)

    def view(self, texts: EncodedTexts, keep: bool = True, readout: Readout | None = None) -> FrozenView:
        """What the frozen backbone makes of texts; kept in the cache where they will be used again."""
        cache = self.cache if keep else FrozenCache(self.encoder, self.settings.cache_mb)
        return cache.view(texts, self.entry, readout or self.readout)

    def routes(self, embedding: Tensor, told: PromptRecord | None = None, kind: str = CLASSIFICATION) -> list[Route]:
        """Which prompt each text goes to: the one of the told task, or the nearest of a kind of task.

        Args:
            embedding: Unit vectors of the texts, [texts, width], see `FrozenView`.
            told: The told task's prompt.
            kind: The kind of task, where none is told.
        """
        if not len(embedding):
            return []
        if told is None:
            return route(self.pool, embedding, self.closed_to(kind))
        keys = self.pool.get(told.id).tensors["keys"]
        nearest = (embedding @ keys.T).amax(dim=1)
        return [Route(told.id, float(similarity), True) for similarity in nearest]

    def closed_to(self, kind: str) -> frozenset[str]:
        """Ids of the prompts that no text of a kind of task is routed to: superseded ones, and those of other kinds."""
        superseded = self.pool.superseded()
        if not isinstance(self.encoder, TextToText):  # whose prompts are all of classifications
            return superseded
        return superseded | {record.id for record in self.pool.records() if kind_of(record) != kind}

    def find(self, task: str) -> PromptRecord | None:
        """The newest prompt of a task, or the newest shared one that serves it; None without any."""
        own = self.pool.latest(task)
        if own is not None:
            return own
        shared = [self.pool.latest(shared_name(method)) for method in METHODS.names()]
        serving = [record for record in shared if record is not None and serves(record, task)]
        return max(serving, key=lambda record: record.created, default=None)

    def prompt_of(self, task: str) -> PromptRecord:
        """The newest prompt that answers for a task.

        Raises:
            PoolError: The pool has none.
        """
        record = self.find(task)
        if record is None:
            tasks = self.pool.tasks()
            raise PoolError(
                f"The pool {self.pool.path} has no prompt for the task {task!r}{suggestion(task, tasks)}; "
                f"it knows: {', '.join(tasks)}."
            )
        return record

    @property
    def _storing(self) -> Storing:
        return Storing(self.encoder, self.pool, self.settings, self.method)

    @property
    def writer(self) -> TextToText:
        """The backbone, where it can translate.

        Raises:
            LearningError: It writes nothing.
        """
        if not isinstance(self.encoder, TextToText):
            raise LearningError(
                f"The backbone {self.encoder.name!r} is an encoder, which writes nothing; use one that does, such as "
                "backbone=seq2seq."
            )
        return self.encoder

    @property
    def translator(self) -> Translator:
        """Applies stored prompts to sources.

        Raises:
            LearningError: The backbone writes nothing.
        """
        if self._translator is None:
            self._translator = Translator(self.writer, self.settings.decoding, self._answering)
        return self._translator

    @property
    def prober(self) -> Prober:
        """Makes signatures on this backbone."""
        if self._prober is None:
            self._prober = Prober(self.encoder)
        return self._prober

    def _examples(self, split: "Dataset", labels: int) -> Examples:
        pairs = list(split["text_pair"]) if "text_pair" in split.column_names else None
        texts = self.encoder.tokenize(list(split["text"]), pairs)
        return Examples.bare(self.view(texts), torch.tensor(list(split["label"]), dtype=torch.long), labels)

    def _pairs(self, split: "Dataset") -> Pairs:
        backbone = self.writer
        sources = backbone.tokenize(list(split["text"]))
        pairs = backbone.parallel(sources, backbone.tokenize_targets(list(split["target"])))
        view = self.view(sources, readout=NO_READOUT)
        read = view if pairs.texts is sources else self.view(pairs.texts, readout=NO_READOUT)
        return Pairs(view, read, pairs.targets)

    def _told(self, task: str | None, kind: str) -> PromptRecord | None:
        """The prompt of a task that is told; refuses what the pool cannot answer."""
        if task is None:
            if not len(self.pool):
                raise PoolError(f"The pool {self.pool.path} holds no prompt yet; learn a task first.")
            if kind not in self.kinds():
                raise PoolError(f"The pool {self.pool.path} holds no prompt of a {kind}; learn such a task first.")
            return None
        told = self.prompt_of(task)
        if kind_of(told) != kind:
            raise LearningError(f"The task {task!r} is a {kind_of(told)} and no {kind}; ask for what it answers.")
        return told

    def _translate(self, texts: Sequence[str], told: PromptRecord | None, task: str | None) -> list[Translation]:
        sources = Sources.of(self.writer, texts)
        view = self.view(sources.pieces, False, NO_READOUT)
        routes = self.routes(sources.embedding(view), told, TRANSLATION)
        written = self.translator.translate(sources, range(len(texts)), [item.prompt for item in routes], view)
        tasks = {prompt: self.pool.record(prompt).task for prompt in {item.prompt for item in routes}}
        return [
            Translation(text, task or tasks[item.prompt], item.prompt, item.known, item.similarity)
            for text, item in zip(written.texts, routes, strict=True)
        ]

    def _predict(
        self, texts: Sequence[str], pairs: Sequence[str] | None, told: PromptRecord | None, task: str | None
    ) -> list[Prediction]:
        view = self.view(self.encoder.tokenize(texts, pairs), keep=False)
        routes = self.routes(view.embedding, told)
        logits = self.predictor.logits(view, range(len(view)), [item.prompt for item in routes])
        records = {prompt: self.pool.record(prompt) for prompt in {item.prompt for item in routes}}
        return [
            prediction(item, records[item.prompt], scores, task) for item, scores in zip(routes, logits, strict=True)
        ]

    def _source(self, prompt_id: str) -> Source | None:
        """A stored prompt as a source; None when it is of another kind than what is being trained.

        Nor can a prompt be compared whose signature was made with other probe texts.
        """
        prompt = self.pool.get(prompt_id)
        tuning = stored_tuning(prompt.tuning)
        if tuning.base.spec() != self.tuning.spec() or prompt.provenance.get("probe") != probe_version():
            return None
        lent = tuning.lent(trained_tensors(prompt.tensors))
        if lent is None:
            return None
        signature = stored_signature(tuning.base, lent, prompt.tensors)
        return Source(prompt_id, lent, signature, prompt.provenance.get("train_examples", 0))
