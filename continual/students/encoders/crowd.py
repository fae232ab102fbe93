"""A teacher that learns, its assistant and its students, in one step."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from continual.backbone.encoder import Encoder
from continual.backbone.states import CHUNK
from continual.backbone.texts import EncodedTexts, by_length
from continual.distillation.online import Relations, online_losses
from continual.students.encoders.classifier import Classifier, accuracy, gold_loss
from continual.students.encoders.inside import Inside, look
from continual.students.encoders.labelled import Labelled


class Crowd(nn.Module):
    """All models of an online distillation, which are trained together.

    Args:
        teacher: The teacher with its heads.
        assistant: The teacher assistant, or None.
        students: The students, with their auxiliary layers.
        heads: Relation heads.
    """

    def __init__(self, teacher: Classifier, assistant: Encoder | None, students: Sequence[Encoder], heads: int) -> None:
        super().__init__()
        self.teacher, self.assistant, self.students, self.heads = teacher, assistant, list(students), heads
        taught = [*([] if assistant is None else [assistant]), *students]
        self.models = nn.ModuleList(encoder.model for encoder in taught)


class CrowdObjective:
    """The objective of `continual.pretraining.loop`: the teacher's own loss and those of all who learn from it.

    Each loss reaches one model alone, so one sum and one optimiser serve all; but clipping bounds the gradient of all
    together.

    Args:
        module: The models.
        data: The training texts.
        dev: Held-out texts of all tasks.
    """

    def __init__(self, module: Crowd, data: Labelled, dev: Labelled) -> None:
        self.module, self.data, self.dev = module, data, dev

    def loss(self, step: int, rows: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        """See `Objective.loss`."""
        inside = look(self.module.teacher.encoder, self.data.texts, rows)
        answers = self.module.teacher.answers(inside, self.data.tasks[rows])
        parts = {"teacher": gold_loss(answers, self.data.labels[rows])} | self._taught(inside, self.data.texts, rows)
        return sum(parts.values()), parts

    def evaluate(self) -> dict[str, float]:
        """See `Objective.evaluate`: the teacher's accuracy and the mean divergence of all who learn from it."""
        accuracies = accuracy(self.module.teacher, self.dev)
        divergences = []
        for rows in by_length(self.dev.lengths, CHUNK):
            inside = look(self.module.teacher.encoder, self.dev.texts, rows)
            divergences.append(sum(self._taught(inside, self.dev.texts, rows).values()) / len(self.module.models))
        return {
            "dev_accuracy": sum(accuracies.values()) / len(accuracies),
            "dev_divergence": float(torch.stack(divergences).mean()),
        }

    def _taught(self, inside: Inside, texts: EncodedTexts, rows: Tensor) -> dict[str, Tensor]:
        """The losses of assistant and students, by name."""
        module = self.module
        students = [_last(look(student, texts, rows)) for student in module.students]
        assistant = None if module.assistant is None else _last(look(module.assistant, texts, rows))
        losses = online_losses(_last(inside), assistant, students, inside.mask, module.heads)
        first = [] if assistant is None else ["assistant"]
        names = [*first, *(f"student_{number}" for number in range(1, len(students) + 1))]
        return dict(zip(names, losses, strict=True))


def _last(inside: Inside) -> Relations:
    return inside.relations(inside.encoder.depth - 1)
