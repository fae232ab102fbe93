"""Classification heads: a convex start on frozen features, the optimum of the objective that training continues."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

STRENGTHS = (0.001, 0.003, 0.01, 0.03, 0.1)
_MINIMUM_SCALE = 1e-3
_ITERATIONS = 60


@dataclass(frozen=True)
class Head:
    """A linear classifier on standardised features.

    Attributes:
        weight: [labels, features].
        bias: [labels].
        mean: What is subtracted from the features, [features].
        scale: What they are then divided by, [features].
        penalty: Factor of the squared norm of `weight` in the objective it minimises.
    """

    weight: Tensor
    bias: Tensor
    mean: Tensor
    scale: Tensor
    penalty: float


def fold(weight: Tensor, bias: Tensor, mean: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """Weight and bias of the same classifier on raw features: the standardisation moves into them."""
    raw = weight / scale
    return raw, bias - raw @ mean


def fit_head(
    features: Tensor,
    labels: Tensor,
    num_labels: int,
    dev_features: Tensor,
    dev_labels: Tensor,
    strengths: Sequence[float] = STRENGTHS,
    raw: int = 0,
) -> Head:
    """Regularised multinomial logistic regression, its penalty chosen by the log-loss on dev.

    It minimises `mean cross-entropy + |W|^2 / (C n)` over n texts, for the best inverse strength C.

    Args:
        features: Training features, [texts, features].
        labels: Their labels, [texts].
        num_labels: How many labels the task has.
        dev_features: Held-out features, [dev texts, features].
        dev_labels: Their labels, [dev texts].
        strengths: The values of C to choose from, rising.
        raw: This many features, the last ones, are not standardised: they are sparse and have their scale.
    """
    mean, scale = features.mean(0), features.std(0) + _MINIMUM_SCALE
    if raw:
        mean[-raw:], scale[-raw:] = 0.0, 1.0
    standard, dev_standard = (features - mean) / scale, (dev_features - mean) / scale
    weight, bias = torch.zeros(num_labels, features.shape[1]), torch.zeros(num_labels)
    best: tuple[float, Head] | None = None
    for strength in strengths:
        penalty = 1 / (strength * len(labels))
        # The path is walked from strong to weak penalties, each optimum being a good start for the next.
        weight, bias = minimise(standard, labels, weight, bias, penalty)
        loss = float(F.cross_entropy(dev_standard @ weight.T + bias, dev_labels))
        if best is None or loss < best[0]:
            best = (loss, Head(weight, bias, mean, scale, penalty))
    assert best is not None  # strengths is never empty
    return best[1]


def minimise(features: Tensor, labels: Tensor, weight: Tensor, bias: Tensor, penalty: float) -> tuple[Tensor, Tensor]:
    """The weight and bias that minimise `mean cross-entropy + penalty * |W|^2`, from a start, by L-BFGS."""
    weight, bias = weight.clone().requires_grad_(), bias.clone().requires_grad_()
    optimiser = torch.optim.LBFGS(
        [weight, bias], max_iter=_ITERATIONS, tolerance_grad=1e-5, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = F.cross_entropy(features @ weight.T + bias, labels) + penalty * weight.square().sum()
        loss.backward()
        return loss

    optimiser.step(closure)
    return weight.detach(), bias.detach()
