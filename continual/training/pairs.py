"""Sentences and their translations in the form that training uses."""

from dataclasses import dataclass

from torch import Tensor

from continual.backbone.frozen import FrozenView, Seen
from continual.backbone.likelihood import IGNORED
from continual.backbone.text_to_text import TextToText
from continual.backbone.texts import Ragged
from continual.evaluation.kinds import TRANSLATION
from continual.training.examples import Material
from continual.training.model import Classifier
from continual.training.translation_model import TranslationModel
from continual.tuning.base import Tensors, Tuning


@dataclass(frozen=True)
class PairBatch:
    """Some pairs as a prompt meets them.

    Attributes:
        seen: What is known of the sources when the prompt enters.
        hidden: States before the prompt's layer of what the model reads, [pairs, length, width].
        mask: True where a position is real, [pairs, length].
        targets: Target ids, [pairs, target length], `IGNORED` behind.
    """

    seen: Seen
    hidden: Tensor
    mask: Tensor
    targets: Tensor


@dataclass(frozen=True)
class Pairs(Material):
    """Sources, seen by the frozen model, and their targets.

    Attributes:
        view: What the frozen model makes of the sources alone: what keys, routing and compositions go by.
        read: What it makes of the texts that the model reads. An encoder-decoder reads the sources, and this is the
            same view; a causal model reads source and target as one text.
        targets: Token ids of the targets, end token included.
    """

    kind = TRANSLATION

    view: FrozenView
    read: FrozenView
    targets: Ragged

    @property
    def views(self) -> tuple[FrozenView, ...]:
        """See `Material.views`."""
        return (self.view, self.read)

    @property
    def lengths(self) -> Tensor:
        """See `Batches.lengths`: tokens read and tokens written; a causal model reads what it writes."""
        read = self.read.states.lengths
        return read + self.targets.lengths if self.read is self.view else read

    def weight(self, rows: Tensor) -> int:
        """See `Batches.weight`: one answer for each target token."""
        return int(self.targets.lengths[rows].sum())

    def batch(self, rows: Tensor) -> PairBatch:
        """Some of the pairs as a prompt meets them."""
        seen = self.view.seen(rows)
        hidden, mask = (seen.hidden, seen.mask) if self.read is self.view else self.read.states.batch(rows)
        return PairBatch(seen, hidden, mask, self.targets.batch(rows, IGNORED)[0])

    def begin(
        self, encoder: TextToText, tuning: Tuning, tensors: Tensors, labels: int, classifier: Classifier | None = None
    ) -> TranslationModel:
        """See `Material.begin`; a translation has neither labels nor a classifier."""
        return TranslationModel(encoder, tuning, tensors)
