"""What methods have in common that serve all tasks with one model."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from continual.methods.base import TASKS, Lesson, Shared, kept_tensors
from continual.pool.prompt import Prompt
from continual.training.model import Classifier
from continual.training.steered import SteeredModel
from continual.tuning.base import Tensors, trained_tensors
from continual.tuning.head import Scaling


@dataclass(frozen=True)
class Before:
    """The model as it was before a task.

    Attributes:
        tasks: The labels of each task so far.
        labels: All of them, each once.
        classifier: Of all labels; None before the first task, and where tasks have no labels.
        keys: The keys of all tasks so far, [keys, width].
        tensors: The prompt's tensors; empty before the first task.
    """

    tasks: Mapping[str, tuple[str, ...]]
    labels: tuple[str, ...]
    classifier: Classifier | None
    keys: Tensor
    tensors: Tensors

    @classmethod
    def of(cls, lesson: Lesson) -> "Before":
        """What the lesson's method has stored last, or nothing."""
        if not lesson.earlier:
            return cls({}, (), None, lesson.keys[:0], {})
        prompt = lesson.earlier[0]
        tasks = {name: tuple(labels) for name, labels in prompt.provenance[TASKS].items()}
        return cls(tasks, prompt.labels, _classifier(prompt), prompt.tensors["keys"], trained_tensors(prompt.tensors))

    def start(self, lesson: Lesson) -> Classifier | None:
        """The classifier of a task's labels: known labels as they are, new ones say nothing. None before any task."""
        if self.classifier is None:
            return None
        known = {label: place for place, label in enumerate(self.labels)}
        weight = torch.zeros(len(lesson.labels), self.classifier.weight.shape[1])
        bias = torch.zeros(len(lesson.labels))
        for row, label in enumerate(lesson.labels):
            if label in known:
                weight[row], bias[row] = self.classifier.weight[known[label]], self.classifier.bias[known[label]]
        return Classifier(weight, bias, self.classifier.scaling)

    def after(self, lesson: Lesson, model: SteeredModel) -> tuple[Shared, dict[str, Tensor]]:
        """What is known when the task has been learned, and the tensors to be kept for the next one."""
        own = model.classifier
        if own is None:  # of a translation, only the prompt
            keys = torch.cat([self.keys, lesson.keys])
            return Shared({**self.tasks, lesson.task: ()}, (), None, keys), {}
        labels = (*self.labels, *(label for label in lesson.labels if label not in self.labels))
        weight, bias = torch.zeros(len(labels), own.weight.shape[1]), torch.zeros(len(labels))
        if self.classifier is not None:
            weight[: len(self.labels)], bias[: len(self.labels)] = self.classifier.weight, self.classifier.bias
        rows = [labels.index(label) for label in lesson.labels]
        weight[rows], bias[rows] = own.weight, own.bias
        classifier = Classifier(weight, bias, own.scaling)
        shared = Shared(
            tasks={**self.tasks, lesson.task: lesson.labels},
            labels=labels,
            classifier=classifier,
            keys=torch.cat([self.keys, lesson.keys]),
        )
        kept = {"weight": weight, "bias": bias, "mean": own.scaling.mean, "scale": own.scaling.scale}
        return shared, kept


def _classifier(prompt: Prompt) -> Classifier | None:
    kept = kept_tensors(prompt)
    if not kept:
        return None
    return Classifier(kept["weight"], kept["bias"], Scaling(kept["mean"], kept["scale"]))
