"""The objective of in-context tuning and of its distillation."""

import random
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from continual.backbone.causal import Causal
from continual.distillation.in_context import Mixture, label_loss, language_weight, token_distillation
from continual.seeding import seed_of
from continual.students.in_context.answering import Trial, accuracy, label_scores, token_logits
from continual.students.in_context.contexts import Ids, Writer, Written

if TYPE_CHECKING:
    from continual.students.in_context.recipe import InContextConfig


class InContextObjective:
    """The objective of `continual.pretraining.loop` for queries behind demonstrations of their own task.

    Args:
        student: What is trained.
        teacher: What it learns from; None for in-context tuning without a teacher.
        writer: Writes contexts.
        examples: The training examples of each task.
        trials: What the student is tried on.
        config: Weights.
        steps: Of the whole training, None where nobody knows.
        seed: Decides which demonstrations are drawn.
    """

    def __init__(
        self,
        student: Causal,
        teacher: Causal | None,
        writer: Writer,
        examples: Sequence[Written],
        trials: Sequence[Trial],
        config: "InContextConfig",
        steps: int | None,
        seed: int,
    ) -> None:
        self.student, self.teacher, self.writer = student, teacher, writer
        self.examples, self.trials, self.config, self.steps, self.seed = examples, trials, config, steps, seed
        self.module = student.model
        soft = config.soft if teacher is not None else 0.0
        self.mixture = Mixture(soft, config.temperature)
        self._places = [(task, row) for task, it in enumerate(examples) for row in range(len(it.queries))]

    @property
    def lengths(self) -> Tensor:
        """About how many tokens the context of each example has, [examples]."""
        means = [sum(map(len, it.queries)) / len(it.queries) for it in self.examples]
        return torch.tensor(
            [
                len(self.examples[task].queries[row]) + round(means[task] * self.writer.config.demonstrations)
                for task, row in self._places
            ]
        )

    def loss(self, step: int, rows: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        """See `Objective.loss`."""
        rng = random.Random(seed_of(self.seed, "demonstrations", str(step)))
        places = [self._places[row] for row in rows.tolist()]
        parts = {"labels": self._label_loss(places, rng)}
        loss = parts["labels"]
        progress = 0.0 if self.steps is None else step / self.steps
        weight = language_weight(self.config.language, self.config.course, progress)
        if weight:
            parts["language"] = self._language_loss([self.examples[task].queries[row] for task, row in places])
            loss = loss + weight * parts["language"]
        return loss, parts

    def evaluate(self) -> dict[str, float]:
        """See `Objective.evaluate`: the accuracy with one draw of demonstrations, a mean over tasks."""
        found = [accuracy(self.student, self.writer, trial, 1, self.seed) for trial in self.trials]
        return {"dev_accuracy": sum(found) / len(found)}

    def _label_loss(self, places: Sequence[tuple[int, int]], rng: random.Random) -> Tensor:
        total = torch.zeros((), device=self.module.device)
        for task in sorted({task for task, _ in places}):
            own = [row for other, row in places if other == task]
            total = total + self._task_loss(self.examples[task], own, rng) * (len(own) / len(places))
        return total

    def _task_loss(self, task: Written, rows: Sequence[int], rng: random.Random) -> Tensor:
        """Both models read the same demonstrations and queries."""
        contexts = [
            self.writer.context(task.queries[row], task, self.writer.draw(task, rng, query=row)) for row in rows
        ]
        own = label_scores(self.student, contexts, task.words)
        labels = torch.tensor([task.labels[row] for row in rows], device=own.device)
        return label_loss(own, self._given(own, contexts, task.words), labels, self.mixture)

    @torch.no_grad()
    def _given(self, own: Tensor, contexts: Sequence[Ids], words: Sequence[Ids]) -> Tensor:
        return own.detach() if self.teacher is None else label_scores(self.teacher, contexts, words)

    def _language_loss(self, texts: Sequence[Ids]) -> Tensor:
        own, targets = token_logits(self.student, texts)
        with torch.no_grad():
            given = own.detach() if self.teacher is None else token_logits(self.teacher, texts)[0]
        return token_distillation(own.float(), given.float(), targets, self.mixture)
