"""Distillation on output logits: pure functions of tensors."""

import torch
from torch import Tensor

DECAYS = ("none", "linear", "warm")

_WARM_SHARE = 0.1


def logit_mse(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of logits over texts and labels, a scalar.

    Args:
        student: Logits, [texts, labels].
        teacher: Logits, [texts, labels].
    """
    return torch.mean((student - teacher) ** 2)


def soft_divergence(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """`T^2 * KL(teacher || student)` in nats, a mean over texts, a scalar (Hinton et al. 2015, arXiv 1503.02531).

    Args:
        student: Logits, [texts, labels].
        teacher: Probabilities, softened with the same temperature already, [texts, labels].
        temperature: T, above 0.
    """
    log_student = torch.log_softmax(student / temperature, dim=1)
    return temperature**2 * torch.nn.functional.kl_div(log_student, teacher, reduction="batchmean")


def ramp(decay: str, progress: float) -> float:
    """The share of a distillation weight that is in force, as in PANDA's released code.

    Args:
        decay: `none`: always 1. `linear`: 1 for the first tenth of training, then linearly to 0. `warm`: from 0 to 1
            over the first tenth, then linearly to 0.
        progress: How much of the training is done, in [0, 1].
    """
    if decay == "none":
        return 1.0
    if progress < _WARM_SHARE:
        return progress / _WARM_SHARE if decay == "warm" else 1.0
    return (1 - progress) / (1 - _WARM_SHARE)
