"""TinyBERT's losses against numbers worked by hand."""

from math import log

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from continual.distillation.hidden import (
    MAPS,
    attention_loss,
    layer_map,
    layers_loss,
    prediction_loss,
    state_loss,
)
from continual.errors import LearningError


@pytest.mark.parametrize(
    ("kind", "student", "teacher", "expected"),
    [
        ("uniform", 4, 12, (0, 3, 6, 9, 12)),
        ("uniform", 6, 12, (0, 2, 4, 6, 8, 10, 12)),
        ("uniform", 3, 6, (0, 2, 4, 6)),
        ("uniform", 4, 6, (0, 2, 3, 5, 6)),  # 1.5, 3, 4.5 and 6
        ("first", 3, 6, (0, 1, 2, 3)),
        ("last", 3, 6, (0, 4, 5, 6)),
    ],
)
def test_layer_maps(kind, student, teacher, expected):
    assert layer_map(kind, student, teacher) == expected


@given(kind=st.sampled_from(MAPS), student=st.integers(1, 30), more=st.integers(0, 30))
def test_every_map_rises_and_stays_within_the_teacher(kind, student, more):
    mapped = layer_map(kind, student, student + more)
    assert len(mapped) == student + 1
    assert list(mapped) == sorted(set(mapped))
    assert 0 == mapped[0] < mapped[1]
    assert mapped[-1] <= student + more
    assert kind == "first" or mapped[-1] == student + more


@pytest.mark.parametrize(("kind", "student", "words"), [("uniform", 7, "7 layers"), ("middle", 2, "uniform, first")])
def test_impossible_maps_are_refused(kind, student, words):
    with pytest.raises(LearningError, match=words):
        layer_map(kind, student, 6)


MASK = torch.tensor([[True, True], [True, False]])


def test_state_loss_by_hand():
    student = torch.tensor([[[1.0, 0.0], [0.0, 2.0]], [[3.0, 0.0], [9.0, 9.0]]], requires_grad=True)
    loss = state_loss(student, torch.zeros(2, 2, 2), MASK)
    assert loss.item() == pytest.approx((1 + 4 + 9) / 6), "three real tokens of two dimensions"
    loss.backward()
    assert student.grad[1, 0].tolist() == pytest.approx([1.0, 0.0])
    assert student.grad[1, 1].tolist() == [0.0, 0.0], "padding teaches nothing"


def test_attention_loss_by_hand():
    student = torch.zeros(2, 2, 2, 2)
    student[0, 0] = torch.tensor([[1.0, 2.0], [0.0, 3.0]])
    student[1, 1] = torch.tensor([[5.0, 100.0], [100.0, 100.0]])
    expected = (1 + 4 + 9 + 25) / (2 * (4 + 1))  # two heads; four pairs of real tokens and one
    assert attention_loss(student, torch.zeros(2, 2, 2, 2), MASK).item() == pytest.approx(expected)


def test_layers_are_summed_and_the_embedding_apart():
    states = [torch.full((2, 2, 2), value) for value in (1.0, 2.0, 3.0)]
    scores = [torch.full((2, 1, 2, 2), value) for value in (1.0, 2.0)]
    zeros = ([torch.zeros(2, 2, 2)] * 3, [torch.zeros(2, 1, 2, 2)] * 2)
    losses = layers_loss((states, zeros[0]), (scores, zeros[1]), MASK)
    assert {name: value.item() for name, value in losses.items()} == {"embedding": 1, "hidden": 13, "attention": 5}


def test_prediction_loss_by_hand():
    student, teacher = torch.tensor([[0.0, 0.0], [log(3), 0.0]]), torch.tensor([[log(3), 0.0], [log(3), 0.0]])
    agree = -(0.75 * log(0.75) + 0.25 * log(0.25))
    assert prediction_loss(student, teacher).item() == pytest.approx((log(2) + agree) / 2)
    softer = prediction_loss(2 * student, 2 * teacher, temperature=2.0)
    assert softer.item() == pytest.approx((log(2) + agree) / 2)


@given(
    logits=st.lists(st.floats(-5, 5), min_size=6, max_size=6), moved=st.lists(st.floats(-1, 1), min_size=6, max_size=6)
)
def test_no_answer_is_better_than_the_teachers_own(logits, moved):
    teacher = torch.tensor(logits, dtype=torch.double).view(2, 3)
    student = teacher + torch.tensor(moved, dtype=torch.double).view(2, 3)
    assert prediction_loss(student, teacher) >= prediction_loss(teacher, teacher) - 1e-12


def test_padding_changes_nothing():
    generator = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(3, 4, 5, generator=generator) for _ in range(2))
    own, given_ = (torch.randn(3, 2, 4, 4, generator=generator) for _ in range(2))
    mask = torch.ones(3, 4, dtype=torch.bool)
    wide = torch.nn.functional.pad(mask, (0, 3))
    longer = [torch.nn.functional.pad(it, (0, 0, 0, 3), value=7.0) for it in (student, teacher)]
    squares = [torch.nn.functional.pad(it, (0, 3, 0, 3), value=value) for it, value in ((own, 5.0), (given_, -5.0))]
    assert state_loss(*longer, wide) == pytest.approx(state_loss(student, teacher, mask).item(), rel=1e-6)
    assert attention_loss(*squares, wide) == pytest.approx(attention_loss(own, given_, mask).item(), rel=1e-6)


def test_other_shapes_are_refused():
    with pytest.raises(LearningError, match="project"):
        state_loss(torch.zeros(1, 2, 3), torch.zeros(1, 2, 4), MASK[:1])
    with pytest.raises(LearningError, match="as many heads"):
        attention_loss(torch.zeros(1, 2, 2, 2), torch.zeros(1, 4, 2, 2), MASK[:1])
