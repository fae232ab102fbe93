"""Heads: the optimum of a convex problem, checked by its gradient and by another library."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from continual.backbone.texts import Ragged
from continual.tuning.dictionary import Bags, Dictionary
from continual.tuning.head import STRENGTHS, Evidence, Head, Scaling, Weights, fit_head, minimise


def problem(labels: int, texts: int = 90, features: int = 6, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Features on very different scales, and labels that depend on them with noise."""
    generator = torch.Generator().manual_seed(seed)
    raw = torch.randn(texts, features, generator=generator)
    truth = torch.randn(features, labels, generator=generator)
    target = (raw @ truth + 1.5 * torch.randn(texts, labels, generator=generator)).argmax(1)
    return raw * torch.logspace(-1, 2, features) + 10, target


def bags(texts: int) -> Bags:
    """As many texts without terms."""
    return Dictionary.empty().bags(Ragged(torch.zeros(0, dtype=torch.int32), torch.zeros(texts + 1, dtype=torch.long)))


def fitted(features, target, labels, dev, dev_target, strengths=STRENGTHS) -> Head:
    """A head on features alone."""
    train, held_out = Evidence(features, bags(len(features))), Evidence(dev, bags(len(dev)))
    return fit_head(train, target, labels, held_out, dev_target, Dictionary.empty(), strengths)


def logits(head: Head, features):
    return head.logits(Evidence(features, bags(len(features))))


def standardised(head: Head, features):
    return (features - head.scaling.mean) / head.scaling.scale


def objective(features, labels, weight, bias, penalty):
    return F.cross_entropy(features @ weight.T + bias, labels) + penalty * weight.square().sum()


@pytest.mark.parametrize("labels", [2, 3, 7])
@pytest.mark.parametrize("strength", STRENGTHS)
def test_the_head_is_the_optimum_of_its_objective(labels, strength):
    features, target = problem(labels)
    head = fitted(features, target, labels, features, target, [strength])
    assert head.strength == strength
    standard = standardised(head, features)
    weight, bias = head.weights.features.requires_grad_(), head.weights.bias.requires_grad_()
    objective(standard, target, weight, bias, 1 / (strength * 90)).backward()
    # The objective is strongly convex in the weights, so this bounds their distance from the optimum.
    assert weight.grad.abs().max() * (strength * 90) / 2 < 5e-4
    assert bias.grad.abs().max() < 5e-4


@pytest.mark.parametrize("strength", [0.01, 0.1])
def test_the_head_agrees_with_scikit_learn(strength):
    """scikit-learn minimises `sum of losses + |W|^2 / (2 C)`, which is ours times n for its C = ours / 2."""
    from sklearn.linear_model import LogisticRegression

    features, target = problem(3)
    head = fitted(features, target, 3, features, target, [strength])
    standard = (standardised(head, features)).double().numpy()
    theirs = LogisticRegression(C=strength / 2, tol=1e-9, max_iter=10_000).fit(standard, target.numpy())
    np.testing.assert_allclose(head.weights.features.numpy(), theirs.coef_, atol=1e-3)
    ours = torch.softmax(torch.from_numpy(standard).float() @ head.weights.features.T + head.weights.bias, dim=1)
    np.testing.assert_allclose(ours.numpy(), theirs.predict_proba(standard), atol=1e-3)


def test_features_are_standardised():
    features, target = problem(3)
    head = fitted(features, target, 3, features, target)
    standard = standardised(head, features)
    torch.testing.assert_close(standard.mean(0), torch.zeros(6), rtol=0, atol=1e-4)
    torch.testing.assert_close(standard.std(0), torch.ones(6), rtol=0, atol=0.02)


def test_terms_and_features_share_one_objective():
    """Terms are features that are not standardised: the same numbers, given either way, give the same head."""
    features, target = problem(3)
    counts = torch.randint(1, 3, (90,), generator=torch.Generator().manual_seed(4)).float()
    places = torch.arange(90) % 2
    texts = Bags(places, counts, torch.arange(91))
    dictionary = Dictionary(torch.tensor([5, 9], dtype=torch.int32), torch.ones(2))
    seen = Evidence(features, texts)
    found = fit_head(seen, target, 3, seen, target, dictionary, [0.03])
    dense = torch.zeros(90, 2)
    dense[torch.arange(90), places] = counts
    plain = Scaling(torch.zeros(8), torch.ones(8))
    whole = torch.cat([standardised(found, features), dense], dim=1)
    expected = minimise(Evidence(whole, bags(90)), target, Weights.zero(3, 8, 0), plain, 0.03)
    torch.testing.assert_close(found.weights.features, expected.features[:, :6], rtol=0, atol=1e-3)
    torch.testing.assert_close(found.weights.terms.T, expected.features[:, 6:], rtol=0, atol=1e-3)
    torch.testing.assert_close(found.weights.bias, expected.bias, rtol=0, atol=1e-3)


