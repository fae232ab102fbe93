"""The ground of a task: what the frozen model says of its texts before any prompt does.

A linear head on frozen features and surface terms is often a better classifier of a small task than a prompt. A prompt
that is trained beside it finds nothing to do, since the head fits the training texts perfectly. So the ground is laid
first, and the prompt learns what the ground gets wrong on texts that it has *not* seen: on the training texts it is
given out-of-fold logits, each from a head that was fitted without that text (stacked generalisation, Wolpert 1992,
Neural Networks 5(2)). A prediction is the sum of both.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from continual.backbone.space import Space
from continual.backbone.texts import join
from continual.seeding import seed_of
from continual.training.examples import Examples
from continual.tuning.dictionary import Dictionary
from continual.tuning.head import Evidence, Head, Weights, fit_head, minimise

FOLDS = 5


@dataclass(frozen=True)
class Ground:
    """What is known of a task before its prompt is trained.

    Attributes:
        head: The classifier of frozen features and terms, fitted to the training texts.
        train: The training texts with out-of-fold logits.
        dev: The dev texts with the head's logits.
    """

    head: Head
    train: Examples
    dev: Examples

    def final(self, space: Space) -> Head:
        """The head fitted once more, on train and dev together.

        Dev has chosen epoch and penalty and has no other use; the problem is convex, so nothing is left to choose.

        Args:
            space: Where the features of both lie side by side.
        """
        parts = (self.train, self.dev)
        terms = join([part.view.terms for part in parts])
        features = space.zeros(sum(map(len, parts)), self.train.view.features.shape[1])
        torch.cat([part.view.features for part in parts], out=features)
        labels = torch.cat([part.labels for part in parts])
        return self.head.refitted(Evidence(features, self.head.dictionary.bags(terms)), labels)


def lay_ground(train: Examples, dev: Examples, labels: int, seed: int) -> Ground:
    """Fits the head of a task.

    Args:
        train: The training texts.
        dev: The texts that choose the penalty.
        labels: How many labels the task has.
        seed: Decides the folds.
    """
    dictionary = Dictionary.of(join([train.view.terms, dev.view.terms]), train.view.readout.terms)
    seen, held_out = (Evidence(part.view.features, dictionary.bags(part.view.terms)) for part in (train, dev))
    head = fit_head(seen, train.labels, labels, held_out, dev.labels, dictionary)
    return Ground(
        head,
        replace(train, ground=out_of_fold(head, seen, train.labels, seed)),
        replace(dev, ground=head.logits(held_out)),
    )


def out_of_fold(head: Head, evidence: Evidence, labels: Tensor, seed: int) -> Tensor:
    """For each text the logits of a head that was fitted to the other folds only, [texts, labels]."""
    folds = stratified_folds(labels, FOLDS, seed)
    logits = torch.zeros(len(evidence), len(head.weights.bias))
    for fold in folds.unique() if len(labels) > 1 else ():
        own = folds == fold
        start = Weights.zero(len(head.weights.bias), evidence.features.shape[1], len(head.dictionary))
        weights = minimise(evidence, labels, start, head.scaling, head.strength, counted=~own)
        logits[own] = weights.logits(evidence, head.scaling)[own]
    return logits


def stratified_folds(labels: Tensor, folds: int, seed: int) -> Tensor:
    """A fold number for each text, [texts]; the texts of a label are spread evenly over the folds."""
    generator = torch.Generator().manual_seed(seed_of(seed, "folds"))
    order = torch.randperm(len(labels), generator=generator)
    order = order[torch.argsort(labels[order], stable=True)]
    numbers = torch.empty(len(labels), dtype=torch.long)
    numbers[order] = torch.arange(len(labels)) % folds
    return numbers
