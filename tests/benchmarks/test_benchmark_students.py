"""The benchmark of smaller encoders: its settings exist, budgets are equal, and differences are paired."""

import pytest

from benchmarks import students
from continual.students.session import compose


@pytest.mark.parametrize("contestant", [*students.CONTESTANTS, *students.CAUSAL], ids=lambda it: it.name)
def test_every_contestant_has_the_same_steps_and_layers(contestant):
    recipe = compose(contestant.recipe, contestant.overrides(200, 2)).recipe
    assert sum(getattr(recipe, stage).steps for stage in contestant.shares) == 200
    shapes = recipe.students if contestant.name == "online" else [recipe.common.student]
    assert [(shape.layers, shape.start) for shape in shapes] == [(2, "uniform")]


def test_who_is_alone_has_no_teacher():
    (alone,) = (it for it in students.CONTESTANTS if it.name == students.ALONE)
    recipe = compose(alone.recipe, alone.overrides(10, 2)).recipe
    assert not recipe.fsd.is_taught
    assert recipe.common.fine_tuning.is_left_out


def test_means_and_paired_differences():
    rows = [
        {"model": model, "seed": seed, "probe": probe, "answers": answers, "seconds": 1.0}
        for seed in (0, 1)
        for model, probe, answers in (("alone", 0.5 + seed / 10, 0.4), ("disco", 0.7 + seed / 10, None))
    ]
    found = students.summary(rows)
    assert found["alone"]["probe"]["mean"] == pytest.approx(0.55)
    assert found["disco"]["probe against alone"]["difference"]["value"] == pytest.approx(0.2)
    assert "answers" not in found["disco"]
    assert "answers against alone" not in found["alone"]