def test_the_penalty_is_chosen_by_the_loss_on_dev():
    """Dev labels that contradict training want the strongest penalty, those that follow it the weakest."""
    features, target = problem(3)
    agrees = fitted(features, target, 3, features, target)
    contradicts = fitted(features, target, 3, features, (target + 1) % 3)
    assert agrees.strength == max(STRENGTHS)
    assert contradicts.strength == min(STRENGTHS)


def test_the_choice_is_the_best_of_separate_fits():
    """Walking a path of penalties from each optimum to the next gives what fitting each alone gives."""
    features, target = problem(4, texts=60)
    dev, dev_target = problem(4, texts=40, seed=0)
    dev, dev_target = dev.flip(0) + 0.5, dev_target.flip(0)
    losses = {}
    for strength in STRENGTHS:
        head = fitted(features, target, 4, dev, dev_target, [strength])
        losses[strength] = float(F.cross_entropy(logits(head, dev), dev_target))
    best = min(losses, key=losses.get)
    alone = fitted(features, target, 4, dev, dev_target, [best])
    path = fitted(features, target, 4, dev, dev_target)
    assert path.strength == alone.strength
    torch.testing.assert_close(path.weights.features, alone.weights.features, rtol=0, atol=2e-3)


def test_a_class_that_training_never_saw_gets_finite_weights_and_little_probability():
    features, target = problem(3)
    head = fitted(features, target, 5, features, target)
    assert head.weights.features.shape == (5, 6)
    assert head.weights.features.isfinite().all()
    assert head.weights.bias.isfinite().all()
    probabilities = torch.softmax(logits(head, features), dim=1)
    assert probabilities[:, 3:].max() < 0.05


def test_constant_features_and_single_texts_of_a_class_are_harmless():
    features = torch.tensor([[1.0, 5.0], [2.0, 5.0]])
    head = fitted(features, torch.tensor([0, 1]), 2, features, torch.tensor([0, 1]))
    found = logits(head, features)
    assert found.isfinite().all()
    assert found.argmax(1).tolist() == [0, 1]


def test_fitting_is_deterministic_and_draws_nothing():
    features, target = problem(3)
    before = torch.get_rng_state()
    first, second = (fitted(features, target, 3, features, target) for _ in range(2))
    assert torch.equal(first.weights.features, second.weights.features)
    assert torch.equal(torch.get_rng_state(), before)


def test_minimise_leaves_its_start_alone():
    features, target = problem(2)
    start = Weights(torch.ones(2, 6), torch.ones(0, 2), torch.ones(2))
    minimise(Evidence(features, bags(90)), target, start, Scaling.of(features), 0.1)
    assert torch.equal(start.features, torch.ones(2, 6))
    assert torch.equal(start.bias, torch.ones(2))


def test_texts_that_do_not_count_change_nothing():
    """Leaving texts out by the mask is fitting to the others alone, with the same scaling."""
    features, target = problem(3)
    scaling, start = Scaling.of(features), Weights.zero(3, 6, 0)
    counted = torch.arange(90) % 3 > 0
    masked = minimise(Evidence(features, bags(90)), target, start, scaling, 0.1, counted)
    alone = minimise(Evidence(features[counted], bags(60)), target[counted], start, scaling, 0.1)
    torch.testing.assert_close(masked.features, alone.features, rtol=0, atol=1e-3)


def test_folding_by_hand():
    scaling = Scaling(mean=torch.tensor([3.0, -1.0]), scale=torch.tensor([2.0, 3.0]))
    weight, bias = scaling.fold(torch.tensor([[2.0, 6.0]]), torch.tensor([1.0]))
    assert weight.tolist() == [[1.0, 2.0]]
    assert bias.tolist() == [0.0]
