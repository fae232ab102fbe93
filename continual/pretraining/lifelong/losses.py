"""Losses of lifelong pretraining: functions of tensors, sums over tokens, so that groups of texts can be added up."""

from torch import Tensor
from torch.nn import functional as F


def cross_entropy_sum(logits: Tensor, targets: Tensor) -> Tensor:
    """Summed negative log-likelihood in nats, a scalar.

    Args:
        logits: [tokens, V].
        targets: Ids, [tokens].
    """
    return F.cross_entropy(logits.float(), targets, reduction="sum")


def token_smoothed_sum(logits: Tensor, targets: Tensor, reference: Tensor, smoothing: float) -> Tensor:
    """Token-specific label smoothing of self-evolution (Zhong et al. 2023, SE), summed over tokens, a scalar.

    The target of a token is `(1 - a) onehot(x_i) + a r_i`, where `r_i` is what the current model says at this place
    when it reads the sentence without masks.

    Args:
        logits: Of the model that reads masks, [tokens, V].
        targets: Ids, [tokens].
        reference: `r`, probabilities without gradient, [tokens, V].
        smoothing: `a`, in [0, 1]; published 0.1.
    """
    log_probs = F.log_softmax(logits.float(), dim=-1)
    hard = F.nll_loss(log_probs, targets, reduction="sum")
    soft = -(reference * log_probs).sum()
    return (1 - smoothing) * hard + smoothing * soft


def divergence_sum(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """`T^2 KL(teacher || student)` of softened predictions in nats, summed over tokens, a scalar (arXiv 1503.02531).

    Args:
        student: Logits, [tokens, V]; tokens that the teacher does not know come last and are left out.
        teacher: Logits, [tokens, at most V].
        temperature: T, above 0.
    """
    known = student[:, : teacher.shape[1]].float()
    log_student = F.log_softmax(known / temperature, dim=-1)
    log_teacher = F.log_softmax(teacher.float() / temperature, dim=-1)
    return temperature**2 * F.kl_div(log_student, log_teacher, reduction="sum", log_target=True)


def distilled(loss: Tensor, divergence: Tensor, progress: float) -> Tensor:
    """ELLE's mixture `(1 - r) loss + r divergence` with `r = 1 - progress` (Qin et al. 2022, released code).

    Args:
        loss: Of the texts.
        divergence: From the teacher, times T^2.
        progress: Share of the training that is done, in [0, 1].
    """
    return progress * loss + (1 - progress) * divergence


def token_losses(logits: Tensor, targets: Tensor) -> Tensor:
    """Negative log-likelihood of each token in nats, [tokens]; arguments as for `cross_entropy_sum`."""
    return F.cross_entropy(logits.float(), targets, reduction="none")
