"""One prompt on a frozen generative backbone: what a training on pairs changes."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from continual.backbone.body import Perturbation
from continual.backbone.likelihood import IGNORED
from continual.backbone.text_to_text import TextToText
from continual.backbone.texts import by_length
from continual.training.batches import Batches
from continual.training.steered import SteeredModel
from continual.training.trainable import Trainable

if TYPE_CHECKING:
    from continual.training.pairs import Pairs

_SCORED_AT_ONCE = 32
"""Pairs in a batch without gradients: logits over a whole vocabulary are large."""


class TokenModel(Trainable):
    """A model whose answers are tokens.

    The logits of a batch are those of its real target tokens alone, one pair's behind the other's, [target tokens,
    vocabulary], each given the source and the tokens before it. So an objective that takes a mean over answers takes
    the mean over tokens.
    """

    @torch.no_grad()
    def score(self, examples: Batches) -> tuple[float, float]:
        """See `Trainable.score`: over all target tokens, each given the right tokens before it."""
        right, nats, tokens = 0, 0.0, 0
        for rows in by_length(examples.lengths, _SCORED_AT_ONCE):
            logits, targets = self.answers(examples, rows)
            right += int((logits.argmax(1) == targets).sum())
            nats += float(F.cross_entropy(logits.float(), targets, reduction="none").double().sum())
            tokens += len(targets)
        return right / tokens, nats / tokens


class TranslationModel(TokenModel, SteeredModel):
    """A frozen encoder-decoder or causal model under one prompt, without a head: the model's own writes the targets."""

    def answers(
        self, examples: "Pairs", rows: Tensor, perturb: Perturbation | None = None, factors: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """See `Trainable.answers`: logits [target tokens, vocabulary] and token ids [target tokens]."""
        batch = examples.batch(rows)
        backbone = self.backbone if perturb is None else self.backbone.perturbed(perturb)
        tensors = self.tuning.compose(self.tensors, batch.seen)
        steering = self.tuning.base.steering(backbone, tensors)
        logits = backbone.token_logits(batch.hidden, batch.mask, batch.targets, steering)
        return logits, batch.targets[batch.targets != IGNORED]

    def logits(self, examples: "Pairs") -> "ComputedLogits":
        """See `SteeredModel.logits`; computed when they are asked for, since those of all pairs fit in no memory."""
        return ComputedLogits(self, examples)

    @property
    def backbone(self) -> TextToText:
        """The backbone, as what it is."""
        assert isinstance(self.encoder, TextToText)
        return self.encoder


@dataclass(frozen=True)
class ComputedLogits:
    """A model's logits of pairs, computed for the rows that are asked for; see `ByRows`.

    Attributes:
        model: The model, which is not trained any more.
        pairs: The pairs.
    """

    model: TranslationModel
    pairs: "Pairs"

    @torch.no_grad()
    def __getitem__(self, rows: Tensor) -> Tensor:
        """Logits of the target tokens of some pairs, [target tokens, vocabulary]."""
        return self.model.answers(self.pairs, rows)[0]
