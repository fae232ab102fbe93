"""Losses of pretraining: functions of tensors without any state."""

import torch
from torch import Tensor
from torch.nn import functional as F

from continual.backbone.likelihood import token_loss


def detection_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """E2S2's local denoising: which tokens are original, shuffled or random (Zhong et al. 2022, arXiv 2205.14912).

    Mean cross-entropy over real tokens, in nats. The released code ignores the label 1, which is its padding id, and so
    learns nothing of shuffled tokens; here padding alone is ignored.

    Args:
        logits: [texts, tokens, 3], from the encoder's last states.
        labels: [texts, tokens]: 0 original, 1 shuffled, 2 random, `IGNORED` at padding and special tokens.

    Returns:
        A scalar; 0 where no token is labelled.
    """
    return token_loss(logits, labels)


def mean_state(states: Tensor, mask: Tensor) -> Tensor:
    """One vector for each text: the mean of the states of its real tokens.

    Args:
        states: [texts, tokens, width].
        mask: [texts, tokens], true at real tokens, of which each text has at least one.

    Returns:
        [texts, width].
    """
    weights = mask.to(states.dtype)[..., None]
    return (states * weights).sum(1) / weights.sum(1)


def contrastive_loss(first: Tensor, second: Tensor, temperature: float = 1.0) -> Tensor:
    """E2S2's global objective: NT-Xent between two views of each text (Zhong et al. 2022, arXiv 2205.14912).

    The other view of a text is its positive; both views of all other texts of the batch are negatives (Chen et al.
    2020, arXiv 2002.05709). The two directions are averaged, and so are the texts.

    Args:
        first: One vector for each text, [texts, width].
        second: Those of the other view, [texts, width].
        temperature: By which cosines are divided; above 0.

    Returns:
        A scalar, in nats; 0 for a single text, which has no negatives.
    """
    first, second = F.normalize(first.float(), dim=-1), F.normalize(second.float(), dim=-1)
    across = first @ second.T / temperature
    own = torch.arange(len(first), device=first.device)
    halves = []
    for view, logits in ((first, across), (second, across.T)):
        within = (view @ view.T / temperature).fill_diagonal_(float("-inf"))
        halves.append(F.cross_entropy(torch.cat([logits, within], dim=1), own))
    return (halves[0] + halves[1]) / 2
