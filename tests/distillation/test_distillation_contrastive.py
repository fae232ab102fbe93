"""DisCo's losses against numbers worked by hand."""

from math import log

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from continual.distillation.contrastive import contrastive_distillation, refilled, triplet_contrast, vector_mse
from continual.errors import LearningError

NOTHING = torch.zeros(0, 2)
FIRST, SECOND = [2.0, 0.0], [0.0, 3.0]


def test_the_batch_alone_by_hand():
    student, teacher = torch.tensor([[5.0, 0.0], [0.0, 1.0]]), torch.tensor([FIRST, SECOND])
    loss = contrastive_distillation(student, teacher, NOTHING, log(3))
    assert loss.item() == pytest.approx(-log(3 / 4)), "cosine 1 with the own vector, 0 with the other"


def test_the_bank_adds_keys_by_hand():
    student, teacher = torch.tensor([FIRST, SECOND]), torch.tensor([FIRST, SECOND])
    bank = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    loss = contrastive_distillation(student, teacher, bank, log(3))
    first, second = -log(3 / (3 + 1 + 3 + 1 / 3)), -log(3 / (1 + 3 + 1 + 1))
    assert loss.item() == pytest.approx((first + second) / 2)


def test_the_sharpness_is_learned():
    sharpness = torch.tensor(1.0, requires_grad=True)
    agreeing = torch.eye(2)
    contrastive_distillation(agreeing, agreeing, NOTHING, sharpness.exp()).backward()
    assert sharpness.grad < 0, "a student that agrees wants to be told more sharply"


@given(scale=st.floats(0.1, 10), turn=st.floats(0, 6))
def test_only_directions_count(scale, turn):
    generator = torch.Generator().manual_seed(0)
    student, teacher, bank = (torch.randn(4, 2, generator=generator, dtype=torch.double) for _ in range(3))
    plain = contrastive_distillation(student, teacher, bank, 2.0)
    assert contrastive_distillation(scale * student, teacher / scale, bank, 2.0).item() == pytest.approx(plain.item())
    angle = torch.tensor(turn, dtype=torch.double)
    rotation = torch.stack([torch.stack([angle.cos(), -angle.sin()]), torch.stack([angle.sin(), angle.cos()])])
    turned = contrastive_distillation(student @ rotation, teacher @ rotation, bank @ rotation, 2.0)
    assert turned.item() == pytest.approx(plain.item())


def test_the_bank_keeps_the_newest_unit_vectors():
    vectors = torch.tensor([FIRST, SECOND], requires_grad=True)
    bank = refilled(torch.tensor([[0.6, 0.8], [1.0, 0.0]]), vectors, 3)
    assert bank.tolist() == [[1.0, 0.0], [0.0, 1.0], pytest.approx([0.6, 0.8])]
    assert not bank.requires_grad
    assert refilled(NOTHING, vectors, 1).tolist() == [[1.0, 0.0]]


def test_what_means_the_same_is_no_negative():
    anchors = torch.tensor([FIRST, SECOND])
    alike = torch.tensor([[True, True, False, True], [False, True, False, False]])
    loss = triplet_contrast(anchors, anchors, torch.tensor([[-1.0, 0.0], [1.0, 0.0]]), log(3), alike)
    first, second = -log(3 / (3 + 1 / 3)), -log(3 / (1 + 3 + 1 + 1))
    assert loss.item() == pytest.approx((first + second) / 2)


def test_vector_mse_by_hand():
    assert vector_mse(torch.tensor([FIRST]), torch.tensor([SECOND])).item() == pytest.approx((4 + 9) / 2)


def test_triplets_by_hand():
    anchors, positives = torch.tensor([FIRST, SECOND]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert triplet_contrast(anchors, positives, sharpness=log(3)).item() == pytest.approx(-log(3 / 4))
    negatives = torch.tensor([[-1.0, 0.0], [0.0, -1.0]])
    with_hard = triplet_contrast(anchors, positives, negatives, log(3))
    assert with_hard.item() == pytest.approx(-log(3 / (3 + 1 + 1 / 3 + 1)))


def test_other_widths_are_refused():
    with pytest.raises(LearningError, match="project"):
        contrastive_distillation(torch.zeros(2, 3), torch.zeros(2, 2), NOTHING, 1.0)
