"""Heads: the optimum of a convex problem, checked by its gradient and by another library."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from continual.tuning.head import STRENGTHS, fit_head, fold, minimise


def problem(labels: int, texts: int = 90, features: int = 6, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Features on very different scales, and labels that depend on them with noise."""
    generator = torch.Generator().manual_seed(seed)
    raw = torch.randn(texts, features, generator=generator)
    truth = torch.randn(features, labels, generator=generator)
    target = (raw @ truth + 1.5 * torch.randn(texts, labels, generator=generator)).argmax(1)
    return raw * torch.logspace(-1, 2, features) + 10, target


def objective(features, labels, weight, bias, penalty):
    return F.cross_entropy(features @ weight.T + bias, labels) + penalty * weight.square().sum()


@pytest.mark.parametrize("labels", [2, 3, 7])
@pytest.mark.parametrize("strength", STRENGTHS)
def test_the_head_is_the_optimum_of_its_objective(labels, strength):
    features, target = problem(labels)
    head = fit_head(features, target, labels, features, target, [strength])
    assert head.penalty == pytest.approx(1 / (strength * 90))
    standard = (features - head.mean) / head.scale
    weight, bias = head.weight.requires_grad_(), head.bias.requires_grad_()
    objective(standard, target, weight, bias, head.penalty).backward()
    # The objective is strongly convex in the weights, so this bounds their distance from the optimum.
    assert weight.grad.abs().max() / (2 * head.penalty) < 5e-4
    assert bias.grad.abs().max() < 5e-4


@pytest.mark.parametrize("strength", [0.01, 0.1])
def test_the_head_agrees_with_scikit_learn(strength):
    """scikit-learn minimises `sum of losses + |W|^2 / (2 C)`, which is ours times n for its C = ours / 2."""
    from sklearn.linear_model import LogisticRegression

    features, target = problem(3)
    head = fit_head(features, target, 3, features, target, [strength])
    standard = ((features - head.mean) / head.scale).double().numpy()
    theirs = LogisticRegression(C=strength / 2, tol=1e-9, max_iter=10_000).fit(standard, target.numpy())
    np.testing.assert_allclose(head.weight.numpy(), theirs.coef_, atol=1e-3)
    ours = torch.softmax(torch.from_numpy(standard).float() @ head.weight.T + head.bias, dim=1)
    np.testing.assert_allclose(ours.numpy(), theirs.predict_proba(standard), atol=1e-3)


def test_features_are_standardised():
    features, target = problem(3)
    head = fit_head(features, target, 3, features, target)
    standard = (features - head.mean) / head.scale
    torch.testing.assert_close(standard.mean(0), torch.zeros(6), rtol=0, atol=1e-4)
    torch.testing.assert_close(standard.std(0), torch.ones(6), rtol=0, atol=0.02)


def test_raw_features_keep_their_scale():
    features, target = problem(3)
    head = fit_head(features, target, 3, features, target, raw=2)
    assert head.mean[-2:].tolist() == [0, 0]
    assert head.scale[-2:].tolist() == [1, 1]
    standard = (features - head.mean) / head.scale
    torch.testing.assert_close(standard[:, :-2].mean(0), torch.zeros(4), rtol=0, atol=1e-4)
    assert torch.equal(standard[:, -2:], features[:, -2:])


def test_the_penalty_is_chosen_by_the_loss_on_dev():
    """Dev labels that contradict training want the strongest penalty, those that follow it the weakest."""
    features, target = problem(3)
    agrees = fit_head(features, target, 3, features, target)
    contradicts = fit_head(features, target, 3, features, (target + 1) % 3)
    assert agrees.penalty == pytest.approx(1 / (max(STRENGTHS) * 90))
    assert contradicts.penalty == pytest.approx(1 / (min(STRENGTHS) * 90))


def test_the_choice_is_the_best_of_separate_fits():
    """Walking a path of penalties from each optimum to the next gives what fitting each alone gives."""
    features, target = problem(4, texts=60)
    dev, dev_target = problem(4, texts=40, seed=0)
    dev, dev_target = dev.flip(0) + 0.5, dev_target.flip(0)
    losses = {}
    for strength in STRENGTHS:
        head = fit_head(features, target, 4, dev, dev_target, [strength])
        losses[strength] = float(
            F.cross_entropy((dev - head.mean) / head.scale @ head.weight.T + head.bias, dev_target)
        )
    best = min(losses, key=losses.get)
    alone = fit_head(features, target, 4, dev, dev_target, [best])
    path = fit_head(features, target, 4, dev, dev_target)
    assert path.penalty == alone.penalty
    torch.testing.assert_close(path.weight, alone.weight, rtol=0, atol=2e-3)


def test_a_class_that_training_never_saw_gets_finite_weights_and_little_probability():
    features, target = problem(3)
    head = fit_head(features, target, 5, features, target)
    assert head.weight.shape == (5, 6)
    assert head.weight.isfinite().all()
    assert head.bias.isfinite().all()
    probabilities = torch.softmax((features - head.mean) / head.scale @ head.weight.T + head.bias, dim=1)
    assert probabilities[:, 3:].max() < 0.05


def test_constant_features_and_single_texts_of_a_class_are_harmless():
    features = torch.tensor([[1.0, 5.0], [2.0, 5.0]])
    head = fit_head(features, torch.tensor([0, 1]), 2, features, torch.tensor([0, 1]))
    logits = (features - head.mean) / head.scale @ head.weight.T + head.bias
    assert logits.isfinite().all()
    assert logits.argmax(1).tolist() == [0, 1]


def test_fitting_is_deterministic_and_draws_nothing():
    features, target = problem(3)
    before = torch.get_rng_state()
    first, second = (fit_head(features, target, 3, features, target) for _ in range(2))
    assert torch.equal(first.weight, second.weight)
    assert torch.equal(torch.get_rng_state(), before)


def test_minimise_leaves_its_start_alone():
    features, target = problem(2)
    weight, bias = torch.ones(2, 6), torch.ones(2)
    minimise(features, target, weight, bias, 0.1)
    assert torch.equal(weight, torch.ones(2, 6))
    assert torch.equal(bias, torch.ones(2))


def test_folding_by_hand():
    weight, bias = fold(
        torch.tensor([[2.0, 6.0]]), torch.tensor([1.0]), mean=torch.tensor([3.0, -1.0]), scale=torch.tensor([2.0, 3.0])
    )
    assert weight.tolist() == [[1.0, 2.0]]
    assert bias.tolist() == [1 - (3 - 2)]


def test_folding_changes_no_logit():
    generator = torch.Generator().manual_seed(0)
    features, mean = (torch.randn(20, 9, generator=generator, dtype=torch.double) for _ in range(2))
    weight, scale = torch.randn(4, 9, generator=generator, dtype=torch.double), torch.rand(9).double() + 0.1
    bias = torch.randn(4, generator=generator, dtype=torch.double)
    raw, shifted = fold(weight, bias, mean[0], scale)
    expected = (features - mean[0]) / scale @ weight.T + bias
    torch.testing.assert_close(features @ raw.T + shifted, expected, rtol=0, atol=1e-12)
