"""Online distillation: students learn from a teacher while that teacher is still trained.

Wang et al. 2021, "ERNIE 3.0 Titan: Exploring Larger-scale Knowledge Enhanced Pre-training for Language Understanding
and Generation" (arXiv 2112.12731), section 5. At each step of the teacher (on-the-fly distillation) a teacher
assistant learns from the teacher's current attention, and several students at once from the assistant's; nothing flows
back. The loss is MiniLM's (Wang et al. 2020, arXiv 2002.10957): the divergence of attention distributions. So that the
last layer which is kept is taught whole, a student has an auxiliary layer on top, whose attention is compared, and
loses it afterwards.

Which layers are compared, and what to do about different numbers of heads, the paper does not say. Here queries and
keys are split anew into a number of *relation heads* that both models share (MiniLMv2, Wang et al. 2021, arXiv
2012.15828).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from continual.errors import LearningError


@dataclass(frozen=True)
class Relations:
    """What one attention layer computes before its scores.

    Attributes:
        query: [texts, tokens, width].
        key: [texts, tokens, width].
    """

    query: Tensor
    key: Tensor

    def detached(self) -> "Relations":
        """The same numbers, through which nothing flows back."""
        return Relations(self.query.detach(), self.key.detach())


def attention_log_probs(relations: Relations, mask: Tensor, heads: int) -> Tensor:
    """`log softmax(Q K^T / sqrt(d))` over real tokens, [texts, heads, tokens, tokens]; -inf at padding.

    Args:
        relations: Queries and keys.
        mask: True where a token is real, [texts, tokens].
        heads: Into how many heads the width is split.

    Raises:
        LearningError: The width is no multiple of `heads`.
    """
    texts, tokens, width = relations.query.shape
    if width % heads:
        raise LearningError(
            f"States {width} wide cannot be split into {heads} relation heads; choose a number that divides the widths "
            "of teacher, assistant and students."
        )
    query, key = (it.view(texts, tokens, heads, width // heads).transpose(1, 2) for it in vars(relations).values())
    scores = query @ key.transpose(2, 3) / (width // heads) ** 0.5
    return torch.log_softmax(scores.masked_fill(~mask[:, None, None, :], float("-inf")), dim=3)


def attention_divergence(student: Relations, teacher: Relations, mask: Tensor, heads: int) -> Tensor:
    """KL(teacher || student) of attention distributions in nats, a mean over heads and real tokens, a scalar.

    Nothing flows back to the teacher.

    Args:
        student: Queries and keys of the layer that learns.
        teacher: Those of the layer that it learns from; they may be of another width.
        mask: True where a token is real, [texts, tokens].
        heads: Relation heads.
    """
    own = attention_log_probs(student, mask, heads)
    wanted = attention_log_probs(teacher.detached(), mask, heads)
    real = mask[:, None, None, :]
    # exp(-inf) * (-inf - -inf) is no number, so padding is filled before and not after the product.
    gaps = wanted.masked_fill(~real, 0) - own.masked_fill(~real, 0)
    divergence = (wanted.exp() * gaps).sum(3)
    weights = mask.to(divergence.dtype)
    return torch.einsum("bhq,bq->", divergence, weights) / (weights.sum() * heads)


def online_losses(
    teacher: Relations, assistant: Relations | None, students: Sequence[Relations], mask: Tensor, heads: int
) -> list[Tensor]:
    """The losses of one step, each of which reaches one model alone: the assistant's first, then each student's.

    Args:
        teacher: Of the teacher's current pass.
        assistant: Of the teacher assistant; None lets the students learn from the teacher.
        students: Of each student's auxiliary layer.
        mask: True where a token is real, [texts, tokens].
        heads: Relation heads.
    """
    if assistant is None:
        return [attention_divergence(own, teacher, mask, heads) for own in students]
    taught = [attention_divergence(own, assistant, mask, heads) for own in students]
    return [attention_divergence(assistant, teacher, mask, heads), *taught]
