"""The ground of a task: what the frozen model says of its texts before any prompt does.

A linear head on frozen features and surface terms is often a better classifier of a small task than a prompt. A prompt
that is trained beside it finds nothing to do, since the head fits the training texts perfectly. So the ground is laid
first, and the prompt learns what the ground gets wrong on texts that it has *not* seen: on the training texts it is
given out-of-fold logits, each from a head that was fitted without that text (stacked generalisation, Wolpert 1992,
Neural Networks 5(2)). A prediction is the sum of both.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from continual.backbone.frozen import FrozenCache
from continual.backbone.texts import join
from continual.seeding import seed_of
from continual.training.examples import Examples
from continual.tuning.dictionary import Bags, Dictionary
from continual.tuning.head import Evidence, Head, Scaling, Weights, best_strength, minimise
from continual.tuning.span import LARGEST, Span

FOLDS = 5


class Problem(Protocol):
    """What a head is fitted to, in coordinates of the problem's own.

    Attributes:
        train: The training texts.
        dev: The dev texts.
        scaling: How their features are standardised.
    """

    train: Evidence
    dev: Evidence
    scaling: Scaling

    def start(self, labels: int) -> Weights:
        """Weights that know nothing."""

    def both(self) -> Evidence:
        """The training and the dev texts, one after the other."""

    def head(self, weights: Weights, strength: float) -> Head:
        """The head of features and terms that weights of the problem stand for."""


class Direct:
    """A task with more texts than features: the features themselves. See `Problem`."""

    def __init__(self, parts: Sequence[Evidence], dictionary: Dictionary, cache: FrozenCache) -> None:
        self.train, self.dev = parts
        self.scaling = Scaling.of(self.train.features)
        self._dictionary, self._cache = dictionary, cache

    def start(self, labels: int) -> Weights:
        """See `Problem.start`."""
        return Weights.zero(labels, len(self.scaling.mean), len(self._dictionary))

    def both(self) -> Evidence:
        """See `Problem.both`."""
        shape = len(self.train) + len(self.dev), len(self.scaling.mean)
        self._cache.make_room(4 * shape[0] * shape[1])
        features = self._cache.space.zeros(*shape)
        torch.cat([self.train.features, self.dev.features], out=features)
        return Evidence(features, Bags.joined([self.train.bags, self.dev.bags]))

    def head(self, weights: Weights, strength: float) -> Head:
        """See `Problem.head`."""
        return Head(weights, self._dictionary, self.scaling, strength)


class Spanned:
    """A task with fewer texts than features: their coordinates in the space that they span. See `Problem`."""

    def __init__(self, parts: Sequence[Evidence], dictionary: Dictionary) -> None:
        self._parts, self._dictionary = parts, dictionary
        self._outer = Scaling.of(parts[0].features)
        self._span = Span.of(parts, self._outer, len(dictionary))
        coordinates = self._span.coordinates
        self.scaling = Scaling.none(coordinates.shape[1])
        self.train, self.dev = (
            Evidence(own, Bags.empty(len(own))) for own in coordinates.split([len(part) for part in parts])
        )

    def start(self, labels: int) -> Weights:
        """See `Problem.start`."""
        return Weights.zero(labels, self._span.coordinates.shape[1], 0)

    def both(self) -> Evidence:
        """See `Problem.both`."""
        return Evidence(self._span.coordinates, Bags.empty(len(self._span.coordinates)))

    def head(self, weights: Weights, strength: float) -> Head:
        """See `Problem.head`."""
        whole = self._span.weights(weights, self._parts, self._outer, len(self._dictionary))
        return Head(whole, self._dictionary, self._outer, strength)


@dataclass(frozen=True)
class Ground:
    """What is known of a task before its prompt is trained.

    Attributes:
        problem: What its head is fitted to.
        weights: The head's weights, fitted to the training texts.
        strength: Inverse strength C of the penalty.
        train: The training texts with out-of-fold logits.
        dev: The dev texts with the head's logits.
    """

    problem: Problem
    weights: Weights
    strength: float
    train: Examples
    dev: Examples

    def head(self) -> Head:
        """The classifier of frozen features and terms, fitted to the training texts."""
        return self.problem.head(self.weights, self.strength)

    def final(self, refit: bool = True) -> Head:
        """The head that is kept: fitted once more, on train and dev together.

        Dev has chosen epoch and penalty; the problem is convex, so nothing is left that it would have to choose.

        Args:
            refit: Whether to do so; otherwise the head is that of the training texts.
        """
        if not refit:
            return self.head()
        labels = torch.cat([self.train.labels, self.dev.labels])
        both = self.problem.both()
        weights = minimise(both, labels, self.weights, self.problem.scaling, self.strength)
        return self.problem.head(weights, self.strength)


def lay_ground(train: Examples, dev: Examples, labels: int, seed: int, cache: FrozenCache) -> Ground:
    """Fits the head of a task.

    Args:
        train: The training texts.
        dev: The texts that choose the penalty.
        labels: How many labels the task has.
        seed: Decides the folds.
        cache: Where large arrays are made.
    """
    # Terms and their frequencies come from dev texts as well; no label of them is looked at.
    dictionary = Dictionary.of(join([train.view.terms, dev.view.terms]), train.view.readout.terms)
    parts = [Evidence(part.view.features, dictionary.bags(part.view.terms)) for part in (train, dev)]
    texts, features = sum(map(len, parts)), parts[0].features.shape[1] + len(dictionary)
    problem = Spanned(parts, dictionary) if texts <= min(LARGEST, features) else Direct(parts, dictionary, cache)
    start = problem.start(labels)
    weights, strength = best_strength(problem.train, train.labels, start, problem.dev, dev.labels, problem.scaling)
    return Ground(
        problem,
        weights,
        strength,
        replace(train, ground=out_of_fold(problem, weights, strength, train.labels, seed)),
        replace(dev, ground=weights.logits(problem.dev, problem.scaling)),
    )


def out_of_fold(problem: Problem, weights: Weights, strength: float, labels: Tensor, seed: int) -> Tensor:
    """For each training text the logits of a head that was fitted to the other folds only, [texts, labels].

    The only text of a label keeps the logits of the head that knows it: without it there would be no such label, and
    one text that looks absurd would weigh more than all others.
    """
    folds = stratified_folds(labels, FOLDS, seed)
    logits = weights.logits(problem.train, problem.scaling)
    start = problem.start(logits.shape[1])
    common = torch.bincount(labels, minlength=logits.shape[1])[labels] > 1
    for fold in folds.unique():
        own = folds == fold
        if not bool((own & common).any()):
            continue
        apart = minimise(problem.train, labels, start, problem.scaling, strength, counted=~own)
        logits = torch.where((own & common)[:, None], apart.logits(problem.train, problem.scaling), logits)
    return logits


def stratified_folds(labels: Tensor, folds: int, seed: int) -> Tensor:
    """A fold number for each text, [texts]; the texts of a label are spread evenly over the folds."""
    generator = torch.Generator().manual_seed(seed_of(seed, "folds"))
    order = torch.randperm(len(labels), generator=generator)
    order = order[torch.argsort(labels[order], stable=True)]
    numbers = torch.empty(len(labels), dtype=torch.long)
    numbers[order] = torch.arange(len(labels)) % folds
    return numbers
