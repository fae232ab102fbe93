"""What a learner answers, and what is measured of its answers."""

from dataclasses import dataclass

import torch
from torch import Tensor

from continual.pool.prompt import PromptRecord
from continual.router import Route
from continual.storing import labels_for, own_task


@dataclass(frozen=True)
class Prediction:
    """What the pool says of one text.

    Attributes:
        label: The most probable label.
        confidence: Its probability, in [0, 1].
        task: The task whose prompt was used; None where none was told and one model answers for all tasks.
        prompt: The id of that prompt.
        known: False when the task was not told and the text resembles no known task.
        similarity: Cosine of the text with the prompt's nearest key.
        probabilities: Each label's probability.
    """

    label: str
    confidence: float
    task: str | None
    prompt: str
    known: bool
    similarity: float
    probabilities: dict[str, float]


@dataclass(frozen=True)
class Translation:
    """What the pool makes of one source.

    Attributes:
        text: The translation; empty for a blank source.
        task: The task whose prompt was used; None for a blank source, to which the next three do not apply.
        prompt: The id of that prompt.
        known: False when the task was not told and the source resembles no known task.
        similarity: Cosine of the source with the prompt's nearest key.
    """

    text: str
    task: str | None = None
    prompt: str | None = None
    known: bool = False
    similarity: float = 0.0


@dataclass(frozen=True)
class Evaluation:
    """Scores on labelled texts.

    Attributes:
        accuracy: Share of texts whose label was right.
        macro_f1: Mean F1 over the task's labels.
        routed_right: Share of texts that went to a prompt of this task.
        unknown: Share of texts marked as belonging to no known task.
        score: The task's own metric, see `streams.Task.metric`.
    """

    accuracy: float
    macro_f1: float
    routed_right: float
    unknown: float
    score: float


@dataclass(frozen=True)
class TranslationEvaluation:
    """Scores of translations.

    Attributes:
        bleu: Corpus BLEU, from 0 to 1.
        chrf: Corpus chrF, from 0 to 1.
        routed_right: Share of sources that went to a prompt of this task.
        unknown: Share of sources marked as belonging to no known task.
        score: The task's own metric, see `streams.Task.metric`.
    """

    bleu: float
    chrf: float
    routed_right: float
    unknown: float
    score: float


def prediction(item: Route, record: PromptRecord, logits: Tensor, task: str | None) -> Prediction:
    """The prediction for one text; where the task is told, only its labels are possible.

    Args:
        item: Where the text went.
        record: That prompt.
        logits: What it said, [labels].
        task: The task that was told.
    """
    labels = record.labels if task is None else labels_for(record, task)
    places = [record.labels.index(label) for label in labels]
    shares = torch.softmax(logits[places].double(), dim=0).tolist()
    best = max(range(len(shares)), key=shares.__getitem__)
    return Prediction(
        label=labels[best],
        confidence=shares[best],
        task=task or own_task(record),
        prompt=record.id,
        known=item.known,
        similarity=item.similarity,
        probabilities=dict(zip(labels, shares, strict=True)),
    )
