"""Distillation losses against numbers worked by hand."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from continual.distillation.logits import DECAYS, logit_mse, ramp


def test_logit_mse_by_hand():
    student = torch.tensor([[1.0, 2.0], [0.0, 0.0]], requires_grad=True)
    teacher = torch.tensor([[0.0, 4.0], [0.0, 2.0]])
    loss = logit_mse(student, teacher)
    assert loss.item() == pytest.approx((1 + 4 + 0 + 4) / 4)
    loss.backward()
    assert student.grad.tolist() == [[0.5, -1.0], [0.0, -1.0]]


@pytest.mark.parametrize(
    ("decay", "expected"),
    [
        # progress: 0, .05, .1, .55, 1
        ("none", [1, 1, 1, 1, 1]),
        ("linear", [1, 1, 1, 0.5, 0]),
        ("warm", [0, 0.5, 1, 0.5, 0]),
    ],
)
def test_ramps_by_hand(decay, expected):
    assert [ramp(decay, progress) for progress in (0.0, 0.05, 0.1, 0.55, 1.0)] == pytest.approx(expected)


@pytest.mark.parametrize("decay", DECAYS)
@given(progress=st.floats(0, 1))
def test_ramps_stay_between_0_and_1(decay, progress):
    assert 0 <= ramp(decay, progress) <= 1


@given(student=st.lists(st.floats(-9, 9), min_size=4, max_size=4))
def test_a_student_that_agrees_has_no_loss(student):
    logits = torch.tensor(student).view(2, 2)
    assert logit_mse(logits, logits.clone()) == 0
