"""Makes prompts for the pool out of what a method has learned."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from continual.backbone.encoder import Encoder
from continual.discriminant import Cloud
from continual.evaluation.kinds import CLASSIFICATION
from continual.methods.base import KEPT, TASKS, Learned, Lesson, Method, Revised, Shared
from continual.pool.prompt import Prompt, PromptRecord, make_id, next_to
from continual.pool.store import PromptPool
from continual.router import THRESHOLD, stranger_threshold
from continual.settings import LearnerSettings
from continual.training.loop import FitResult
from continual.transfer.probe import probe_version
from continual.transfer.signature import signature_tensors
from continual.tuning.base import TRAINED
from continual.tuning.head import Head
from continual.tuning.stored import stored_ground

PAIRS = "pairs"
"""Where a prompt's provenance keeps whether its task has second texts."""

KIND = "kind"
"""Where a prompt's provenance keeps the kind of its task; prompts of older versions are of classifications."""

DIRECTION = "direction"
"""Where the provenance of a translation's prompt keeps from which language into which it translates."""

DEV_ACCURACY = "dev_accuracy"
"""Where a prompt's provenance keeps how it did on its task's dev texts; absent where that was not measured."""

LEARNED = "learned"
"""Where a model for all tasks keeps which of them it has learned last."""

REVISES = "revises"
"""Where a prompt's provenance keeps which earlier prompts learning it has improved, and by how much."""

REVISED_BY = "revised_by"
"""Where the provenance of a new version keeps which prompt's learning has made it."""

RECORDED = 32
"""Of how many considered prompts, best first, a prompt's provenance tells: it is read with every record."""

REVISION = "revision."
"""How the names of the tensors begin that a prompt holds for new versions of others."""


_SHARED = "shared "


def shared_name(method: str) -> str:
    """The name under which a method that has one model for all tasks stores it, version after version."""
    return f"{_SHARED}{method}"


def may_be_shared(name: str) -> bool:
    """Whether prompts of this name may be a model for all tasks; their provenance tells."""
    return name.startswith(_SHARED)


def own_task(record: PromptRecord) -> str | None:
    """The task of a prompt, None of a model for all tasks."""
    return None if TASKS in record.provenance else record.task


def serves(record: PromptRecord, task: str) -> bool:
    """Whether a prompt answers for a task."""
    return record.task == task or task in record.provenance.get(TASKS, ())


def without_revisions(values: Mapping[str, Any]) -> dict[str, Any]:
    """The tensors or the provenance of a prompt without the new versions of others that came with it."""
    return {name: value for name, value in values.items() if name != REVISES and not name.startswith(REVISION)}


def labels_for(record: PromptRecord, task: str) -> tuple[str, ...]:
    """The labels that a prompt may give to texts of a task that is told."""
    return tuple(record.provenance.get(TASKS, {}).get(task, record.labels))


def kind_of(record: PromptRecord) -> str:
    """The kind of task that a prompt answers."""
    return record.provenance.get(KIND, CLASSIFICATION)


def pairs_of(record: PromptRecord) -> bool | None:
    """Whether a prompt answers pairs of texts; None where it may answer both: an old one, or one for all tasks."""
    return None if TASKS in record.provenance else record.provenance.get(PAIRS)


