"""How good a student is: as a frozen backbone, and where it has heads, by its own answers."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from continual.backbone.encoder import Encoder
from continual.backbone.states import CHUNK
from continual.backbone.texts import by_length
from continual.students.encoders.classifier import Classifier, accuracy
from continual.students.encoders.inside import look_only
from continual.students.encoders.labelled import Labelled, by_task, encoded, rows_of
from continual.students.smaller import parameters
from continual.tuning.dictionary import Bags, Dictionary
from continual.tuning.head import Evidence, fit_head

if TYPE_CHECKING:
    from streams import Task

_COMPARED = 512
"""Texts whose pairs are compared, at most; their number grows with the square."""


def vectors_of(encoder: Encoder, data: Labelled) -> Tensor:
    """The vectors of all texts, [texts, width], on the CPU."""
    vectors = torch.empty(len(data), encoder.width)
    for rows in by_length(data.lengths, CHUNK):
        vectors[rows] = look_only(encoder, data.texts, rows).vectors.float().cpu()
    return vectors


def probed(encoder: Encoder, tasks: Sequence["Task"]) -> dict[str, float]:
    """The accuracy on test of a linear classifier of the frozen model's vectors, by task.

    That is what the model is worth as a backbone before any prompt: multinomial logistic regression on train, its
    penalty chosen on dev.
    """
    return {task.name: _probe(encoder, task) for task in tasks}


def score_row(
    name: str, encoder: Encoder, tasks: Sequence["Task"], classifier: Classifier | None = None
) -> dict[str, Any]:
    """A row of a summary's `scores`.

    Args:
        name: Of the model.
        encoder: The model.
        tasks: On whose test splits it is scored.
        classifier: The model with heads for these tasks, if it has any.

    Returns:
        `model`, `parameters`, the means `probe` and (with heads) `answers`, and both by task.
    """
    probes = probed(encoder, tasks)
    row = {"model": name, "parameters": parameters(encoder), "probe": _mean(probes), "probe_by_task": probes}
    if classifier is None:
        return row
    found = accuracy(classifier, encoded(encoder, rows_of(tasks, "test")))
    answers = {task.name: found[number] for number, task in enumerate(tasks)}
    return row | {"answers": _mean(answers), "answers_by_task": answers}


def similarity(student: Encoder, teacher: Encoder, data: Labelled) -> float:
    """Spearman's correlation of the cosines of all pairs of texts under two models: do they find the same texts alike?

    Sentence embeddings are usually measured by their correlation with people's judgements (STS); this is the same
    against the teacher's, which needs no such corpus.
    """
    from scipy.stats import spearmanr

    pairs = []
    for encoder in (student, teacher):
        vectors = torch.nn.functional.normalize(vectors_of(encoder, data)[:_COMPARED], dim=1)
        pairs.append((vectors @ vectors.T)[*torch.triu_indices(len(vectors), len(vectors), offset=1)])
    return float(spearmanr(*(it.numpy() for it in pairs)).statistic)


def nearest_agreement(encoder: Encoder, data: Labelled) -> float:
    """How often the nearest other text of the same task has the same label; a task of one text is left out."""
    vectors = torch.nn.functional.normalize(vectors_of(encoder, data), dim=1)
    found = []
    for _, rows in by_task(data.tasks):
        if len(rows) > 1:
            cosines = (vectors[rows] @ vectors[rows].T).fill_diagonal_(-2.0)
            found.append(data.labels[rows][cosines.argmax(1)] == data.labels[rows])
    return float(torch.cat(found).float().mean()) if found else float("nan")


def _probe(encoder: Encoder, task: "Task") -> float:
    parts = {split: encoded(encoder, rows_of([task], split)) for split in ("train", "dev", "test")}
    seen = {split: _evidence(vectors_of(encoder, data)) for split, data in parts.items()}
    train, dev, test = (parts[split].labels for split in ("train", "dev", "test"))
    head = fit_head(seen["train"], train, len(task.labels), seen["dev"], dev, Dictionary.empty())
    return float((head.logits(seen["test"]).argmax(1) == test).float().mean())


def _evidence(vectors: Tensor) -> Evidence:
    return Evidence(vectors, Bags.empty(len(vectors)))


def _mean(values: dict[str, float]) -> float:
    return sum(values.values()) / len(values)
