"""A classification that a generative backbone answers in words: the label whose text it finds most probable."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from continual.backbone.body import Perturbation
from continual.backbone.encoder import Encoder
from continual.backbone.text_to_text import TextToText
from continual.backbone.texts import Ragged, by_length
from continual.training.examples import Examples
from continual.training.model import Classifier
from continual.training.steered import SteeredModel
from continual.tuning.base import Tensors, Tuning

if TYPE_CHECKING:
    from continual.backbone.frozen import FrozenView

_SCORED_AT_ONCE = 16
"""Texts in a batch without gradients; each is read once for every label."""


@dataclass(frozen=True)
class Worded(Examples):
    """Texts and their labels, which are to be answered in words.

    Attributes:
        words: Token ids of the labels' texts, end token included.
    """

    words: Ragged

    def begin(
        self, encoder: TextToText, tuning: Tuning, tensors: Tensors, labels: int, classifier: Classifier | None = None
    ) -> "LabelModel":
        """See `Material.begin`; there is no classifier."""
        return LabelModel(encoder, tuning, tensors)


class LabelModel(SteeredModel):
    """A frozen generative backbone under one prompt, without a head.

    The logit of a label is the log-probability of its text as the target of the source, divided by the number of its
    tokens.
    """

    def answers(
        self, examples: Worded, rows: Tensor, perturb: Perturbation | None = None, factors: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """See `Trainable.answers`: scores of the labels, [rows, labels], and label numbers, [rows]."""
        backbone = self.encoder if perturb is None else self.encoder.perturbed(perturb)
        tensors = self.tuning.compose(self.tensors, examples.view.seen(rows))
        scores = label_scores(backbone, self.tuning.base, tensors, examples.view, rows, examples.words)
        return scores, examples.labels[rows]

    def score(self, examples: Worded) -> tuple[float, float]:
        """See `Trainable.score`."""
        logits = self.logits(examples)
        accuracy = (logits.argmax(1) == examples.labels).float().mean()
        return float(accuracy), float(F.cross_entropy(logits, examples.labels))

    @torch.no_grad()
    def logits(self, examples: Worded) -> Tensor:
        """See `SteeredModel.logits`: [texts, labels]."""
        logits = torch.empty(len(examples), len(examples.words))
        for rows in by_length(examples.lengths, _SCORED_AT_ONCE):
            logits[rows] = self.answers(examples, rows)[0]
        return logits


def label_scores(
    backbone: Encoder, base: Tuning, tensors: Tensors, view: "FrozenView", rows: Tensor, words: Ragged
) -> Tensor:
    """How probable each label's text is for some texts of a view under a prompt, [rows, labels].

    Args:
        backbone: A generative backbone.
        base: The tuning whose tensors enter.
        tensors: Those of one prompt, or of one for each text.
        view: What the frozen model makes of the texts.
        rows: Which of them.
        words: Token ids of the labels' texts.
    """
    assert isinstance(backbone, TextToText)
    ids, mask, _ = view.texts.batch(rows, backbone.pad_token)
    return backbone.label_log_probs(ids, mask, words, base.steering(backbone, tensors))
