"""Lays out the lesson of a task: everything that a method may use to learn it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from continual.checks import writer_of
from continual.errors import LearningError
from continual.evaluation.kinds import TRANSLATION
from continual.methods.base import Lesson, Method, Source
from continual.pool.keys import keys_of
from continual.pool.prompt import Prompt, PromptRecord, make_id
from continual.pool.search import Hit
from continual.pool.store import PromptPool
from continual.seeding import seed_of
from continual.settings import LearnerSettings
from continual.storing import LEARNED, REVISED_BY, kind_of, shared_name
from continual.training.checkpoint import Checkpoints, NoCheckpoints
from continual.training.examples import Examples, Material
from continual.training.ground import Ground, lay_ground
from continual.training.label_model import Worded
from continual.training.pairs import Pairs
from continual.training.watch import Silent, Watcher
from continual.transfer.probe import probe_version
from continual.transfer.signature import Prober, stored_signature
from continual.translator import NO_READOUT
from continual.tuning import stored_tuning
from continual.tuning.base import Tuning, trained_tensors
from continual.views import Views, texts_of

if TYPE_CHECKING:
    from datasets import Dataset

    from streams import Task


@dataclass(frozen=True)
class Lessons:
    """Lays out lessons, step by step: material, ground, keys, recalled prompts, lesson.

    Attributes:
        views: Texts as the frozen backbone reads them.
        pool: The prompts that are known.
        settings: How tasks are learned.
        method: By which method.
        tuning: What is trained for a task.
    """

    views: Views
    pool: PromptPool
    settings: LearnerSettings
    method: Method
    tuning: Tuning

    @cached_property
    def prober(self) -> Prober:
        """Makes signatures on this backbone."""
        return Prober(self.views.encoder)

    def material(self, task: "Task") -> tuple[Material, Material]:
        """The task's train and dev texts, read by the frozen backbone, with their answers."""
        if task.kind == TRANSLATION:
            return self._pairs(task.train), self._pairs(task.dev)
        train, dev = (self._examples(split, len(task.labels)) for split in (task.train, task.dev))
        if self.settings.answers == "head":
            return train, dev
        words = writer_of(self.views.encoder).tokenize_targets(task.labels)
        return tuple(Worded(part.view, part.labels, part.ground, words) for part in (train, dev))

    def ground(self, task: "Task", train: Material, dev: Material) -> Ground | None:
        """What is known of a classification without a prompt; None where the method does without."""
        if not (self.method.grounded and isinstance(train, Examples) and isinstance(dev, Examples)):
            return None
        if self.settings.answers == "label":
            return None
        return lay_ground(train, dev, len(task.labels), seed_of(self.settings.seed, task.name), self.views.cache)

    def keys(self, train: Material) -> Tensor:
        """The search keys of a task: unit centroids of its texts, [keys, width]."""
        return keys_of(train.view.embedding, self.settings.routing.keys, self.settings.seed)

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
        """Puts all of it together."""
        return Lesson(
            task=task.name,
            labels=tuple(task.labels),
            train=train,
            dev=dev,
            encoder=self.views.encoder,
            tuning=self.tuning,
            training=self.settings.training,
            metric=self.settings.transfer.metric,
            sources=[source for hit in hits if (source := self._source(hit.prompt_id)) is not None],
            keys=keys,
            prober=self.prober,
            seed=self.settings.seed,
            checkpoints=checkpoints or NoCheckpoints(),
            watcher=watcher or Silent(),
            earlier=self._earlier(task) if self.method.builds else (),
        )

    def _earlier(self, task: "Task") -> list[Prompt]:
        """What the method has learned before, newest first: its shared model, or the newest prompt of each other task.

        A prompt that the task has already is replaced and not built on.
        """
        if self.method.shared:
            record = self._shared_before(task.name)
            if record is not None and kind_of(record) != task.kind:
                raise LearningError(
                    f"method={self.method.name} has one model for all tasks, and that in {self.pool.path} is of "
                    f"{kind_of(record)} tasks; learn {task.kind} tasks in a pool of their own."
                )
            if record is not None:
                self._check_same_model(record)
            return [] if record is None else [self.pool.get(record.id)]
        newest = [self.pool.latest(name) for name in self._as_learned() if name != task.name]
        return [
            self.pool.get(record.id) for record in newest if record is not None and self._built_on(record, task.kind)
        ]

    def _shared_before(self, task: str) -> PromptRecord | None:
        """The newest model for all tasks that was not left by learning the very task that is learned now."""
        record = self.pool.latest(shared_name(self.method.name))
        while record is not None and record.provenance.get(LEARNED) == task:
            before = record.version - 1
            record = self.pool.record(make_id(record.task, before)) if before else None
        return record

    def _as_learned(self) -> list[str]:
        """The tasks of the pool, the one that was learned last first; a revision of its prompt is no learning."""
        learned = (record for record in reversed(self.pool.records()) if REVISED_BY not in record.provenance)
        return list(dict.fromkeys(record.task for record in learned))

    def _check_same_model(self, record: PromptRecord) -> None:
        """Refuses to go on with a model for all tasks that was learned with other settings."""
        stored, asked = stored_tuning(record.tuning).spec(), self.method.composed(self.tuning).spec()
        if stored != asked:
            raise LearningError(
                f"The model of method={self.method.name} in {self.pool.path} was learned as {stored}, but the settings "
                f"ask for {asked}; give the settings that it was learned with, or learn in a pool of its own."
            )

    def _built_on(self, record: PromptRecord, kind: str) -> bool:
        same = record.method == self.method.name and kind_of(record) == kind
        return same and stored_tuning(record.tuning).base.spec() == self.tuning.spec()

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

    def _examples(self, split: "Dataset", labels: int) -> Examples:
        texts = texts_of(split, self.views.encoder)
        return Examples.bare(self.views.of(texts), torch.tensor(list(split["label"]), dtype=torch.long), labels)

    def _pairs(self, split: "Dataset") -> Pairs:
        backbone = writer_of(self.views.encoder)
        sources = backbone.tokenize(list(split["text"]))
        pairs = backbone.parallel(sources, backbone.tokenize_targets(list(split["target"])))
        view = self.views.of(sources, readout=NO_READOUT)
        read = view if pairs.texts is sources else self.views.states(pairs.texts)
        return Pairs(view, read, pairs.targets)
