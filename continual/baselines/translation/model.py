"""A copy of a generative backbone of which every weight is trained."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from continual.backbone.body import Perturbation
from continual.backbone.likelihood import IGNORED
from continual.backbone.text_to_text import TextToText, unfreeze
from continual.backbone.texts import by_length
from continual.training.translation_model import TokenModel

if TYPE_CHECKING:
    from continual.baselines.translation.material import ParallelText

_ALIKE = 16
"""Pairs of like length that are read at once, where a batch has pairs of any."""


class WholeModel(TokenModel):
    """A generative backbone that is trained as a whole; the one that it is a copy of stays as it is.

    It is trained as it answers, without dropout: all that keeps it from fitting its training text too well is that dev
    chooses the epoch, as for prompts.

    Args:
        backbone: What it is a copy of.
    """

    checkpoint_pace = 30.0  # a checkpoint holds five times the model

    def __init__(self, backbone: TextToText) -> None:
        super().__init__()
        twin = backbone.copied()
        self._twin = (twin,)  # in a tuple: the backbone is no module, its model is
        self.model = unfreeze(twin.model)

    @property
    def backbone(self) -> TextToText:
        """The copy, to write with."""
        return self._twin[0]

    @property
    def paces(self) -> list[tuple[nn.Parameter, float]]:
        """See `Trainable.paces`."""
        return [(value, 1.0) for value in self.parameters() if value.requires_grad]

    @property
    def size(self) -> int:
        """See `Trainable.size`."""
        return sum(value.numel() for value, _ in self.paces)

    def answers(
        self,
        examples: "ParallelText",
        rows: Tensor,
        perturb: Perturbation | None = None,
        factors: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """See `Trainable.answers`: logits [target tokens, vocabulary] and token ids [target tokens].

        Those of pairs of like length stand together where remembered ones, which are of any length, are among them:
        all at once, most of a batch would be padding.
        """
        if perturb is not None:
            return _answers(self.backbone.perturbed(perturb), examples, rows)
        if not examples.remembered:
            return _answers(self.backbone, examples, rows)
        alike = by_length(examples.lengths[rows], _ALIKE)
        logits, targets = zip(*(_answers(self.backbone, examples, rows[some]) for some in alike), strict=True)
        return torch.cat(logits), torch.cat(targets)


def _answers(backbone: TextToText, examples: "ParallelText", rows: Tensor) -> tuple[Tensor, Tensor]:
    ids, mask, targets = examples.pairs.batch(rows, backbone.pad_token)
    return backbone.token_logits(backbone.embed(ids, mask), mask, targets), targets[targets != IGNORED]
