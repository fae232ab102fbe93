"""Classification heads: a convex start on what the frozen model sees, the optimum that training continues from."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from continual.tuning.dictionary import Bags, Dictionary

STRENGTHS = (0.01, 0.03, 0.1)
"""Weaker ones have a lower log-loss on small dev splits, by being less sure, and more errors (docs/pheme.md)."""

_MINIMUM_SCALE = 1e-3
_ITERATIONS = 60


@dataclass(frozen=True)
class Evidence:
    """What a head reads of some texts.

    Attributes:
        features: Summaries of hidden states, [texts, features].
        bags: The texts' terms.
    """

    features: Tensor
    bags: Bags


@dataclass(frozen=True)
class Weights:
    """What a head has learned.

    Attributes:
        features: Of the standardised features, [labels, features].
        terms: Of the dictionary's terms, [terms, labels].
        bias: [labels].
    """

    features: Tensor
    terms: Tensor
    bias: Tensor

    @classmethod
    def zero(cls, labels: int, features: int, terms: int) -> "Weights":
        """Weights that know nothing."""
        return cls(torch.zeros(labels, features), torch.zeros(terms, labels), torch.zeros(labels))

    def logits(self, evidence: Evidence) -> Tensor:
        """Scores of the labels, [texts, labels]."""
        return evidence.features @ self.features.T + evidence.bags.logits(self.terms) + self.bias


@dataclass(frozen=True)
class Head:
    """A linear classifier on standardised features and on terms.

    Attributes:
        weights: What it has learned.
        dictionary: The terms that it knows.
        mean: What is subtracted from the features, [features].
        scale: What they are then divided by, [features].
        penalty: Factor of the squared norm of the weights in the objective that they minimise.
    """

    weights: Weights
    dictionary: Dictionary
    mean: Tensor
    scale: Tensor
    penalty: float


def fold(weight: Tensor, bias: Tensor, mean: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """Weight and bias of the same classifier on raw features: the standardisation moves into them."""
    raw = weight / scale
    return raw, bias - raw @ mean


def fit_head(
    train: Evidence,
    labels: Tensor,
    num_labels: int,
    dev: Evidence,
    dev_labels: Tensor,
    dictionary: Dictionary,
    strengths: Sequence[float] = STRENGTHS,
) -> Head:
    """Regularised multinomial logistic regression, its penalty chosen by the log-loss on dev.

    It minimises `mean cross-entropy + |W|^2 / (C n)` over n texts, for the best inverse strength C.

    Args:
        train: What is seen of the training texts, features not standardised.
        labels: Their labels, [texts].
        num_labels: How many labels the task has.
        dev: What is seen of held-out texts, likewise.
        dev_labels: Their labels, [dev texts].
        dictionary: Whose terms the bags hold.
        strengths: The values of C to choose from, rising.
    """
    mean, scale = train.features.mean(0), train.features.std(0, correction=0) + _MINIMUM_SCALE
    standard = Evidence((train.features - mean) / scale, train.bags)
    dev_standard = Evidence((dev.features - mean) / scale, dev.bags)
    weights = Weights.zero(num_labels, train.features.shape[1], len(dictionary))
    best: tuple[float, Head] | None = None
    for strength in strengths:
        penalty = 1 / (strength * len(labels))
        # The path is walked from strong to weak penalties, each optimum being a good start for the next.
        weights = minimise(standard, labels, weights, penalty)
        loss = float(F.cross_entropy(weights.logits(dev_standard), dev_labels))
        if best is None or loss < best[0]:
            best = (loss, Head(weights, dictionary, mean, scale, penalty))
    assert best is not None  # strengths is never empty
    return best[1]


def minimise(evidence: Evidence, labels: Tensor, start: Weights, penalty: float) -> Weights:
    """The weights that minimise `mean cross-entropy + penalty * |W|^2`, from a start, by L-BFGS; the bias is free."""
    features, terms, bias = (
        value.detach().clone().requires_grad_() for value in (start.features, start.terms, start.bias)
    )
    weights = Weights(features, terms, bias)
    optimiser = torch.optim.LBFGS(
        [features, terms, bias], max_iter=_ITERATIONS, tolerance_grad=1e-5, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        norm = features.square().sum() + terms.square().sum()
        loss = F.cross_entropy(weights.logits(evidence), labels) + penalty * norm
        loss.backward()
        return loss

    optimiser.step(closure)
    return Weights(features.detach(), terms.detach(), bias.detach())
