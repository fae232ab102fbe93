"""In-context learning distillation against numbers worked by hand."""

from math import log

import pytest
import torch

from continual.distillation.in_context import (
    Mixture,
    label_loss,
    language_weight,
    majority,
    token_distillation,
)
from continual.errors import LearningError

SURE, UNSURE = [log(3), 0.0], [0.0, 0.0]  # .75 and .25, .5 and .5
SOFT, HARD = -(log(0.75) + log(0.25)) / 2, -log(0.75)


@pytest.mark.parametrize(("share", "expected"), [(1.0, SOFT), (0.0, HARD), (0.25, 0.25 * SOFT + 0.75 * HARD)])
def test_label_loss_by_hand(share, expected):
    student, teacher = torch.tensor([SURE]), torch.tensor([UNSURE])
    assert label_loss(student, teacher, torch.tensor([0]), Mixture(share)).item() == pytest.approx(expected)


def test_the_temperature_softens_both_and_keeps_the_scale():
    student, teacher = 2 * torch.tensor([SURE]), torch.tensor([UNSURE])
    loss = label_loss(student, teacher, torch.tensor([0]), Mixture(1.0, temperature=2.0))
    assert loss.item() == pytest.approx(4 * SOFT)


def test_the_teacher_is_not_taught():
    student, teacher = torch.tensor([SURE], requires_grad=True), torch.tensor([UNSURE], requires_grad=True)
    label_loss(student, teacher, torch.tensor([0]), Mixture()).backward()
    assert teacher.grad is None
    assert student.grad[0].tolist() == pytest.approx([(0.75 - 0.5) / 2 + (0.75 - 1) / 2, (0.25 - 0.5) / 2 + 0.25 / 2])


def test_token_distillation_by_hand_counts_real_tokens():
    student = torch.tensor([[SURE, SURE, UNSURE]])
    teacher = torch.tensor([[UNSURE, SURE, UNSURE]])
    targets = torch.tensor([[0, 1, -100]])
    agree = -(0.75 * log(0.75) + 0.25 * log(0.25))
    soft, hard = (SOFT + agree) / 2, (-log(0.75) - log(0.25)) / 2
    loss = token_distillation(student, teacher, targets, Mixture(0.25))
    assert loss.item() == pytest.approx(0.25 * soft + 0.75 * hard)
    assert token_distillation(student, teacher, torch.full((1, 3), -100), Mixture()).item() == 0


@pytest.mark.parametrize(
    ("course", "expected"), [("constant", [2, 2, 2]), ("falling", [2, 1, 0]), ("rising", [0, 1, 2])]
)
def test_courses_by_hand(course, expected):
    assert [language_weight(2.0, course, progress) for progress in (0.0, 0.5, 1.0)] == expected


def test_an_unknown_course_is_refused():
    with pytest.raises(LearningError, match="constant, falling, rising"):
        language_weight(1.0, "cosine", 0.5)


def test_votes_are_counted_and_ties_go_to_the_lower_number():
    votes = torch.tensor([[0, 2, 1], [1, 2, 0], [1, 0, 2]])
    assert majority(votes, 3).tolist() == [1, 2, 0]
