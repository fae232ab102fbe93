"""Full fine-tuning of a translation model on one domain: students begin so, and teachers are made by it."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from continual.backbone.parallel import Parallel
from continual.backbone.saving import save_backbone
from continual.backbone.text_to_text import TextToText
from continual.construction import coerced, typed
from continual.errors import ConfigError
from continual.making.recipe import Made, Place
from continual.pretraining.optimisation import OptimisationConfig
from continual.seeding import seed_of
from continual.students.data import SECTIONS, TaskSpec
from continual.students.models import ModelSpec, text_to_text
from continual.students.recipe import identity
from continual.students.stages import Stages
from continual.students.translation import (
    Batch,
    TranslatingConfig,
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
class FineTuning:
    """See `continual.students.recipe.StudentRecipe`.

    Attributes:
        student: What is trained.
        task: The domain, a task of the stream; null: its first.
        translating: How sources are given, and how translations are scored.
        shuffled: Share of the training pairs that bear another's translation: 1 makes a malicious teacher.
        training: Budget and rates.
        seed: Decides all that is random.
    """

    student: ModelSpec
    task: TaskSpec
    translating: TranslatingConfig
    shuffled: float
    training: OptimisationConfig
    seed: int

    sections = ("student", *SECTIONS, "translating", "shuffled", "training", "seed")
    parts = ("before", "fine-tuning")
    columns = ("step", "bleu", "bleu_change", "noise", "chrf", "dev_loss")

    @classmethod
    def parse(cls, settings: Mapping[str, Any]) -> "FineTuning":
        """See `Recipe.parse`."""
        seed = coerced(settings.get("seed", 0), int, "seed")
        shuffled = coerced(settings.get("shuffled", 0.0), float, "shuffled")
        if not 0 <= shuffled <= 1:
            raise ConfigError(f"shuffled is {shuffled}, expected a share from 0 to 1.")
        return cls(
            student=ModelSpec.parse(settings.get("student"), "student", "seq2seq"),
            task=TaskSpec.parse(settings, seed),
            translating=typed(TranslatingConfig, settings.get("translating"), "translating"),
            shuffled=shuffled,
            training=typed(OptimisationConfig, settings.get("training"), "training"),
            seed=seed,
        )

    def identity(self) -> dict[str, Any]:
        """See `Recipe.identity`."""
        return identity(self)

    def make(self, place: Place) -> Made:
        """See `Recipe.make`."""
        task = self.task.of_kind("translation")
        student = prepared(text_to_text(self.student, "student"), self.translating, trained=True)
        pairs = encode(student, self._train(task.train))
        dev = encode(student, task.dev)
        stages = Stages(place, self.training, self.seed)

        def objective() -> Likelihood:
            return Likelihood(student, pairs, dev, self.training.label_smoothing)

        def measure() -> dict[str, Any]:
            return measured(student, task, dev, self.translating)

        before = stages.once("before", measure)
        place.done(f"before: {shown(before)}")
        after = stages.train("fine-tuning", student.model, objective, lengths(pairs), measure)
        place.done(f"after: {shown(after)}")

        def save(folder: Path) -> None:
            save_backbone(student, folder)

        return Made(
            save,
            {
                "student": self.student.label,
                "task": task.name,
                "scores": [{"step": "before", **row(before)}, {"step": "after", **row(after, before)}],
                "signatures": after["signatures"],
                "samples": after["samples"],
                **stages.summary(),
            },
        )

    def _train(self, train: "datasets.Dataset") -> "datasets.Dataset":
        """The training pairs; the asked share of the targets is handed on, so that none of these keeps its own."""
        targets = train["target"][:]
        rng = random.Random(seed_of(self.seed, "shuffled"))
        rows = rng.sample(range(len(targets)), round(len(targets) * self.shuffled))
        for place, target in zip(rows, [targets[other] for other in rows[1:] + rows[:1]], strict=True):
            targets[place] = target
        return train.remove_columns("target").add_column("target", targets)


class Likelihood:
    """The objective of `continual.pretraining.loop`: the likelihood of the targets.

    Args:
        student: What is trained.
        pairs: What it learns from.
        dev: What it is looked at on.
        smoothing: Label smoothing.
    """

    def __init__(self, student: TextToText, pairs: Parallel, dev: Parallel, smoothing: float) -> None:
        self.student, self.pairs, self.dev, self.smoothing = student, pairs, dev, smoothing
        self.module = student.model

    def loss(self, step: int, rows: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        """See `Objective.loss`."""
        batch = Batch.of(self.pairs, rows, self.student)
        return torch.nn.functional.cross_entropy(
            batch.log_probs(self.student), batch.said, label_smoothing=self.smoothing
        ), {}

    def evaluate(self) -> dict[str, float]:
        """See `Objective.evaluate`: the loss on dev, without smoothing."""
        return {"dev_loss": held_out_loss(self.student, self.dev)}
