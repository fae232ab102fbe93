"""The ground of a task: out-of-fold logits, the final head, and how it is stored."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_tasks import examples
from torch.nn import functional as F

from continual.backbone.frozen import FrozenCache
from continual.backbone.texts import join
from continual.training.examples import Examples
from continual.training.ground import FOLDS, Direct, Spanned, lay_ground, stratified_folds
from continual.tuning import build_tuning
from continual.tuning.dictionary import Dictionary
from continual.tuning.head import Evidence, Weights, minimise
from continual.tuning.stored import loaded_ground, stored_ground

CACHE = FrozenCache(None)  # its space is used, its encoder is not


@pytest.fixture(scope="module")
def task(tiny_encoder) -> tuple[Examples, Examples]:
    encoder, tuning = tiny_encoder("bert"), build_tuning({"name": "late", "length": 3, "layer": 1})
    return tuple(examples(encoder, tuning, count=count, seed=seed, noise=0.2) for count, seed in ((40, 0), (24, 9)))


def evidence(head, part: Examples) -> Evidence:
    return Evidence(part.view.features, head.dictionary.bags(part.view.terms))


def test_dev_gets_the_heads_logits_and_nothing_else_changes(task):
    train, dev = task
    ground = lay_ground(train, dev, 2, seed=0, cache=CACHE)
    torch.testing.assert_close(ground.dev.ground, ground.head().logits(evidence(ground.head(), dev)), rtol=0, atol=1e-3)
    assert ground.train.view is train.view
    assert not train.ground.any()


def test_a_training_text_is_judged_by_a_head_that_never_saw_it(task):
    """Turning the labels of one fold round changes nothing for the texts of that fold, and does for the others."""
    train, dev = task
    ground = lay_ground(train, dev, 2, seed=0, cache=CACHE)
    own = stratified_folds(train.labels, FOLDS, 0) == 1
    start = Weights.zero(2, train.view.features.shape[1], len(ground.head().dictionary))
    by_hand = minimise(
        Evidence(
            train.view.features[~own], ground.head().dictionary.bags(train.view.terms.take((~own).nonzero()[:, 0]))
        ),
        train.labels[~own],
        start,
        ground.head().scaling,
        ground.head().strength,
    )
    expected = by_hand.logits(evidence(ground.head(), train), ground.head().scaling)[own]
    torch.testing.assert_close(ground.train.ground[own], expected, rtol=0, atol=0.02)


def test_out_of_fold_logits_are_less_sure_than_those_of_a_head_that_knows_the_answers(task):
    train, dev = task
    ground = lay_ground(train, dev, 2, seed=0, cache=CACHE)
    knowing = ground.head().logits(evidence(ground.head(), train))
    assert F.cross_entropy(ground.train.ground, train.labels) > 2 * F.cross_entropy(knowing, train.labels)


def test_the_only_text_of_a_label_keeps_what_the_whole_head_says(task):
    train, dev = task
    labels = train.labels.clone()
    labels[7] = 2
    rare = replace(train, labels=labels, ground=torch.zeros(40, 3))
    ground = lay_ground(rare, replace(dev, ground=torch.zeros(24, 3)), 3, seed=0, cache=CACHE)
    torch.testing.assert_close(
        ground.train.ground[7], ground.head().logits(evidence(ground.head(), rare))[7], rtol=0, atol=1e-3
    )


def test_without_refit_the_head_of_the_training_texts_is_kept(task):
    ground = lay_ground(*task, 2, seed=0, cache=CACHE)
    kept, first = ground.final(refit=False), ground.head()
    assert torch.equal(kept.weights.features, first.weights.features)
    assert not torch.equal(ground.final().weights.features, first.weights.features)


def test_the_final_head_is_the_optimum_on_train_and_dev(task):
    train, dev = task
    ground = lay_ground(train, dev, 2, seed=0, cache=CACHE)
    final = ground.final()
    features = final.weights.features.clone().requires_grad_()
    weights = Weights(features, final.weights.terms, final.weights.bias)
    labels = torch.cat([train.labels, dev.labels])
    logits = torch.cat([weights.logits(evidence(final, part), final.scaling) for part in (train, dev)])
    penalty = 1 / (final.strength * 64)
    (F.cross_entropy(logits, labels) + penalty * features.square().sum()).backward()
    assert features.grad.abs().max() / (2 * penalty) < 1e-3


def test_a_stored_ground_gives_the_same_logits(task):
    train, dev = task
    head = lay_ground(train, dev, 2, seed=0, cache=CACHE).head()
    rows = torch.tensor([5, 0, 23, 5])
    found = loaded_ground(stored_ground(head)).logits(dev.view, rows)
    torch.testing.assert_close(found, head.logits(evidence(head, dev))[rows], rtol=0, atol=1e-4)


@given(labels=st.lists(st.integers(0, 3), min_size=1, max_size=60), seed=st.integers(0, 5))
def test_folds_hold_every_label_evenly(labels, seed):
    labels = torch.tensor(labels)
    folds = stratified_folds(labels, FOLDS, seed)
    for group in [labels >= 0, *(labels == label for label in labels.unique())]:
        sizes = torch.bincount(folds[group], minlength=FOLDS)
        assert sizes.max() - sizes.min() <= 1


@pytest.mark.parametrize("count", [1, 2, 3])
def test_tiny_tasks_are_harmless(tiny_encoder, count):
    encoder, tuning = tiny_encoder("bert"), build_tuning({"name": "deep", "length": 2})
    train, dev = (examples(encoder, tuning, count=count, seed=seed) for seed in (0, 1))
    ground = lay_ground(train, dev, 3, seed=0, cache=CACHE)
    assert ground.train.ground.isfinite().all()
    assert ground.dev.ground.isfinite().all()


def test_coordinates_of_the_span_give_the_head_of_all_features(task):
    """The change of coordinates is exact: both ways reach the same optimum of the same objective."""
    train, dev = task
    dictionary = Dictionary.of(join([train.view.terms, dev.view.terms]), 64)
    parts = [Evidence(part.view.features, dictionary.bags(part.view.terms)) for part in task]
    found = []
    for problem in (Spanned(parts, dictionary), Direct(parts, dictionary, CACHE)):
        weights = minimise(problem.train, train.labels, problem.start(2), problem.scaling, 0.03)
        found.append(problem.head(weights, 0.03))
        torch.testing.assert_close(
            weights.logits(problem.dev, problem.scaling), found[-1].logits(parts[1]), rtol=0, atol=1e-3
        )
        both = problem.both()
        assert len(both) == 64
        assert torch.equal(both.features[40:], problem.dev.features)
    torch.testing.assert_close(found[0].weights.features, found[1].weights.features, rtol=0, atol=1e-3)
    torch.testing.assert_close(found[0].weights.terms, found[1].weights.terms, rtol=0, atol=1e-3)
    torch.testing.assert_close(found[0].logits(parts[1]), found[1].logits(parts[1]), rtol=0, atol=0.02)
