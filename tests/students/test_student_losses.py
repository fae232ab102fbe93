"""The terms of continual distillation, worked by hand, and what must hold of them whatever the models predict."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor

from continual.distillation.continual_translation import (
    DETECTIONS,
    aversion,
    beneficial,
    divergence,
    inheritance_weight,
    quality,
    terms,
)

# Three positions, a vocabulary of three. At the first the teacher knows better, at the second the student; at the third
# both give the reference token the same and the teacher is surer of the rest.
TEACHER = torch.tensor([[0.5, 0.25, 0.25], [0.25, 0.25, 0.5], [0.25, 0.7, 0.05]]).log()
STUDENT = torch.tensor([[0.25, 0.5, 0.25], [0.25, 0.5, 0.25], [0.25, 0.45, 0.3]]).log()
REFERENCES = torch.tensor([0, 1, 0])

logits = arrays("float32", (4, 5), elements=st.floats(-80, 80, width=32))


def predictions(values) -> Tensor:
    return torch.log_softmax(torch.from_numpy(values), 1)


def test_qualities_by_hand():
    assert quality(TEACHER, REFERENCES, "probability").tolist() == pytest.approx(
        [math.log(p) for p in (0.5, 0.25, 0.25)]
    )
    entropy = 0.5 * math.log(2) + 2 * 0.25 * math.log(4)
    assert quality(TEACHER, REFERENCES, "entropy").tolist()[:2] == pytest.approx([-entropy, -entropy])
    assert quality(TEACHER, REFERENCES, "top1").tolist() == [1, 0, 0]
    with pytest.raises(ValueError, match="probability, entropy, top1, found 'luck'"):
        quality(TEACHER, REFERENCES, "luck")


@pytest.mark.parametrize(
    ("detection", "expected"),
    [
        ("probability", [True, False, False]),
        ("entropy", [False, False, True]),
        ("top1", [True, False, False]),
        ("all", [True, True, True]),
    ],
)
def test_beneficial_positions_by_hand(detection, expected):
    assert beneficial(TEACHER, STUDENT, REFERENCES, detection).tolist() == expected


def test_divergence_by_hand():
    # 1/2 ln(2) + 1/4 ln(1/2) + 1/4 ln(1), and 1/4 ln(1) + 1/4 ln(1/2) + 1/2 ln(2)
    assert divergence(STUDENT, TEACHER)[:2].tolist() == pytest.approx([math.log(2) / 4] * 2)
    assert divergence(TEACHER, TEACHER).tolist() == pytest.approx([0, 0, 0], abs=1e-7)


def test_aversion_by_hand():
    # Position 1: tokens 1 and 2 are wrong, 1/4 each, and the student gives them 1/2 and 1/4.
    first = -(0.25 * math.log(0.5) + 0.25 * math.log(0.75))
    # Position 2: tokens 0 and 2 are wrong, 1/4 and 1/2, and the student gives both 1/4.
    second = -0.75 * math.log(0.75)
    third = -(0.7 * math.log(0.55) + 0.05 * math.log(0.7))
    assert aversion(STUDENT, TEACHER, REFERENCES).tolist() == pytest.approx([first, second, third])


def test_terms_by_hand():
    parts = terms(STUDENT, TEACHER, TEACHER.clone(), REFERENCES, "all")
    assert float(parts["learned"]) == pytest.approx(float(divergence(STUDENT, TEACHER).mean()))
    assert float(parts["averted"]) == 0
    parts = terms(STUDENT, TEACHER, STUDENT.clone(), REFERENCES, "probability")
    assert float(parts["learned"]) == pytest.approx(math.log(2) / 4 / 3)
    assert float(parts["averted"]) == pytest.approx(float(aversion(STUDENT, TEACHER, REFERENCES)[1:].sum()) / 3)
    assert float(parts["inherited"]) == pytest.approx(0, abs=1e-7)
    assert float(parts["beneficial"]) == pytest.approx(1 / 3)


def test_inheritance_by_hand():
    assert [inheritance_weight(step, "growing") for step in (1, 2, 3, 9)] == [1 / 2, 2 / 3, 3 / 4, 9 / 10]
    assert [inheritance_weight(step, "constant") for step in (1, 9)] == [0.5, 0.5]
    assert [inheritance_weight(step, "none") for step in (1, 9)] == [0, 0]
    for step, course in ((0, "growing"), (1, "falling")):
        with pytest.raises(ValueError, match="expected a step from 1"):
            inheritance_weight(step, course)


@given(logits, logits)
def test_what_a_teacher_is_disliked_for_is_bounded(student, teacher):
    values = torch.from_numpy(student).requires_grad_()
    references = torch.zeros(4, dtype=torch.long)
    disliked = aversion(torch.log_softmax(values, 1), predictions(teacher), references)
    assert bool((disliked >= 0).all())
    assert bool((disliked <= 13.9).all())
    (gradient,) = torch.autograd.grad(disliked.sum(), values)
    assert bool(torch.isfinite(gradient).all())
    assert bool((gradient[:, 0] <= 1e-6).all()), "a reference token is never pushed down"
    assert bool((gradient.abs() <= 1.1).all()), "but for rounding no larger than a likelihood's"


@given(logits, logits, st.sampled_from(DETECTIONS))
def test_equal_models_have_nothing_to_learn_from_each_other(student, other, detection):
    one, references = predictions(student), torch.arange(4)
    parts = terms(one, one.clone(), one.clone(), references, detection)
    assert float(parts["beneficial"]) == (detection == "all")
    for name in ("learned", "inherited"):
        assert float(parts[name]) == pytest.approx(0, abs=1e-5)
    assert bool((divergence(one, predictions(other)) >= -1e-4).all())


def drilled(teacher: Tensor, references: Tensor, detection: str, negative: float, inherits: bool) -> list[float]:
    """Mean probability of the reference tokens before and after a student has learned from one teacher."""
    values = torch.nn.functional.one_hot(references, 6).float() * 2.0
    previous = torch.log_softmax(values, 1)
    values = values.clone().requires_grad_()
    optimiser = torch.optim.SGD([values], lr=2.0)
    for _ in range(60):
        parts = terms(torch.log_softmax(values, 1), teacher, previous, references, detection)
        loss = 0.5 * (parts["learned"] + negative * parts["averted"])
        loss = loss + 0.5 * parts["inherited"] if inherits else 2 * loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return [
        float(quality(one, references, "probability").exp().mean())
        for one in (previous, torch.log_softmax(values.detach(), 1))
    ]


def test_a_malicious_teacher_does_not_beat_the_student_down():
    """The teacher is sure of wrong tokens everywhere; no reference likelihood helps the student."""
    references = torch.arange(6).repeat(3)
    teacher = torch.log_softmax(torch.nn.functional.one_hot((references + 1) % 6, 6).float() * 6.0, 1)
    before, distilled = drilled(teacher, references, "all", 0.0, inherits=False)
    _, detected = drilled(teacher, references, "probability", 0.0, inherits=True)
    _, averted = drilled(teacher, references, "probability", 1.0, inherits=True)
    assert distilled < 0.2 < before, "plain distillation believes the teacher"
    assert detected == pytest.approx(before)
    assert averted > before, "what the teacher gets wrong teaches, too"


def test_a_good_teacher_is_followed():
    references = torch.arange(6).repeat(3)
    teacher = torch.log_softmax(torch.nn.functional.one_hot(references, 6).float() * 6.0, 1)
    before, after = drilled(teacher, references, "probability", 1.0, inherits=True)
    assert after > before + 0.1
