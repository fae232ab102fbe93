"""An encoder with a linear head for each task, learned together: a fine-tuned teacher, or a student with answers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from continual.backbone.encoder import Encoder
from continual.backbone.states import CHUNK
from continual.backbone.texts import by_length
from continual.seeding import seed_of
from continual.students.encoders.inside import Inside, look
from continual.students.encoders.labelled import Labelled, by_task


class Classifier(nn.Module):
    """An encoder and the heads of its tasks, all of which are trained.

    Args:
        encoder: The encoder; its weights are this module's.
        labels: How many labels each task has.
        seed: Decides the heads' weights.
        name: Distinguishes them from those of other models.
    """

    def __init__(self, encoder: Encoder, labels: Sequence[int], seed: int, name: str) -> None:
        super().__init__()
        self.encoder = encoder
        self.model = encoder.model
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of(seed, "heads", name))
            self.heads = nn.ModuleList(nn.Linear(encoder.width, count) for count in labels)

    def answers(self, inside: Inside, tasks: Tensor) -> list["Answers"]:
        """The logits of some texts, those of each task together.

        Args:
            inside: A pass of this classifier's encoder over the texts.
            tasks: Their task numbers, [texts].
        """
        vectors = inside.vectors
        return [Answers(rows, self.heads[task](vectors[rows])) for task, rows in by_task(tasks.to(vectors.device))]


@dataclass(frozen=True)
class Answers:
    """What is said of the texts of one task in a batch.

    Attributes:
        rows: Their places in the batch, [some].
        logits: [some, labels of the task].
    """

    rows: Tensor
    logits: Tensor


PairLoss = Callable[[Tensor, Tensor], Tensor]
"""`(logits [texts, labels], what is wanted of them) -> scalar`, a mean over texts."""


def gold_loss(answers: Sequence[Answers], labels: Tensor) -> Tensor:
    """Cross-entropy to the true labels, a mean over all texts of the batch; labels [texts]."""
    return _mean([(F.cross_entropy(it.logits, labels.to(it.rows.device)[it.rows]), len(it.rows)) for it in answers])


def agreement_loss(own: Sequence[Answers], given: Sequence[Answers], loss: PairLoss) -> Tensor:
    """A loss between two models' answers to the same batch, a mean over all texts."""
    return _mean([(loss(one.logits, other.logits), len(one.rows)) for one, other in zip(own, given, strict=True)])


class ClassificationObjective:
    """The objective of `continual.pretraining.loop` for a classifier of several tasks.

    Args:
        module: What is trained; its `classifier` answers.
        classifier: The classifier in it.
        data: The training texts.
        dev: Held-out texts.
        loss_of: The loss of a batch, and its parts by name, given the rows and the pass over them; cross-entropy to
            the true labels by default.
    """

    def __init__(
        self,
        module: nn.Module,
        classifier: Classifier,
        data: Labelled,
        dev: Labelled,
        loss_of: Callable[[Tensor, Inside], tuple[Tensor, Mapping[str, Tensor]]] | None = None,
    ) -> None:
        self.module, self.classifier, self.data, self.dev = module, classifier, data, dev
        self._loss_of = loss_of or self._gold

    def loss(self, step: int, rows: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        """See `Objective.loss`."""
        return self._loss_of(rows, look(self.classifier.encoder, self.data.texts, rows))

    def evaluate(self) -> dict[str, float]:
        """See `Objective.evaluate`: the accuracy on dev, a mean over tasks."""
        accuracies = accuracy(self.classifier, self.dev)
        return {"dev_accuracy": sum(accuracies.values()) / len(accuracies)}

    def _gold(self, rows: Tensor, inside: Inside) -> tuple[Tensor, Mapping[str, Tensor]]:
        answers = self.classifier.answers(inside, self.data.tasks[rows])
        return gold_loss(answers, self.data.labels[rows]), {}


@torch.no_grad()
def accuracy(classifier: Classifier, data: Labelled) -> dict[int, float]:
    """The share of texts that are answered rightly, by the number of the task."""
    right: dict[int, list[Tensor]] = {}
    for rows in by_length(data.lengths, CHUNK):
        tasks, labels = data.tasks[rows], data.labels[rows]
        for answers in classifier.answers(look(classifier.encoder, data.texts, rows), tasks):
            places = answers.rows.cpu()
            hits = answers.logits.argmax(1).cpu() == labels[places]
            right.setdefault(int(tasks[places[0]]), []).append(hits)
    return {task: float(torch.cat(hits).float().mean()) for task, hits in sorted(right.items())}


def _mean(losses: Sequence[tuple[Tensor, int]]) -> Tensor:
    total = sum(count for _, count in losses)
    return sum(loss * (count / total) for loss, count in losses)