@dataclass(frozen=True)
class Storing:
    """Puts what was learned into the pool.

    Attributes:
        encoder: The backbone.
        pool: The pool.
        settings: How it was learned.
        method: By which method.
    """

    encoder: Encoder
    pool: PromptPool
    settings: LearnerSettings
    method: Method

    def store(self, lesson: Lesson, learned: Learned, ground: Head | None, facts: Mapping[str, Any]) -> PromptRecord:
        """Stores a prompt, whole or not at all, and the new versions of others that came with it.

        These lie in the new prompt as well, so that `settle` can go on after a crash.
        """
        # Renumbered where another process has stored the same version meanwhile: what was learned is not lost.
        record = self.pool.add(self._prompt(lesson, learned, ground, facts), renumber=True)
        self.settle(record)
        return record

    def settle(self, record: PromptRecord) -> None:
        """Stores those new versions of earlier prompts that came with `record` and are not in the pool yet."""
        for number, item in enumerate(record.provenance.get(REVISES, ())):
            old = self.pool.get(item["prompt"])
            latest = self.pool.latest(old.task)
            if latest is not None and latest.provenance.get(REVISED_BY) == record.id:
                continue
            start = f"{REVISION}{number}."
            news = {
                name.removeprefix(start): value
                for name, value in self.pool.get(record.id).tensors.items()
                if name.startswith(start)
            }
            self.pool.add(self._revised(old, news, record, item), renumber=True)

    def _revised(self, old: Prompt, news: dict[str, Tensor], by: PromptRecord, item: Mapping[str, Any]) -> Prompt:
        others = {name: value for name, value in old.tensors.items() if not name.startswith((TRAINED, REVISION))}
        # Nobody has asked the new version about dev texts, which are gone.
        facts = {key: value for key, value in old.provenance.items() if key not in (REVISES, DEV_ACCURACY)}
        return next_to(
            old,
            self.pool.next_version(old.task),
            tuning=old.tuning | item["tuning"],
            tensors=others | news,
            provenance=facts | {REVISED_BY: by.id, "revision_of": old.id, "evidence": dict(item["evidence"])},
        )

    def _prompt(self, lesson: Lesson, learned: Learned, ground: Head | None, facts: Mapping[str, Any]) -> Prompt:
        model, shared = learned.model, learned.shared
        task = lesson.task if shared is None else shared_name(self.method.name)
        keys = lesson.keys if shared is None else shared.keys
        classifier = model.classifier if shared is None else shared.classifier
        tensors = {f"{TRAINED}{name}": value.detach() for name, value in model.tensors.items()} | {"keys": keys}
        if shared is None:  # nothing is to be told apart where one model answers everything
            tensors |= Cloud.of(lesson.train.view.profile).tensors()
        if classifier is not None:
            weight, bias = classifier.folded()
            tensors |= {"head.weight": weight, "head.bias": bias}
        tensors |= signature_tensors(replace(lesson.signature(model, learned.origin), keys=keys))
        tensors |= {f"{KEPT}{name}": value for name, value in learned.kept.items()}
        tensors |= _revisions(learned.revised)
        if ground is not None:
            tensors |= stored_ground(ground)
        version = self.pool.next_version(task)
        return Prompt(
            id=make_id(task, version),
            task=task,
            version=version,
            labels=lesson.labels if shared is None else shared.labels,
            backbone=self.encoder.fingerprint,
            tuning=model.tuning.spec() | {"readout": lesson.train.view.readout.spec()},
            method=self.method.name,
            tensors={name: value.contiguous() for name, value in tensors.items()},
            provenance=self._provenance(lesson, learned, ground, keys) | _shared_facts(shared, lesson) | dict(facts),
        )

    def _provenance(self, lesson: Lesson, learned: Learned, ground: Head | None, keys: Tensor) -> dict[str, Any]:
        chosen = next(stage for stage in lesson.stages if stage.stage == learned.stage)
        quantile = self.settings.routing.unknown_quantile
        return {
            "seed": self.settings.seed,
            "metric": self.settings.transfer.metric,
            "probe": probe_version(),
            KIND: lesson.train.kind,
            "train_examples": len(lesson.train),
            "train_tokens": lesson.train.tokens,
            "dev_examples": len(lesson.dev),
            PAIRS: lesson.train.view.texts.pairs,
            "sources": [{"prompt": item.prompt, "score": item.score} for item in learned.used],
            "candidates": [{"prompt": item.prompt, "scores": dict(item.scores)} for item in learned.ranked[:RECORDED]],
            "stages": [_stage(stage) for stage in lesson.stages],
            DEV_ACCURACY: chosen.dev_accuracy,
            "trained_parameters": (learned.trained or learned.model.size) + (0 if ground is None else ground.size),
            THRESHOLD: stranger_threshold(keys, lesson.dev.view.embedding, quantile),
        } | ({REVISES: [_revision_facts(item) for item in learned.revised]} if learned.revised else {})


def _shared_facts(shared: Shared | None, lesson: Lesson) -> dict[str, Any]:
    if shared is None:
        return {}
    return {TASKS: {name: list(labels) for name, labels in shared.tasks.items()}, LEARNED: lesson.task}


def _revisions(revised: list[Revised]) -> dict[str, Tensor]:
    """The tensors of new versions as they will be named there, behind the number of the version."""
    return {
        f"{REVISION}{number}.{name}": torch.as_tensor(value).detach()
        for number, item in enumerate(revised)
        for name, value in (
            {f"{TRAINED}{key}": it for key, it in item.tensors.items()} | signature_tensors(item.signature)
        ).items()
    }


def _revision_facts(item: Revised) -> dict[str, Any]:
    return {"prompt": item.prompt, "tuning": item.tuning.spec(), "evidence": dict(item.evidence)}


def _stage(stage: FitResult) -> dict[str, Any]:
    return {
        "name": stage.stage,
        "steps": stage.steps,
        "seconds": stage.seconds,
        "best_epoch": stage.best_epoch,
        "curve": stage.curve,
    }
