"""Losses of pretraining, worked by hand."""

import math

import pytest
import torch

from continual.backbone.likelihood import IGNORED
from continual.pretraining.losses import contrastive_loss, detection_loss, mean_state

LOG2 = math.log(2)


def test_detection_counts_shuffled_tokens_and_no_padding():
    # The released code ignores label 1 and counts padding.
    logits = torch.tensor([[[0.0, 0.0, 0.0], [0.0, math.log(2.0), 0.0], [9.0, 0.0, 0.0]]])
    labels = torch.tensor([[2, 1, IGNORED]])
    assert float(detection_loss(logits, labels)) == pytest.approx((math.log(3) + LOG2) / 2)


def test_mean_state_leaves_padding_out():
    states = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [99.0, 99.0]], [[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]]])
    mask = torch.tensor([[True, True, False], [True, True, True]])
    assert mean_state(states, mask).tolist() == [[2.0, 3.0], [2.0, 2.0]]


def test_contrast_by_hand():
    # Cosine 1 to the own other view, 0 to the other text's and to the other text's in the same view.
    first, second = torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([[1.0, 0.0], [0.0, 3.0]])
    assert float(contrastive_loss(first, second)) == pytest.approx(math.log(math.e + 2) - 1)
    assert float(contrastive_loss(first, second, 0.5)) == pytest.approx(math.log(math.e**2 + 2) - 2)
    # Swapped views: 0 to the own, 1 to the other's, 0 within.
    assert float(contrastive_loss(first, second.flip(0))) == pytest.approx(math.log(math.e + 2))


def test_contrast_of_different_directions_is_their_mean():
    # Cosines of each anchor to its own other view, the other text's, and the other text in its view:
    # first view: (1, 1, 0) and (0, 0, 0); second view: (1, 0, 1) and (0, 1, 1).
    first, second = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    e = math.e
    from_first = (math.log(e + e + 1) - 1 + math.log(3)) / 2
    from_second = (math.log(e + 1 + e) - 1 + math.log(1 + e + e)) / 2
    assert float(contrastive_loss(first, second)) == pytest.approx((from_first + from_second) / 2)


def test_a_single_text_has_nothing_to_be_told_from():
    assert float(contrastive_loss(torch.ones(1, 3), torch.rand(1, 3))) == pytest.approx(0.0)
