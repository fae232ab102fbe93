"""Titan's online distillation: attention divergence against numbers worked by hand, and what flows where."""

from math import log

import pytest
import torch

from continual.distillation.online import Relations, attention_divergence, attention_log_probs, online_losses
from continual.errors import LearningError

BOTH = torch.ones(1, 2, dtype=torch.bool)


def relations(query: list[list[float]], key: list[list[float]]) -> Relations:
    return Relations(torch.tensor([query]), torch.tensor([key]))


def drawn(width: int, seed: int, texts: int = 2, tokens: int = 3) -> Relations:
    generator = torch.Generator().manual_seed(seed)
    query, key = (torch.randn(texts, tokens, width, generator=generator) for _ in range(2))
    return Relations(query.requires_grad_(), key.requires_grad_())


def test_attention_by_hand():
    # One head: token 0 prefers itself 3 to 1, token 1 has no preference.
    given = relations([[log(3)], [0.0]], [[1.0], [0.0]])
    assert attention_log_probs(given, BOTH, 1).exp()[0, 0].tolist() == [
        pytest.approx([0.75, 0.25]),
        pytest.approx([0.5, 0.5]),
    ]
    wide = relations([[log(3), 0, 0, 0], [0, 0, 0, 0]], [[2.0, 0, 0, 0], [0, 0, 0, 0]])
    assert attention_log_probs(wide, BOTH, 1).exp()[0, 0, 0, 0].item() == pytest.approx(0.75), "scores over sqrt 4"


def test_divergence_by_hand():
    teacher = relations([[log(3)], [0.0]], [[1.0], [0.0]])
    student = relations([[0.0], [0.0]], [[1.0], [0.0]])
    expected = (0.75 * log(0.75 / 0.5) + 0.25 * log(0.25 / 0.5)) / 2
    assert attention_divergence(student, teacher, BOTH, 1).item() == pytest.approx(expected)
    assert attention_divergence(teacher, teacher, BOTH, 1).item() == 0


def test_widths_may_differ_but_must_split():
    assert attention_divergence(drawn(8, 0), drawn(12, 1), torch.ones(2, 3, dtype=torch.bool), 4).item() > 0
    with pytest.raises(LearningError, match="12 wide cannot be split into 5"):
        attention_log_probs(drawn(12, 0), torch.ones(2, 3, dtype=torch.bool), 5)


def test_padding_is_neither_attended_nor_counted():
    student, teacher = drawn(4, 0), drawn(4, 1)
    plain = attention_divergence(student, teacher, torch.ones(2, 3, dtype=torch.bool), 2)
    longer = [
        Relations(*(torch.nn.functional.pad(side, (0, 0, 0, 2), value=3.0) for side in vars(it).values()))
        for it in (student, teacher)
    ]
    mask = torch.nn.functional.pad(torch.ones(2, 3, dtype=torch.bool), (0, 2))
    loss = attention_divergence(*longer, mask, 2)
    assert loss.item() == pytest.approx(plain.item(), rel=1e-6)
    loss.backward()
    assert torch.isfinite(student.query.grad).all()


def test_each_loss_reaches_one_model():
    teacher, assistant, students = drawn(8, 0), drawn(8, 1), [drawn(4, 2), drawn(4, 3)]
    mask = torch.ones(2, 3, dtype=torch.bool)
    losses = online_losses(teacher, assistant, students, mask, 2)
    assert len(losses) == 3
    losses[1].backward()
    assert students[0].query.grad is not None
    for untouched in (teacher, assistant, students[1]):
        assert untouched.query.grad is None
    losses[0].backward()
    assert assistant.key.grad is not None
    assert teacher.key.grad is None, "nothing flows back to the teacher"


def test_without_an_assistant_students_learn_from_the_teacher():
    teacher, student, mask = drawn(8, 0), drawn(4, 1), torch.ones(2, 3, dtype=torch.bool)
    (loss,) = online_losses(teacher, None, [student], mask, 2)
    assert loss.item() == attention_divergence(student, teacher, mask, 2).item()
