"""Continual knowledge distillation: one translation model, improved in its own domain by teachers that come and go.

After Zhang et al. 2023, "Continual Knowledge Distillation for Neural Machine Translation" (ACL 2023, arXiv 2212.09097).
Teachers 1, 2, ... arrive one after another, frozen; only the newest is there, and nothing of its training text. In step
t the student phi_t is made from phi_{t-1} and teacher theta_t on the student's own training pairs, with (our
reconstruction, since the published formula is not available)

    D+  = positions where theta_t gives the reference token more probability than phi_{t-1}
    L_t = CE + (1 - w_t) (1/N) [ sum over D+ of KL(theta_t || phi_t) + alpha sum over the others of A(theta_t, phi_t) ]
             +      w_t  (1/N)   sum over all of KL(phi_{t-1} || phi_t),             w_t = t / (t + 1)

over the N target positions of a batch: learn from the teacher where it knows better, against it where it does not (A is
`distillation.continual_translation.aversion`), and keep what is known, the more the longer one has learned. With
`detection: all`, `negative: 0` and `inheritance: none` it is plain distillation; with `positive: 0` instead of
`detection: all` the teacher is not heard, and the student is trained on alone.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from continual.backbone.parallel import Parallel
from continual.backbone.saving import save_backbone
from continual.backbone.text_to_text import TextToText
from continual.construction import coerced, typed
from continual.distillation.continual_translation import (
    DETECTIONS,
    INHERITANCES,
    TERMS,
    inheritance_weight,
    terms,
)
from continual.errors import ConfigError
from continual.evaluation.corpus_scores import accumulative_degradation
from continual.limits import at_least
from continual.making.recipe import Made, Place
from continual.pretraining.optimisation import OptimisationConfig, setting
from continual.students.data import SECTIONS, TaskSpec
from continual.students.models import ModelSpec, copied, parse_list, text_to_text
from continual.students.recipe import identity
from continual.students.stages import Stages
from continual.students.translation import (
    Batch,
    TranslatingConfig,
    check_targets,
    check_vocabulary,
    encode,
    held_out_loss,
    lengths,
    measured,
    prepared,
    row,
    shown,
)

if TYPE_CHECKING:
    import datasets


@dataclass(frozen=True)
class CKDConfig:
    """What is learned of each teacher."""

    detection: str = setting(
        "probability",
        "where a teacher is beneficial: probability (of the reference token is higher than the previous student's), "
        "entropy (is lower), top1 (its first choice is right and the previous student's is not), or all positions",
    )
    positive: float = setting(1.0, "weight of learning from the teacher where it is beneficial; 0 does not")
    negative: float = setting(1.0, "weight of learning against the teacher at the other positions; 0 does not")
    inheritance: str = setting(
        "growing", "weight of the previous student in step t: growing (t / (t + 1)), constant (1/2) or none"
    )
    inherited: float = setting(1.0, "factor of that weight alone, while the teacher keeps its own; 0 inherits nothing")
    earlier: int = setting(0, "teachers that the student has learned from in earlier runs: steps count on from there")

    def __post_init__(self) -> None:
        for name, known in (("detection", DETECTIONS), ("inheritance", INHERITANCES)):
            if getattr(self, name) not in known:
                raise ConfigError(f"ckd.{name} is {getattr(self, name)!r}, expected one of {', '.join(known)}.")
        for name in ("positive", "negative", "inherited", "earlier"):
            at_least(0, getattr(self, name), f"ckd.{name}")


@dataclass(frozen=True)
class CKD:
    """See `continual.students.recipe.StudentRecipe`.

    Attributes:
        student: What is improved, phi_0.
        teachers: In the order of their arrival; they have the student's vocabulary.
        task: The student's domain, a task of the stream; null: its first. Train is the transfer set, dev is looked at,
            test is translated after each step.
        translating: How sources are given, and how translations are scored.
        ckd: What is learned of each teacher.
        training: Budget and rates of each step.
        seed: Decides all that is random.
    """

    student: ModelSpec
    teachers: tuple[ModelSpec, ...]
    task: TaskSpec
    translating: TranslatingConfig
    ckd: CKDConfig
    training: OptimisationConfig
    seed: int

    sections = ("student", "teachers", *SECTIONS, "translating", "ckd", "training", "seed")
    columns = ("step", "teacher", "bleu", "bleu_change", "noise", "chrf", "dev_loss", "beneficial")

    @property
    def parts(self) -> list[str]:
        """See `Recipe`."""
        return ["before", *(teacher.label for teacher in self.teachers)]

    @classmethod
    def parse(cls, settings: Mapping[str, Any]) -> "CKD":
        """See `Recipe.parse`."""
        seed = coerced(settings.get("seed", 0), int, "seed")
        return cls(
            student=ModelSpec.parse(settings.get("student"), "student", "seq2seq"),
            teachers=parse_list(settings.get("teachers"), "teachers", "seq2seq"),
            task=TaskSpec.parse(settings, seed),
            translating=typed(TranslatingConfig, settings.get("translating"), "translating"),
            ckd=typed(CKDConfig, settings.get("ckd"), "ckd"),
            training=typed(OptimisationConfig, settings.get("training"), "training"),
            seed=seed,
        )

    def identity(self) -> dict[str, Any]:
        """See `Recipe.identity`."""
        return identity(self)

    def make(self, place: Place) -> Made:
        """See `Recipe.make`."""
        task = self.task.of_kind("translation")
        for teacher in self.teachers:
            teacher.require()
        student = prepared(text_to_text(self.student, "student"), self.translating, trained=True)
        pairs, dev = (encode(student, split) for split in (task.train, task.dev))
        stages = Stages(place, self.training, self.seed)

        def measure() -> dict[str, Any]:
            return measured(student, task, dev, self.translating)

        before = stages.once("before", measure)
        place.done(f"before: {shown(before)}")
        scores: list[dict[str, Any]] = [{"step": self.ckd.earlier, "teacher": None, **row(before)}]
        for step, spec in enumerate(self.teachers, start=self.ckd.earlier + 1):
            # A method of its own makes the lesson, so that a teacher that is done with is not kept in memory.
            lesson = partial(self._lesson, student, spec, step, task.train, pairs, dev)
            after = stages.train(f"teacher-{step}", student.model, lesson, lengths(pairs), measure)
            share = self._share(stages, f"teacher-{step}")
            scores.append({"step": step, "teacher": spec.label, **row(after, before), **share})
            told = "".join(f", {name} {value:.2f}" for name, value in share.items())
            place.done(f"step {step}, {spec.label}: {shown(after)}{told}")
            before = after

        def save(folder: Path) -> None:
            save_backbone(student, folder)

        bleu = [one["bleu"] for one in scores]
        return Made(
            save,
            {
                "student": self.student.label,
                "teachers": [spec.label for spec in self.teachers],
                "task": task.name,
                "scores": scores,
                "mean_bleu": sum(bleu[1:]) / len(bleu[1:]),
                "gain": bleu[-1] - bleu[0],
                "accumulative_degradation": accumulative_degradation(bleu),
                "worse_steps": sum(one["bleu_change"] < -one["noise"] for one in scores[1:]),
                "signatures": before["signatures"],
                "samples": before["samples"],
                **stages.summary(),
            },
        )

    def _share(self, stages: Stages, stage: str) -> dict[str, float]:
        """The share of positions at which the teacher of a finished stage was beneficial, if it was heard at all."""
        heard = self.ckd.positive or self.ckd.negative
        return {"beneficial": stages.mean(stage, "train_beneficial")} if heard else {}

    def _lesson(
        self,
        student: TextToText,
        spec: ModelSpec,
        step: int,
        train: "datasets.Dataset",
        pairs: Parallel,
        dev: Parallel,
    ) -> "Lesson":
        setting = f"teachers[{step - self.ckd.earlier - 1}]"
        teacher = prepared(text_to_text(spec, setting), self.translating)
        check_vocabulary(student, teacher, setting)
        read = encode(teacher, train)
        check_targets(pairs, read, setting)
        return Lesson(
            student=student,
            previous=copied(student),
            teacher=teacher,
            weight=inheritance_weight(step, self.ckd.inheritance),
            config=self.ckd,
            smoothing=self.training.label_smoothing,
            pairs=pairs,
            read=read,
            dev=dev,
        )


@dataclass(frozen=True)
class Lesson:
    """What a student learns of one teacher: the objective of `continual.pretraining.loop`.

    Attributes:
        student: phi_t, which is trained.
        previous: phi_{t-1}, frozen.
        teacher: theta_t, frozen.
        weight: w_t, of what the previous student knows.
        config: What is learned.
        smoothing: Label smoothing of the references.
        pairs: The transfer set, as the student reads it.
        read: The same as the teacher reads it: behind a prefix of its own, or source and target as one text.
        dev: What the student is looked at on.
    """

    student: TextToText
    previous: TextToText
    teacher: TextToText
    weight: float
    config: CKDConfig
    smoothing: float
    pairs: Parallel
    read: Parallel
    dev: Parallel

    @property
    def module(self) -> torch.nn.Module:
        """See `Objective`."""
        return self.student.model

    def loss(self, step: int, rows: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        """See `Objective.loss`."""
        batch = Batch.of(self.pairs, rows, self.student)
        student = batch.log_probs(self.student)
        weights = self._weights
        heard, compared = asked(weights, self.config.detection)
        with torch.no_grad():
            teacher = Batch.of(self.read, rows, self.teacher).log_probs(self.teacher) if heard else None
            previous = batch.log_probs(self.previous) if compared else None
        reference = torch.nn.functional.cross_entropy(student, batch.said, label_smoothing=self.smoothing)
        parts = terms(student, teacher, previous, batch.said, self.config.detection, weights)
        told = sum(weights[name] * parts[name] for name in ("learned", "averted") if name in weights)
        kept = weights["inherited"] * parts["inherited"] if "inherited" in weights else 0
        loss = reference + (1 - self.weight) * told + kept
        return loss, {"reference": reference, **parts}

    @property
    def _weights(self) -> dict[str, float]:
        """Of the terms that have one; the others are not computed, which saves whole passes of frozen models."""
        config = self.config
        given = (config.positive, config.negative, config.inherited * self.weight)
        return {name: weight for name, weight in zip(TERMS, given, strict=True) if weight}

    def evaluate(self) -> dict[str, float]:
        """See `Objective.evaluate`: the loss on dev, without smoothing."""
        return {"dev_loss": held_out_loss(self.student, self.dev)}


def asked(weights: Collection[str], detection: str) -> tuple[bool, bool]:
    """Whether a step asks the teacher, and whether it asks the previous student.

    Args:
        weights: The terms that have a weight; see `continual.distillation.continual_translation.terms`.
        detection: The quality by which a teacher is found better.
    """
    heard = "learned" in weights or "averted" in weights
    return heard, "inherited" in weights or (heard and detection != "all")
