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


def token_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """The mean negative log-probability of all real target tokens, a scalar; arguments as for `token_log_probs`."""
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED)


def target_log_probs(logits: Tensor, targets: Tensor, normalised: bool) -> Tensor:
    """The log-probability of each target, [batch]: the sum over its tokens, or their mean if `normalised`."""
    total = token_log_probs(logits, targets).sum(1)
    return total / (targets != IGNORED).sum(1) if normalised else total
