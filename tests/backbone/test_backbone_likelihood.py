"""Losses and scores of targets, worked by hand, and the shuffling of rows that they stand on."""

from math import log

import pytest
import torch

from continual.backbone.likelihood import IGNORED, target_log_probs, token_log_probs, token_loss
from continual.backbone.parallel import appended, moved_together
from continual.backbone.texts import Ragged

PROBABILITIES = torch.tensor([[[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]], [[0.2, 0.2, 0.6], [1 / 3, 1 / 3, 1 / 3]]])
LOGITS = PROBABILITIES.log() + torch.tensor([3.0, -7.0])[:, None, None]  # a constant more or less is the same
TARGETS = torch.tensor([[0, 2], [1, IGNORED]])


def test_token_log_probs():
    expected = torch.tensor([[log(0.5), log(0.8)], [log(0.2), 0.0]])
    torch.testing.assert_close(token_log_probs(LOGITS, TARGETS), expected)


def test_the_loss_is_the_mean_over_real_tokens():
    assert token_loss(LOGITS, TARGETS).item() == pytest.approx(-(log(0.5) + log(0.8) + log(0.2)) / 3)


def test_label_smoothing():
    # Smoothing 0.1 over two words of probabilities 3/4 and 1/4: the target is 0.95 on the second and 0.05 on the first.
    loss = token_loss(torch.tensor([[[log(3), 0.0]]]), torch.tensor([[1]]), smoothing=0.1)
    assert loss.item() == pytest.approx(0.95 * log(4) + 0.05 * log(4 / 3))


def test_the_loss_of_no_tokens_is_zero():
    assert token_loss(LOGITS, torch.full_like(TARGETS, IGNORED), smoothing=0.1).item() == 0.0


def test_target_log_probs():
    total = torch.tensor([log(0.5) + log(0.8), log(0.2)])
    torch.testing.assert_close(target_log_probs(LOGITS, TARGETS, normalised=False), total)
    torch.testing.assert_close(target_log_probs(LOGITS, TARGETS, normalised=True), total / torch.tensor([2, 1]))


def test_each_target_stands_behind_its_source():
    sources, targets = Ragged.from_lists([[1, 2], [], [3]]), Ragged.from_lists([[7], [8, 9], []])
    whole = appended(sources, targets)
    assert [whole.batch(torch.tensor([row]))[0].tolist() for row in range(3)] == [[[1, 2, 7]], [[8, 9]], [[3]]]


@pytest.mark.parametrize(
    ("right", "values", "mask"),
    [
        (True, [[9, 9, 1, 2], [9, 3, 4, 5]], [[0, 0, 1, 1], [0, 1, 1, 1]]),
        (False, [[1, 2, 9, 9], [3, 4, 5, 9]], [[1, 1, 0, 0], [1, 1, 1, 0]]),
    ],
)
def test_real_places_move_together_in_their_order(right, values, mask):
    before = torch.tensor([[9, 1, 9, 2], [3, 9, 4, 5]])
    real = before != 9
    moved, visible = moved_together(before, real, right)
    assert moved.tolist() == values
    assert visible.int().tolist() == mask
    deep, _ = moved_together(before[..., None].expand(-1, -1, 3), real, right)
    assert torch.equal(deep[..., 2], moved)
