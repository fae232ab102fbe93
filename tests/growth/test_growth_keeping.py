"""How many answers a grown model keeps, and how much of what it has learned is taken."""

import pytest
import torch
from torch import nn

from continual.growth.keeping import Kept
from continual.growth.learning import as_far_as_kept


def kept(*changed: int, texts: int = 32) -> Kept:
    return Kept([texts] * len(changed), list(changed))


def test_answers_are_counted_by_task():
    found = Kept.of(
        [torch.tensor([0, 1, 1, 0]), torch.tensor([2, 2])], [torch.tensor([0, 1, 0, 1]), torch.tensor([2, 2])]
    )
    assert found == Kept([4, 2], [2, 0])
    assert found.share == pytest.approx(4 / 6)
    assert found.worst == 0.5
    assert (Kept([], []).share, Kept([0], [0]).worst) == (1.0, 1.0)


def test_no_task_may_change_more_than_its_share_and_one_text_always():
    assert kept(1, 1, 1, 1).enough(0.98)
    assert not kept(0, 0, 0, 2).enough(0.98)  # of all texts that is less
    assert kept(3, texts=100).enough(0.97)
    assert not kept(1).enough(1.0)


def test_the_most_that_keeps_enough_is_taken():
    weights = {"a": nn.Parameter(torch.tensor([4.0]))}
    start = {"a": torch.tensor([0.0])}
    share, found = as_far_as_kept(weights, start, lambda: kept(int(weights["a"].item())), keep=0.98)
    assert (share, found.changed) == (0.25, [1])
    assert float(weights["a"]) == 1.0


def test_where_nothing_keeps_enough_what_keeps_the_most_is_taken():
    weights = {"a": nn.Parameter(torch.tensor([4.0]))}
    share, found = as_far_as_kept(
        weights, {"a": torch.tensor([0.0])}, lambda: kept(4 - int(weights["a"].item()), 5), keep=0.98
    )
    assert (share, found.changed) == (1.0, [0, 5])
    assert float(weights["a"]) == 4.0
