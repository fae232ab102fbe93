"""FSD's loss of a batch: answers, and how features lie to each other and to a memory."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from continual.backbone.encoder import Encoder
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
        config: Size of the memory, which is empty at first; see `StructureLoss`.
    """

    def __init__(self, classifier: Classifier, config: "FsdConfig") -> None:
        super().__init__()
        self.classifier = classifier
        self.memory: nn.Parameter | None = None
        if config.remembers:
            self.memory = nn.Parameter(torch.zeros(config.memory, config.positions * classifier.encoder.width))


class StructureLoss:
    """The loss of a batch for `ClassificationObjective`; called with rows and the student's pass.

    Args:
        student: What is trained.
        teacher: The tuned teacher.
        data: The training texts.
        config: Weights.
        seed: Decides where the memories begin.
    """

    def __init__(
        self, student: RememberingStudent, teacher: Classifier, data: Labelled, config: "FsdConfig", seed: int
    ) -> None:
        self.student, self.teacher, self.data, self.config = student, teacher, data, config
        self.pairs = _layers(student.classifier.encoder.depth, teacher.encoder.depth, config.layerwise)
        self.memory: Tensor | None = None
        if student.memory is not None:
            own, given = self.pairs[-1]
            seen = Features(teacher.encoder, given, data, config.positions)
            self.memory = teacher_memory(seen, config, seed)
            learning = Features(student.classifier.encoder, own, data, config.positions)
            with torch.no_grad():
                student.memory.copy_(student_memory(seen, self.memory, learning, seed))

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
        # In bfloat16 products of centred features would lose the differences that are compared.
        with torch.autocast(own.mask.device.type, enabled=False):
            pairs = [(own.states[first].float(), given.states[second].float()) for first, second in self.pairs]
            parts = {"intra": _mean([intra_feature_loss(*pair, own.mask) for pair in pairs])}
            # One text alone lies to no other.
            parts["local"] = (
                _mean([local_inter_feature_loss(*pair, own.mask) for pair in pairs])
                if len(own.mask) > 1
                else torch.zeros_like(parts["intra"])
            )
            if self.memory is not None:
                sides = [flattened(states, own.mask, self.config.positions) for states in pairs[-1]]
                memories = (self.student.memory, self.memory.to(own.mask.device))
                options = (self.config.balance, self.config.per_dimension)
                parts["global"] = global_inter_feature_loss(*sides, *memories, *options)
        return parts


class Features:
    """The features of all training texts under one model, a batch at a time, since together they would be too large.

    Args:
        encoder: The model.
        state: Which of its states is taken, 0 being the embeddings.
        data: The training texts.
        positions: Tokens of each text that are taken.
    """

    def __init__(self, encoder: Encoder, state: int, data: Labelled, positions: int) -> None:
        self.encoder, self.state, self.data, self.positions = encoder, state, data, positions
        self.size = positions * encoder.width
        self.batches = by_length(data.lengths, CHUNK)

    def of(self, rows: Tensor) -> Tensor:
        """The features of some texts, each all its states end to end, [rows, size]."""
        inside = look_only(self.encoder, self.data.texts, rows)
        return flattened(inside.states[self.state], inside.mask, self.positions).float().cpu()

    def drawn(self, centroids: int, generator: torch.Generator) -> Tensor:
        """Centroids from a normal distribution with the features' moments, [centroids, size]."""
        total, squares = torch.zeros(self.size, dtype=torch.double), torch.zeros(self.size, dtype=torch.double)
        for rows in self.batches:
            values = self.of(rows).double()
            total, squares = total + values.sum(0), squares + (values**2).sum(0)
        mean = total / len(self.data)
        deviation = (squares / len(self.data) - mean**2).clamp(min=0).sqrt()
        return initial_memory(mean.float(), deviation.float(), centroids, generator)

    def gathered(self, memory: Tensor, group: Callable[[Tensor], Tensor]) -> Tensor:
        """The memory whose centroids are the means of their texts; `group(rows)` tells each text's centroid."""
        sums, counts = torch.zeros_like(memory), torch.zeros(len(memory))
        for rows in self.batches:
            chosen = group(rows)
            sums.index_add_(0, chosen, self.of(rows))
            counts += chosen.bincount(minlength=len(memory))
        return renewed(memory, sums, counts)


def teacher_memory(features: Features, config: "FsdConfig", seed: int) -> Tensor:
    """Centroids of the teacher's features of the training texts, [centroids, positions * width].

    As in the released code: drawn from a normal distribution with the features' moments, then, in each pass, every
    centroid becomes the mean of the texts that are nearest to it.

    Args:
        features: The teacher's.
        config: Centroids and passes.
        seed: Decides what is drawn.
    """
    memory = features.drawn(config.memory, torch.Generator().manual_seed(seed_of(seed, "memory")))
    for _ in range(config.passes):
        memory = features.gathered(memory, partial(_nearest, features, memory))
    return memory


def student_memory(teacher: Features, memory: Tensor, student: Features, seed: int) -> Tensor:
    """Where the student's memory begins: at its own features' means over the texts of the teacher's centroids.

    Ours. In the released code it begins at normal noise, far from everything.

    Args:
        teacher: The teacher's features.
        memory: The teacher's memory, [centroids, teacher size].
        student: The student's features, untrained.
        seed: Decides centroids that have no text.
    """
    drawn = student.drawn(len(memory), torch.Generator().manual_seed(seed_of(seed, "memory")))
    return student.gathered(drawn, partial(_nearest, teacher, memory))


def _nearest(features: Features, memory: Tensor, rows: Tensor) -> Tensor:
    return nearest(features.of(rows), memory)


def _layers(student: int, teacher: int, layerwise: bool) -> list[tuple[int, int]]:
    """States of student and teacher that are compared: those after the penultimate layers, or of all but the last."""
    if not layerwise or student == 1:
        return [(student - 1, teacher - 1)]
    mapped = layer_map("uniform", student, teacher)
    return [(layer, mapped[layer]) for layer in range(1, student)]


def _mean(values: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(values)).mean()
