"""Prompt transfer via knowledge distillation: adapted sources teach a fresh prompt (arXiv 2208.10160)."""

from dataclasses import dataclass

from torch import Tensor

from continual.distillation.logits import DECAYS, logit_mse, ramp
from continual.errors import ConfigError
from continual.limits import at_least
from continual.methods.base import Learned, Lesson
from continual.team import current_team
from continual.training.config import TrainingConfig
from continual.training.loop import Objective, cross_entropy
from continual.training.trainable import ByRows
from continual.transfer.ranking import Ranked


@dataclass(frozen=True)
class Teaching:
    """How a fresh prompt learns from the labels and from its teachers' logits.

    `loss = cross-entropy + sum_i c_i MSE(student, teacher_i)`, `c_i = weight * decay(progress) * max(0, score_i)`.

    Attributes:
        weight: Factor of the distillation loss at full transferability.
        decay: How the weight changes over training: `none`, `linear` (to zero), or `warm` (up over the first tenth,
            then linearly to zero).
        divide_by_batch: Divide the squared error by `training.batch_size` too.
    """

    weight: float = 1.0
    decay: str = "linear"
    divide_by_batch: bool = False

    def __post_init__(self) -> None:
        at_least(0, self.weight, "method.weight")
        if self.decay not in DECAYS:
            raise ConfigError(f"method.decay is {self.decay!r}, expected one of {', '.join(DECAYS)}.")

    def learn(self, lesson: Lesson, ranked: list[Ranked], used: list[Ranked]) -> Learned:
        """Adapts each of the used sources to the task, and a fresh prompt learns from them.

        Args:
            lesson: The task.
            ranked: All sources, the best first.
            used: Those that teach, one or more.
        """
        teachers = [
            lesson.fit(f"teacher-{number}", lesson.tensors_of(item.prompt)).logits(lesson.train)
            for number, item in enumerate(used, start=1)
        ]
        objective = self.objective(teachers, [item.score for item in used], lesson.training)
        return Learned(lesson.fit("student", lesson.fresh(), objective), "student", ranked, used)

    def objective(self, teachers: list[ByRows], scores: list[float], training: TrainingConfig) -> Objective:
        """The loss of the student.

        Args:
            teachers: The logits of each teacher for the training texts.
            scores: The predicted transferability of each.
            training: Smooths labels, and has the size of a batch.
        """
        hard = cross_entropy(training.label_smoothing)
        # Of the whole batch, which several processes share.
        divisor = training.batch_size * current_team().size if self.divide_by_batch else 1

        def objective(logits: Tensor, labels: Tensor, rows: Tensor, progress: float) -> Tensor:
            loss = hard(logits, labels, rows, progress)
            strength = self.weight * ramp(self.decay, progress) / divisor
            for teacher, score in zip(teachers, scores, strict=True):
                loss = loss + strength * max(0.0, score) * logit_mse(logits, teacher[rows])
            return loss

        return objective
