"""In-context learning distillation: a student learns to use demonstrations as its teacher does.

Huang et al. 2022, "In-context Learning Distillation: Transferring Few-shot Learning Ability of Pre-trained Language
Models" (arXiv 2212.10670). Both models read the same demonstrations and query; the student learns from the teacher's
distribution (soft) and from the truth (hard), in the context and, as plain language modelling, on the texts themselves:

    L = L_ICL + beta L_LM       L_ICL = alpha soft + (1 - alpha) hard       L_LM likewise, for each token

*Meta-ICT* trains on some tasks and uses the student on others without training; there the paper finds L_LM harmful.
*Multitask-ICT* trains on the few examples of all tasks that it is used on; there L_LM helps, and this is the best.
That each of the two losses has a soft and a hard part is verified in words. The mixture by alpha, the temperature,
beta and its course are ours: no formula of the paper could be read, and there is no released code.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from continual.backbone.likelihood import IGNORED
from continual.errors import LearningError

PARADIGMS = ("meta", "multitask")
COURSES = ("constant", "falling", "rising")


@dataclass(frozen=True)
class Mixture:
    """How soft and hard targets are mixed.

    Attributes:
        soft: Alpha, the share of the teacher's distribution, in [0, 1].
        temperature: By which logits are divided in the soft part, whose loss is multiplied by its square; above 0.
    """

    soft: float = 0.5
    temperature: float = 1.0


def label_loss(student: Tensor, teacher: Tensor, labels: Tensor, mixture: Mixture) -> Tensor:
    """L_ICL in nats, a mean over queries, a scalar.

    Args:
        student: How probable the student finds each label's words after demonstrations and query, as logits or
            log-probabilities, [queries, labels].
        teacher: The same of the teacher.
        labels: The true labels, [queries].
        mixture: Of soft and hard.
    """
    soft = _soft(student, teacher.detach(), mixture.temperature).mean()
    return mixture.soft * soft + (1 - mixture.soft) * F.cross_entropy(student, labels)


def token_distillation(student: Tensor, teacher: Tensor, targets: Tensor, mixture: Mixture) -> Tensor:
    """L_LM in nats, a mean over real tokens, a scalar; 0 where there are none.

    Args:
        student: Logits of each next token, [texts, tokens, vocabulary].
        teacher: The same of the teacher.
        targets: The tokens that come next, `IGNORED` where there is none, [texts, tokens].
        mixture: Of soft and hard.
    """
    real = targets != IGNORED
    student, teacher = student[real], teacher.detach()[real]
    soft = _soft(student, teacher, mixture.temperature).sum()
    hard = F.cross_entropy(student, targets[real], reduction="sum")
    return (mixture.soft * soft + (1 - mixture.soft) * hard) / real.sum().clamp(min=1)


def language_weight(weight: float, course: str, progress: float) -> float:
    """Beta: how much L_LM counts at a moment of the training. Ours.

    Args:
        weight: Its largest value.
        course: `constant`; `falling`: linearly to 0, so that the end belongs to the contexts that the student is used
            with; `rising`: linearly from 0.
        progress: How much of the training is done, in [0, 1].

    Raises:
        LearningError: There is no such course.
    """
    if course not in COURSES:
        raise LearningError(
            f"The course of the language modelling weight is {course!r}, expected one of {', '.join(COURSES)}."
        )
    return weight * {"constant": 1.0, "falling": 1 - progress, "rising": progress}[course]


def majority(votes: Tensor, labels: int) -> Tensor:
    """The label that most draws of demonstrations give each query, the lowest number among equals, [queries].

    The paper's inference where there are more examples than fit into a context.

    Args:
        votes: Predicted label numbers, [draws, queries].
        labels: How many labels there are.
    """
    return F.one_hot(votes, labels).sum(0).argmax(1)


def _soft(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """`T^2` times the cross-entropy to the teacher's softened distribution, [rows]."""
    wanted = torch.softmax(teacher / temperature, dim=-1)
    return -(temperature**2) * (wanted * torch.log_softmax(student / temperature, dim=-1)).sum(-1)
