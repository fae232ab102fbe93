"""FSD's loss of a batch: answers, and how features lie to each other and to a memory."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from continual.backbone.states import CHUNK
from continual.backbone.texts import by_length
from continual.distillation.hidden import layer_map
from continual.distillation.logits import soft_divergence
from continual.distillation.structure import (
    flattened,
    global_inter_feature_loss,
    initial_memory,
    intra_feature_loss,
    local_inter_feature_loss,
    nearest,
    renewed,
)
from continual.seeding import seed_of
from continual.students.encoders.classifier import Classifier, agreement_loss, gold_loss
from continual.students.encoders.inside import Inside, look_only
from continual.students.encoders.labelled import Labelled

if TYPE_CHECKING:
    from continual.students.encoders.fsd import FsdConfig


class RememberingStudent(nn.Module):
    """A student with heads and, where a memory takes part, its own memory.

    Args:
        classifier: The student.
        config: Size of the memory.
        seed: Decides where the memory begins: at normal noise, as in the released code.
    """

    def __init__(self, classifier: Classifier, config: "FsdConfig", seed: int) -> None:
        super().__init__()
        self.classifier = classifier
        self.memory: nn.Parameter | None = None
        if config.remembers:
            generator = torch.Generator().manual_seed(seed_of(seed, "memory", "student"))
            size = config.positions * classifier.encoder.width
            self.memory = nn.Parameter(torch.randn(config.memory, size, generator=generator))


class StructureLoss:
    """The loss of a batch for `ClassificationObjective`; called with rows and the student's pass.

    Args:
        student: What is trained.
        teacher: The tuned teacher.
        data: The training texts.
        config: Weights.
        seed: Decides where the teacher's memory begins.
    """

    def __init__(
        self, student: RememberingStudent, teacher: Classifier, data: Labelled, config: "FsdConfig", seed: int
    ) -> None:
        self.student, self.teacher, self.data, self.config = student, teacher, data, config
        self.pairs = _layers(student.classifier.encoder.depth, teacher.encoder.depth, config.layerwise)
        self.memory = teacher_memory(teacher, self.pairs[-1][1], data, config, seed) if config.remembers else None

    def __call__(self, rows: Tensor, own: Inside) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The loss and its parts by name: `gold`, `soft`, `intra`, `local`, `global`."""
        config, tasks = self.config, self.data.tasks[rows]
        given = look_only(self.teacher.encoder, self.data.texts, rows)
        answers = self.student.classifier.answers(own, tasks)
        parts = {"gold": gold_loss(answers, self.data.labels[rows])}
        with torch.no_grad():
            wanted = self.teacher.answers(given, tasks)
        parts["soft"] = agreement_loss(answers, wanted, self._soft)
        loss = config.alpha * parts["gold"] + (1 - config.alpha) * parts["soft"]
        if config.epsilon:
            parts |= self._structures(own, given)
            local = config.gamma * parts["intra"] + (1 - config.gamma) * parts["local"]
            loss = loss + config.epsilon * (1 - config.sigma) * local / 2
            if "global" in parts:
                loss = loss + config.epsilon * config.sigma * parts["global"]
        return loss, parts

    def _soft(self, student: Tensor, teacher: Tensor) -> Tensor:
        return soft_divergence(student, torch.softmax(teacher / self.config.temperature, 1), self.config.temperature)

    def _structures(self, own: Inside, given: Inside) -> dict[str, Tensor]:
        pairs = [(own.states[first], given.states[second]) for first, second in self.pairs]
        parts = {
            "intra": _mean([intra_feature_loss(*pair, own.mask) for pair in pairs]),
            # One text alone lies to no other.
            "local": _mean([local_inter_feature_loss(*pair, own.mask) for pair in pairs]) if len(own.mask) > 1 else 0.0,
        }
        if self.memory is not None:
            sides = [flattened(states, own.mask, self.config.positions) for states in pairs[-1]]
            memories = (self.student.memory, self.memory.to(own.mask.device))
            parts["global"] = global_inter_feature_loss(*sides, *memories, self.config.balance)
        return {name: torch.as_tensor(value) for name, value in parts.items()}


def teacher_memory(teacher: Classifier, state: int, data: Labelled, config: "FsdConfig", seed: int) -> Tensor:
    """Centroids of the teacher's features of the training texts, [centroids, positions * width].

    As in the released code: drawn from a normal distribution with the features' moments, then, in each pass, every
    centroid becomes the mean of the texts that are nearest to it.

    Args:
        teacher: The tuned teacher.
        state: Which of its states is taken, 0 being the embeddings.
        data: The training texts.
        config: Centroids, passes and positions.
        seed: Decides what is drawn.
    """

    def features(rows: Tensor) -> Tensor:
        inside = look_only(teacher.encoder, data.texts, rows)
        return flattened(inside.states[state], inside.mask, config.positions).float().cpu()

    batches = by_length(data.lengths, CHUNK)
    size = config.positions * teacher.encoder.width
    total, squares = torch.zeros(size, dtype=torch.double), torch.zeros(size, dtype=torch.double)
    for rows in batches:
        values = features(rows).double()
        total, squares = total + values.sum(0), squares + (values**2).sum(0)
    mean = total / len(data)
    deviation = (squares / len(data) - mean**2).clamp(min=0).sqrt()
    generator = torch.Generator().manual_seed(seed_of(seed, "memory", "teacher"))
    memory = initial_memory(mean.float(), deviation.float(), config.memory, generator)
    for _ in range(config.passes):
        sums, counts = torch.zeros_like(memory), torch.zeros(len(memory))
        for rows in batches:
            values = features(rows)
            chosen = nearest(values, memory)
            sums.index_add_(0, chosen, values)
            counts += chosen.bincount(minlength=len(memory))
        memory = renewed(memory, sums, counts)
    return memory


def _layers(student: int, teacher: int, layerwise: bool) -> list[tuple[int, int]]:
    """States of student and teacher that are compared: those after the penultimate layers, or of all but the last."""
    if not layerwise or student == 1:
        return [(student - 1, teacher - 1)]
    mapped = layer_map("uniform", student, teacher)
    return [(layer, mapped[layer]) for layer in range(1, student)]


def _mean(values: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(values)).mean()
