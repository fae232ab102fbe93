"""The learner: takes tasks one after another, keeps what it learned in a pool, and predicts."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from continual.backbone import BACKBONES
from continual.backbone.encoder import Encoder
from continual.backbone.frozen import FrozenCache, FrozenView
from continual.backbone.readout import Readout
from continual.backbone.texts import EncodedTexts
from continual.construction import construct_named
from continual.errors import LearningError, PoolError
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
from continual.storing import PAIRS, Storing, labels_for, serves, shared_name
from continual.training.checkpoint import Checkpoints, NoCheckpoints
from continual.training.examples import Examples
from continual.training.ground import Ground, lay_ground
from continual.training.watch import Silent, Watcher
from continual.transfer import TRANSFERABILITY
from continual.transfer.probe import probe_version
from continual.transfer.signature import Prober, stored_signature
from continual.tuning import build_tuning
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


@dataclass(frozen=True)
class Prediction:
    """What the pool says of one text.

    Attributes:
        label: The most probable label.
        confidence: Its probability, in [0, 1].
        task: The task whose prompt was used.
        prompt: The id of that prompt.
        known: False when the task was not told and the text resembles no known task.
        similarity: Cosine of the text with the prompt's nearest key.
        probabilities: Each label's probability.
    """

    label: str
    confidence: float
    task: str
    prompt: str
    known: bool
    similarity: float
    probabilities: dict[str, float]


@dataclass(frozen=True)
class Evaluation:
    """Scores on labelled texts.

    Attributes:
        accuracy: Share of texts whose label was right.
        macro_f1: Mean F1 over the task's labels.
        routed_right: Share of texts that went to a prompt of this task.
        unknown: Share of texts marked as belonging to no known task.
        score: The task's own metric, see `streams.Task.metric`.
    """

    accuracy: float
    macro_f1: float
    routed_right: float
    unknown: float
    score: float


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
        if self.settings.training.perturbs:
            self.encoder.perturbed(torch.nn.Identity())  # refuses now what training would refuse later
        if isinstance(pool, PromptPool):
            self.pool = pool
        else:
            self.pool = PromptPool(pool, self.encoder.fingerprint, backbone_name=self.encoder.name)
        self.cache = FrozenCache(self.encoder, self.settings.cache_mb)
        self.predictor = Predictor(self.encoder, self.pool)
        self._prober: Prober | None = None

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
        facts = {"seconds": time.monotonic() - started + earlier, "recalled": [asdict(hit) for hit in hits]}
        record = self.store(lesson, learned, None if ground is None else ground.final(), facts | provenance)
        for part in (train, dev):
            self.cache.drop(part.view.texts)
        return record

    def fingerprint(self, task: "Task") -> tuple[Examples, Examples]:
        """The frozen backbone reads the task's train and dev texts."""
        if task.kind != "classification":
            raise LearningError(
                f"Task {task.name!r} is of kind {task.kind!r}, but the backbone {self.encoder.name!r} is an encoder, "
                "which learns classification tasks only; choose another backbone or another stream."
            )
        check_pairs(self.method, task)
        return tuple(self._examples(split, len(task.labels)) for split in (task.train, task.dev))

    def ground(self, task: "Task", train: Examples, dev: Examples) -> Ground | None:
        """What is known of the task without a prompt; None where the method does without."""
        if not self.method.grounded:
            return None
        return lay_ground(train, dev, len(task.labels), seed_of(self.settings.seed, task.name), self.cache)

    def keys(self, train: Examples) -> Tensor:
        """The search keys of a task: unit centroids of its texts, [keys, width]."""
        embedding = train.view.embedding.numpy()
        return torch.from_numpy(spherical_kmeans(embedding, self.settings.routing.keys, self.settings.seed))

    def recall(self, keys: Tensor) -> list[Hit]:
        """The prompts of the pool whose keys are nearest to a new task's keys, nearest first."""
        if not len(self.pool) or not self.settings.transfer.recall:
            return []
        best: dict[str, float] = {}
        for hits in self.pool.search(keys, self.settings.transfer.recall, self.pool.superseded()):
            for hit in hits:
                best[hit.prompt_id] = max(hit.score, best.get(hit.prompt_id, -1.0))
        ordered = sorted(best.items(), key=lambda item: (-item[1], item[0]))
        return [Hit(prompt, score) for prompt, score in ordered[: self.settings.transfer.recall]]

    def lesson(
        self,
        task: "Task",
        train: Examples,
        dev: Examples,
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
            earlier=self.earlier() if self.method.builds else (),
        )

    def earlier(self) -> list[Prompt]:
        """What the method has learned before, newest first: its shared model, or the newest prompt of each task."""
        if self.method.shared:
            record = self.pool.latest(shared_name(self.method.name))
            return [] if record is None else [self.pool.get(record.id)]
        newest = [self.pool.latest(task) for task in reversed(self.pool.tasks())]
        return [self.pool.get(record.id) for record in newest if record is not None and self._built_on(record)]

    def _built_on(self, record: PromptRecord) -> bool:
        spec = {key: value for key, value in record.tuning.items() if key != "readout"}
        return record.method == self.method.name and build_tuning(spec).base.spec() == self.tuning.spec()

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
            LearningError: A text is not a string, texts and pairs differ in number, or the told task was learned on
                pairs and single texts were given, or the other way round.
        """
        _check_texts(texts, pairs)
        if not len(self.pool):
            raise PoolError(f"The pool {self.pool.path} holds no prompt yet; learn a task first.")
        told = None if task is None else self.prompt_of(task)
        if told is not None:
            _check_pairs(told, pairs)
        predictions: list[Prediction] = []
        for start in range(0, len(texts), PREDICTED_AT_ONCE):
            some = slice(start, start + PREDICTED_AT_ONCE)
            predictions += self._predict(texts[some], None if pairs is None else pairs[some], told, task)
        return predictions

    def evaluate(self, task: "Task", told: bool = True) -> Evaluation:
        """Scores the pool on a task's test split.

        Args:
            task: The task.
            told: Whether the learner is told which task it is, or has to route every text.
        """
        from continual.assessment import evaluate_task

        return evaluate_task(self, task, told)

    def view(self, texts: EncodedTexts, keep: bool = True) -> FrozenView:
        """What the frozen backbone makes of texts; kept in the cache where they will be used again."""
        if keep:
            return self.cache.view(texts, self.entry, self.settings.readout)
        return FrozenCache(self.encoder, self.settings.cache_mb).view(texts, self.entry, self.settings.readout)

    def routes(self, embedding: Tensor, told: PromptRecord | None = None) -> list[Route]:
        """Which prompt each text goes to: the one of the told task, or the nearest.

        Args:
            embedding: Unit vectors of the texts, [texts, width], see `FrozenView`.
            told: The told task's prompt.
        """
        if not len(embedding):
            return []
        if told is None:
            return route(self.pool, embedding, self.pool.superseded())
        keys = self.pool.get(told.id).tensors["keys"]
        nearest = (embedding @ keys.T).amax(dim=1)
        return [Route(told.id, float(similarity), True) for similarity in nearest]

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
    def prober(self) -> Prober:
        """Makes signatures on this backbone."""
        if self._prober is None:
            self._prober = Prober(self.encoder)
        return self._prober

    def _examples(self, split: "Dataset", labels: int) -> Examples:
        pairs = list(split["text_pair"]) if "text_pair" in split.column_names else None
        texts = self.encoder.tokenize(list(split["text"]), pairs)
        return Examples.bare(self.view(texts), torch.tensor(list(split["label"]), dtype=torch.long), labels)

    def _predict(
        self, texts: Sequence[str], pairs: Sequence[str] | None, told: PromptRecord | None, task: str | None
    ) -> list[Prediction]:
        view = self.view(self.encoder.tokenize(texts, pairs), keep=False)
        routes = self.routes(view.embedding, told)
        logits = self.predictor.logits(view, range(len(view)), [item.prompt for item in routes])
        records = {prompt: self.pool.record(prompt) for prompt in {item.prompt for item in routes}}
        return [
            _prediction(item, records[item.prompt], scores, task) for item, scores in zip(routes, logits, strict=True)
        ]

    def _source(self, prompt_id: str) -> Source | None:
        """A stored prompt as a source; None when it is of another kind than what is being trained.

        Nor can a prompt be compared whose signature was made with other probe texts.
        """
        prompt = self.pool.get(prompt_id)
        tuning = build_tuning({key: value for key, value in prompt.tuning.items() if key != "readout"})
        if tuning.base.spec() != self.tuning.spec() or prompt.provenance.get("probe") != probe_version():
            return None
        lent = tuning.lent(trained_tensors(prompt.tensors))
        if lent is None:
            return None
        signature = stored_signature(tuning.base, lent, prompt.tensors)
        return Source(prompt_id, lent, signature, prompt.provenance.get("train_examples", 0))


def check_pairs(method: Method | type[Method], task: "Task") -> None:
    """Refuses a task whose texts come alone where the method needs pairs.

    Raises:
        LearningError: That is so.
    """
    if method.pairs and "text_pair" not in task.train.column_names:
        raise LearningError(
            f"Task {task.name!r} has single texts, but method={method.name} needs a second text for each; use a stance "
            "stream, or a table with a column for second texts."
        )


def _prediction(item: Route, record: PromptRecord, logits: Tensor, task: str | None) -> Prediction:
    """The prediction for one text; where the task is told, only its labels are possible."""
    labels = record.labels if task is None else labels_for(record, task)
    places = [record.labels.index(label) for label in labels]
    shares = torch.softmax(logits[places].double(), dim=0).tolist()
    best = max(range(len(shares)), key=shares.__getitem__)
    return Prediction(
        label=labels[best],
        confidence=shares[best],
        task=task or record.task,
        prompt=record.id,
        known=item.known,
        similarity=item.similarity,
        probabilities=dict(zip(labels, shares, strict=True)),
    )


def _check_pairs(told: PromptRecord, pairs: Sequence[str] | None) -> None:
    learned_on_pairs = told.provenance.get(PAIRS)
    if learned_on_pairs is None or learned_on_pairs == (pairs is not None):
        return
    if learned_on_pairs:
        raise LearningError(f"The task {told.task!r} was learned on pairs of texts; give each text its second text.")
    raise LearningError(f"The task {told.task!r} was learned on single texts; leave the second texts out.")


def _check_texts(texts: Sequence[str], pairs: Sequence[str] | None) -> None:
    for name, values in (("text", texts), ("second text", pairs or ())):
        for number, value in enumerate(values):
            if not isinstance(value, str):
                kind = type(value).__name__
                raise LearningError(
                    f"The {name} number {number} is of type {kind}, expected a string; convert it first."
                )
    if pairs is not None and len(pairs) != len(texts):
        raise LearningError(
            f"{len(texts)} texts came with {len(pairs)} second texts; give one second text for each text."
        )
