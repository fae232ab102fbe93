"""What the methods promise that transfer prompts: scratch, spot, panda."""

import pytest
import torch
from school import method, rate, same, same_tensors, tensors
from torch.nn import functional as F

from continual.errors import ConfigError
from continual.methods.base import Lesson, Source
from continual.training.config import TrainingConfig
from continual.tuning import build_tuning


def test_scratch_looks_at_no_source(school):
    assert same(method("scratch").learn(school.lesson(2)), method("scratch").learn(school.lesson(0)))
    learned = method("scratch").learn(school.lesson(2))
    assert learned.ranked == learned.used == []


@pytest.mark.parametrize("name", ["spot", "panda", "vega", "attempt"])
def test_without_sources_a_method_of_transfer_is_scratch(school, name):
    assert same(method(name).learn(school.lesson(0)), method("scratch").learn(school.lesson(0)))


@pytest.mark.parametrize("metric", ["panda", "key_cosine"])
def test_spot_starts_from_the_best_source(school, metric):
    lesson = school.lesson(2, metric=metric)
    learned = method("spot").learn(lesson)
    best = learned.ranked[0]
    assert learned.used == [best]
    assert best.score == best.scores[metric]
    assert [stage.stage for stage in lesson.stages] == ["probe", "student"]
    by_hand = school.lesson(2)
    student = by_hand.fit("student", by_hand.tensors_of(best.prompt))
    assert same_tensors(student.trained(), tensors(learned))


def test_a_source_of_another_length_can_be_started_from(school):
    longer = build_tuning(school.tuning.spec() | {"length": 5})
    grown = longer.initial(school.encoder, None, torch.Generator().manual_seed(0))
    keys = torch.eye(2, school.encoder.width)
    source = Source("long-v1", grown, school.prober.signature(longer, grown, grown, keys))
    learned = method("spot").learn(school.lesson([source]))
    assert learned.model.tuning.tokens(learned.model.prompt).shape == school.tuning.tokens(grown).shape


@pytest.mark.parametrize(
    ("options", "scores", "teachers"),
    [
        ({}, [0.9, 0.5], ["other-v0"]),
        ({"sources": 2}, [0.9, 0.5], ["other-v0", "other-v1"]),
        ({"sources": 2}, [0.9, -0.1], ["other-v0"]),
        ({"sources": 2, "minimum_score": 0.6}, [0.9, 0.5], ["other-v0"]),
        ({"sources": 2}, [0.0, -0.5], []),
        ({"sources": 2}, [0.4, float("-inf")], ["other-v0"]),
        ({"sources": 9}, [0.9, 0.5], ["other-v0", "other-v1"]),
    ],
)
def test_panda_makes_teachers_of_sources_that_score(school, monkeypatch, options, scores, teachers):
    rate(school, monkeypatch, scores)
    lesson = school.lesson(2)
    learned = method("panda", **options).learn(lesson)
    assert [item.prompt for item in learned.used] == teachers
    numbered = [f"teacher-{number}" for number in range(1, len(teachers) + 1)]
    assert [stage.stage for stage in lesson.stages] == (["probe", *numbered, "student"] if teachers else ["probe"])


def test_panda_without_worthy_sources_keeps_the_probe(school, monkeypatch):
    rate(school, monkeypatch, [-0.1, -0.2])
    learned = method("panda").learn(school.lesson(2))
    by_hand = school.lesson(0)
    assert same_tensors(by_hand.fit("probe", by_hand.fresh()).trained(), tensors(learned))
    assert learned.stage == "probe"
    assert len(learned.ranked) == 2
    assert learned.used == []


def test_pandas_teachers_matter(school, monkeypatch):
    rate(school, monkeypatch, [0.9, 0.5])
    one, other, none = (
        method("panda", **options).learn(school.lesson(2))
        for options in ({"weight": 1.0}, {"weight": 3.0}, {"weight": 0.0})
    )
    assert not same(one, other)
    assert not same(one, none)
    assert same(none, method("scratch").learn(school.lesson(0)))


def test_pandas_student_is_fresh_and_its_teachers_start_from_the_sources(school, monkeypatch):
    rate(school, monkeypatch, [0.9, 0.5])
    starts = {}
    fit = Lesson.fit

    def watched(lesson, stage, tensors, objective=None):
        starts[stage] = {name: value.clone() for name, value in tensors.items()}
        return fit(lesson, stage, tensors, objective)

    monkeypatch.setattr(Lesson, "fit", watched)
    lesson = school.lesson(2)
    method("panda", sources=2).learn(lesson)
    for name, value in lesson.fresh().items():
        assert torch.equal(starts["probe"][name], value)
        assert torch.equal(starts["student"][name], value)
        for number in range(2):
            assert torch.equal(starts[f"teacher-{number + 1}"][name], lesson.sources[number].tensors[name])


@pytest.mark.parametrize(
    ("options", "progress", "strength"),
    [
        # c = weight * decay(progress) * score, with score 0.5
        ({}, 0.0, 0.5),
        ({}, 0.55, 0.25),
        ({}, 1.0, 0.0),
        ({"weight": 4.0, "decay": "none"}, 1.0, 2.0),
        ({"decay": "warm"}, 0.05, 0.25),
        ({"divide_by_batch": True}, 0.0, 0.5 / 2),
    ],
)
def test_pandas_objective_by_hand(options, progress, strength):
    logits = torch.tensor([[1.0, 3.0], [0.0, 0.0]])
    labels, rows = torch.tensor([1, 0]), torch.tensor([2, 0])
    teacher = torch.tensor([[0.0, 2.0], [9.0, 9.0], [1.0, 1.0]])
    training = TrainingConfig(batch_size=2, label_smoothing=0.0)
    objective = method("panda", **options).teaching.objective([teacher], [0.5], training)
    # Against teacher rows 2 and 0: squared differences 0, 4, 0, 4.
    expected = F.cross_entropy(logits, labels) + strength * (0 + 4 + 0 + 4) / 4
    assert float(objective(logits, labels, rows, progress)) == pytest.approx(float(expected))


def test_pandas_teachers_are_weighted_by_their_scores():
    logits, labels, rows = torch.zeros(1, 2), torch.tensor([0]), torch.tensor([0])
    teachers = [torch.tensor([[1.0, 1.0]]), torch.tensor([[2.0, 2.0]]), torch.tensor([[3.0, 3.0]])]
    objective = method("panda", decay="none").teaching.objective(teachers, [0.8, 0.2, -0.7], TrainingConfig())
    found = objective(logits, labels, rows, 0.0)
    assert float(found) == pytest.approx(float(F.cross_entropy(logits, labels)) + 0.8 * 1 + 0.2 * 4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sources": 0}, r"method\.sources is 0, expected at least 1"),
        ({"weight": -1.0}, r"method\.weight is -1\.0, expected 0 or more"),
        ({"decay": "fast"}, r"method\.decay is 'fast', expected one of none, linear, warm"),
        ({"sources": "two"}, r"method\.sources is 'two', expected a whole number"),
        ({"wieght": 1.0}, r"no option method\.wieght \(did you mean 'weight'\?\)"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        method("panda", **options)


def test_methods_without_options_say_so():
    with pytest.raises(ConfigError, match=r"'scratch' has no option method\.weight; its options are: none"):
        method("scratch", weight=1.0)
