"""Feature structure distillation: CKA and its losses against numbers worked by hand, and what they do not see."""

from math import log, sqrt

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from continual.distillation.structure import (
    cka,
    cka_loss,
    flattened,
    global_inter_feature_loss,
    initial_memory,
    intra_feature_loss,
    local_inter_feature_loss,
    nearest,
    renewed,
)

# Centred (1, 0, -1) and (1, 1, -2): (1 + 2)^2 / (2 * 6)
FIRST, SECOND, ALIGNMENT = torch.tensor([[3.0], [2.0], [1.0]]), torch.tensor([[1.0], [1.0], [-2.0]]), 0.75


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def test_cka_by_hand():
    assert cka(FIRST, SECOND).item() == pytest.approx(ALIGNMENT)
    assert cka(FIRST, FIRST).item() == pytest.approx(1)
    uncorrelated = torch.tensor([[1.0], [-2.0], [1.0]])
    assert cka(FIRST, uncorrelated).item() == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize(("things", "width", "other"), [(3, 7, 5), (9, 2, 4), (4, 4, 4)])
def test_both_ways_to_compute_it_are_the_definition(things, width, other):
    first, second = drawn(things, width), drawn(things, other, seed=1)
    centre = torch.eye(things, dtype=torch.double) - 1 / things
    kernels = [centre @ side @ side.T @ centre for side in (first, second)]

    def hsic(one: torch.Tensor, two: torch.Tensor) -> torch.Tensor:
        return torch.trace(one @ two)

    expected = hsic(*kernels) / torch.sqrt(hsic(kernels[0], kernels[0]) * hsic(kernels[1], kernels[1]))
    assert cka(first, second).item() == pytest.approx(expected.item())


@given(scale=st.floats(0.01, 100), shift=st.floats(-9, 9), seed=st.integers(0, 99))
def test_cka_sees_neither_rotation_nor_scale_nor_place(scale, shift, seed):
    first, second = drawn(5, 4), drawn(5, 3, seed=1)
    rotation = torch.linalg.qr(drawn(4, 4, seed=seed)).Q
    moved = scale * first @ rotation + shift
    assert cka(moved, second).item() == pytest.approx(cka(first, second).item())
    assert cka(second, first).item() == pytest.approx(cka(first, second).item())
    assert cka(moved, first).item() == pytest.approx(1)


def test_cka_sees_a_stretched_direction():
    first = drawn(5, 2)
    assert cka(first, first * torch.tensor([1.0, 5.0])).item() < 0.99


def test_what_has_no_variance_is_aligned_with_nothing_and_has_a_gradient():
    constant = torch.ones(3, 2, requires_grad=True)
    alignment = cka(constant, SECOND)
    assert alignment.item() == 0
    cka_loss(alignment).backward()
    assert torch.isfinite(constant.grad).all()


def test_the_loss_by_hand():
    assert cka_loss(torch.tensor([1.0, 0.5])).item() == pytest.approx(-log(0.75))
    assert cka_loss(torch.tensor(1.0)).item() == pytest.approx(0, abs=1e-6)


def test_tokens_of_a_text_by_hand_whatever_stands_at_padding():
    student, teacher = torch.stack([FIRST, FIRST]), torch.stack([SECOND, FIRST])
    mask = torch.ones(2, 3, dtype=torch.bool)
    assert intra_feature_loss(student, teacher, mask).item() == pytest.approx(-log((ALIGNMENT + 1) / 2))
    padded = [
        torch.nn.functional.pad(side, (0, 0, 0, 2), value=value) for side, value in ((student, 9.0), (teacher, 4.0))
    ]
    wide = torch.nn.functional.pad(mask, (0, 2))
    assert intra_feature_loss(*padded, wide).item() == pytest.approx(-log((ALIGNMENT + 1) / 2))


def test_texts_of_a_batch_by_hand():
    student, teacher = FIRST[:, None], SECOND[:, None]
    mask = torch.ones(3, 1, dtype=torch.bool)
    assert local_inter_feature_loss(student, teacher, mask).item() == pytest.approx(-log(ALIGNMENT))


def test_flattened_texts_are_cut_and_filled():
    states = torch.arange(1.0, 9.0).view(2, 2, 2)
    mask = torch.tensor([[True, True], [True, False]])
    assert flattened(states, mask).tolist() == [[1, 2, 3, 4], [5, 6, 0, 0]]
    assert flattened(states, mask, 1).tolist() == [[1, 2], [5, 6]]
    assert flattened(states, mask, 3).tolist() == [[1, 2, 3, 4, 0, 0], [5, 6, 0, 0, 0, 0]]


def test_texts_and_a_memory_by_hand():
    student, memory = torch.tensor([[1.0, 0.0]]), torch.eye(2)  # distances 0 and sqrt 2, cosines 1 and 0
    teacher, centroids = torch.tensor([[1.0]]), torch.tensor([[3.0], [-1.0]])  # 2 and 2, 1 and -1
    distances, cosines = (2**2 + (sqrt(2) - 2) ** 2) / 2, (0 + 1) / 2
    loss = global_inter_feature_loss(student, teacher, memory, centroids, balance=0.25)
    # Two memories of two centroids are always aligned.
    assert loss.item() == pytest.approx(0.25 * distances + 0.75 * cosines, abs=1e-6)


def test_distances_per_dimension_by_hand():
    student, memory = torch.zeros(1, 4), torch.full((1, 4), 3.0)  # distance 6, and 3 in each dimension
    teacher, centroids = torch.zeros(1, 1), torch.full((1, 1), 1.0)
    losses = [global_inter_feature_loss(student, teacher, memory, centroids, 1.0, each) for each in (False, True)]
    alone = -log(1e-8)  # one centroid has no variance
    assert [loss.item() for loss in losses] == pytest.approx([(6 - 1) ** 2 + alone, (3 - 1) ** 2 + alone], rel=1e-5)


def test_the_same_features_and_memory_have_no_loss_even_turned():
    features, memory = drawn(4, 6), drawn(3, 6, seed=1)
    rotation = torch.linalg.qr(drawn(6, 6, seed=2)).Q
    loss = global_inter_feature_loss(features @ rotation, features, memory @ rotation, memory)
    assert loss.item() == pytest.approx(0, abs=1e-6)


def test_a_memory_is_made_of_its_texts():
    moments = torch.tensor([5.0, -5.0]), torch.tensor([0.0, 0.0])
    assert initial_memory(*moments, 2, torch.Generator()).tolist() == [[5, -5], [5, -5]]
    memory = torch.tensor([[0.0, 0.0], [10.0, 0.0], [99.0, 0.0]])
    features = torch.tensor([[1.0, 0.0], [3.0, 0.0], [8.0, 0.0]])
    chosen = nearest(features, memory)
    assert chosen.tolist() == [0, 0, 1]
    sums = torch.zeros(3, 2).index_add(0, chosen, features)
    assert renewed(memory, sums, chosen.bincount(minlength=3)).tolist() == [[2, 0], [8, 0], [99, 0]]
