"""How probable a model finds target texts: pure functions of its logits.

`targets` are token ids, [batch, target length], with `IGNORED` behind those that are shorter than the longest.
"""

from torch import Tensor
from torch.nn import functional as F

IGNORED = -100
"""What stands behind a target's end; it takes no part in losses and scores."""


def token_log_probs(logits: Tensor, targets: Tensor) -> Tensor:
    """The log-probability of each target token, [batch, target length]; 0 behind a target's end.

    Args:
        logits: [batch, target length, vocabulary].
        targets: [batch, target length].
    """
    return -F.cross_entropy(logits.transpose(1, 2), targets, ignore_index=IGNORED, reduction="none")


def token_loss(logits: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy of all real target tokens in nats, a scalar; 0 where there are none.

    With smoothing e the target of a token is `(1 - e) * one_hot + e / V` (Szegedy et al. 2016, arXiv 1512.00567).

    Args:
        logits: [batch, target length, V].
        targets: [batch, target length].
        smoothing: Share of the target that is spread over the whole vocabulary, in [0, 1).
    """
    flat = targets.flatten()
    summed = F.cross_entropy(
        logits.flatten(0, 1).float(), flat, ignore_index=IGNORED, reduction="sum", label_smoothing=smoothing
    )
    return summed / (flat != IGNORED).sum().clamp(min=1)


def target_log_probs(logits: Tensor, targets: Tensor, normalised: bool) -> Tensor:
    """The log-probability of each target, [batch]: the sum over its tokens, or their mean if `normalised`."""
    total = token_log_probs(logits, targets).sum(1)
    return total / (targets != IGNORED).sum(1) if normalised else total
