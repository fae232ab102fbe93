"""Linear classifiers on what the frozen model sees: regularised, convex, solved to their optimum."""

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
_HISTORY = 10
"""Copies of the weights that L-BFGS keeps; with its usual hundred they would be the largest thing in memory."""


@dataclass(frozen=True)
class Evidence:
    """What a head reads of some texts.

    Attributes:
        features: Summaries of hidden states, [texts, features].
        bags: The texts' terms.
    """

    features: Tensor
    bags: Bags

    def __len__(self) -> int:
        return len(self.features)


@dataclass(frozen=True)
class Scaling:
    """How features are standardised: `(features - mean) / scale`.

    Nothing is ever standardised in memory, where the features are the largest thing: the weights carry the scaling.

    Attributes:
        mean: [features].
        scale: [features].
    """

    mean: Tensor
    scale: Tensor

    @classmethod
    def none(cls, features: int) -> "Scaling":
        """Leaves features as they are."""
        return cls(torch.zeros(features), torch.ones(features))

    @classmethod
    def of(cls, features: Tensor) -> "Scaling":
        """The scaling that gives `features` [texts, features] mean 0 and deviation 1."""
        if not features.shape[1]:  # torch warns of the deviation of nothing
            return cls.none(0)
        return cls(features.mean(0), features.std(0, correction=0) + _MINIMUM_SCALE)

    def fold(self, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """Weight and bias for raw features of a classifier of standardised ones."""
        raw = weight / self.scale
        return raw, bias - raw @ self.mean


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

    def logits(self, evidence: Evidence, scaling: Scaling) -> Tensor:
        """Scores of the labels, [texts, labels]."""
        weight, bias = scaling.fold(self.features, self.bias)
        return evidence.features @ weight.T + evidence.bags.logits(self.terms) + bias


@dataclass(frozen=True)
class Head:
    """A linear classifier on standardised features and on terms.

    Attributes:
        weights: What it has learned.
        dictionary: The terms that it knows.
        scaling: How its features are standardised.
        strength: Inverse strength C of its penalty.
    """

    weights: Weights
    dictionary: Dictionary
    scaling: Scaling
    strength: float

    def logits(self, evidence: Evidence) -> Tensor:
        """Scores of the labels, [texts, labels]."""
        return self.weights.logits(evidence, self.scaling)

    @property
    def size(self) -> int:
        """How many numbers were learned."""
        return sum(value.numel() for value in (self.weights.features, self.weights.terms, self.weights.bias))


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
        train: What is seen of the training texts.
        labels: Their labels, [texts].
        num_labels: How many labels the task has.
        dev: What is seen of held-out texts.
        dev_labels: Their labels, [dev texts].
        dictionary: Whose terms the bags hold.
        strengths: The values of C to choose from, rising.
    """
    scaling = Scaling.of(train.features)
    start = Weights.zero(num_labels, train.features.shape[1], len(dictionary))
    weights, strength = best_strength(train, labels, start, dev, dev_labels, scaling, strengths)
    return Head(weights, dictionary, scaling, strength)


def best_strength(
    train: Evidence,
    labels: Tensor,
    start: Weights,
    dev: Evidence,
    dev_labels: Tensor,
    scaling: Scaling,
    strengths: Sequence[float] = STRENGTHS,
) -> tuple[Weights, float]:
    """The weights for the strength with the lowest log-loss on dev, and that strength; see `fit_head`."""
    best: tuple[float, Weights, float] | None = None
    weights = start
    for strength in strengths:
        # The path is walked from strong to weak penalties, each optimum being a good start for the next.
        weights = minimise(train, labels, weights, scaling, strength)
        loss = float(F.cross_entropy(weights.logits(dev, scaling), dev_labels))
        if best is None or loss < best[0]:
            best = (loss, weights, strength)
    assert best is not None  # strengths is never empty
    return best[1:]


def minimise(
    evidence: Evidence,
    labels: Tensor,
    start: Weights,
    scaling: Scaling,
    strength: float,
    counted: Tensor | None = None,
) -> Weights:
    """The weights that minimise `mean cross-entropy + |W|^2 / (C n)`, from a start, by L-BFGS; the bias is free.

    Args:
        evidence: What is seen of the texts.
        labels: Their labels, [texts].
        start: Where to start; it is left as it is.
        scaling: How the features are standardised.
        strength: C.
        counted: True for the n texts that count, [texts]; all by default. The others stay where they are, since
            a copy of some of the features would be as large as the features.
    """
    features, terms, bias = (
        value.detach().clone().requires_grad_() for value in (start.features, start.terms, start.bias)
    )
    weights = Weights(features, terms, bias)
    share = torch.ones(len(labels)) if counted is None else counted.float()
    share = share / share.sum()
    penalty = 1 / (strength * (len(labels) if counted is None else int(counted.sum())))
    optimiser = torch.optim.LBFGS(
        [features, terms, bias],
        max_iter=_ITERATIONS,
        tolerance_grad=1e-5,
        history_size=_HISTORY,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        losses = F.cross_entropy(weights.logits(evidence, scaling), labels, reduction="none")
        loss = losses @ share + penalty * (features.square().sum() + terms.square().sum())
        loss.backward()
        return loss

    optimiser.step(closure)
    return Weights(features.detach(), terms.detach(), bias.detach())
