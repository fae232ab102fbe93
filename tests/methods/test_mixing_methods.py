"""What the methods promise that mix, chain or share prompts, and Vega."""

import math
from dataclasses import replace
from statistics import stdev
from types import SimpleNamespace

import pytest
import torch
from school import TRAINING, method, rate, same_tensors
from torch.nn import functional as F

from continual.distillation.logits import soft_divergence
from continual.errors import ConfigError
from continual.methods.base import Lesson
from continual.methods.cpt_rd import Domain
from continual.training.config import TrainingConfig
from continual.training.statistics import Statistics
from continual.tuning import build_tuning
from continual.tuning.base import trained_tensors


@pytest.mark.parametrize(
    ("options", "sizes", "stages"),
    [
        ({"low_resource": 25}, [1000, 1000], ["probe", "teacher-1", "student"]),
        ({"low_resource": 24}, [1000, 1000], ["student"]),  # 24 texts are not fewer than 24
        ({"low_resource": 25}, [47, 10], ["student"]),  # no source is twice as large
        ({"low_resource": 25}, [48, 10], ["probe", "teacher-1", "student"]),
        ({"low_resource": 25, "larger": 0.5}, [13, 10], ["probe", "teacher-1", "student"]),
    ],
)
def test_vega_helps_small_tasks_from_larger_ones(school, monkeypatch, options, sizes, stages):
    rate(school, monkeypatch, [0.9, 0.5])
    sources = [replace(school.source(number), train_examples=size) for number, size in enumerate(sizes)]
    lesson = school.lesson(sources)
    learned = method("vega", **options).learn(lesson)
    assert [stage.stage for stage in lesson.stages] == stages
    assert [item.prompt for item in learned.used] == (["other-v0"] if len(stages) > 1 else [])


def test_vega_takes_no_source_that_scores_nothing(school, monkeypatch):
    rate(school, monkeypatch, [-0.1, -0.2])
    learned = method("vega").learn(school.lesson(2))
    assert learned.stage == "probe"
    assert learned.used == []


def test_vegas_objective_by_hand():
    logits, labels, rows = torch.tensor([[1.0, 3.0]]), torch.tensor([1]), torch.tensor([1])
    teacher = torch.tensor([[9.0, 9.0], [0.0, 1.0]])
    training = TrainingConfig(label_smoothing=0.0)
    objective = method("vega", weight=2.0, decay="none").teaching.objective([teacher], [0.5], training)
    expected = F.cross_entropy(logits, labels) + 2.0 * 0.5 * (1 + 4) / 2
    assert float(objective(logits, labels, rows, 1.0)) == pytest.approx(float(expected))


def test_attempt_mixes_its_sources_and_leaves_them_as_they_are(school):
    lesson = school.lesson(3)
    learned = method("attempt", sources=2).learn(lesson)
    assert {item.prompt for item in learned.used} == {"other-v0", "other-v1"}
    stored = learned.model.tensors["sources/prompt"]
    assert torch.equal(stored, torch.stack([source.tensors["prompt"] for source in lesson.sources[:2]]))
    assert "sources/prompt" not in learned.model.trained()


@pytest.fixture
def starts(monkeypatch) -> dict:
    """What each stage of the latest learning started from."""
    found = {}
    fit = Lesson.fit

    def watched(lesson, stage, tensors, objective=None, **more):
        found[stage] = tensors
        return fit(lesson, stage, tensors, objective, **more)

    monkeypatch.setattr(Lesson, "fit", watched)
    return found


@pytest.mark.parametrize("name", ["progressive", "olora"])
def test_what_joins_earlier_prompts_starts_from_randomness_of_its_task(school, starts, name):
    begun = []
    for task in ("weather", "harbour", "weather"):
        lesson = school.lesson(0, name=name, task=task, training=replace(TRAINING, epochs=1))
        learned = method(name).learn(lesson)
        begun.append({key: value for key, value in starts["student"].items() if key.startswith("own/")})
    first, second, again = begun
    assert same_tensors(first, again)
    drawn = [key for key, value in first.items() if bool(value.any())]
    assert drawn
    for key in drawn:
        cosine = F.cosine_similarity(first[key].flatten(), second[key].flatten(), dim=0)
        # The tokens of a prompt are drawn like words, which have a direction in common.
        assert abs(float(cosine)) < (0.2 if name == "olora" else 0.9), key
    assert learned.origin is None or same_tensors(learned.origin, {key[4:]: it for key, it in again.items()})


def test_attempts_own_prompt_starts_from_the_first_source(school, starts):
    lesson = school.lesson(2)
    method("attempt").learn(lesson)
    assert torch.equal(starts["student"]["own/prompt"], lesson.sources[0].tensors["prompt"])
    method("attempt", start="fresh").learn(lesson)
    assert torch.equal(starts["student"]["own/prompt"], lesson.fresh()["prompt"])


def test_attempts_attention_learns_at_its_own_speed(school):
    slow, fast = (method("attempt", attention_pace=pace).learn(school.lesson(2)).model.tensors for pace in (0.0, 1.0))
    start = method("attempt").learn(school.lesson(2, training=replace(TRAINING, epochs=1, learning_rate=1e-12)))
    torch.testing.assert_close(slow["network/down"], start.model.tensors["network/down"], rtol=0, atol=1e-6)
    assert not torch.allclose(fast["network/down"], slow["network/down"])


def test_a_reparametrised_chain_is_stored_folded(school):
    learned = method("progressive", reparametrise=6).learn(school.lesson(0))
    assert set(learned.model.tensors) == {"own/prompt"}
    assert learned.model.tuning.name == "chain"


def test_soft_divergence_by_hand():
    student, teacher = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.25, 0.75]])
    ratio = math.exp(1.0) / (math.exp(1.0) + 1)  # softened with temperature 2
    expected = 4 * (0.25 * math.log(0.25 / ratio) + 0.75 * math.log(0.75 / (1 - ratio)))
    assert float(soft_divergence(student, teacher, 2.0)) == pytest.approx(expected, rel=1e-5)


def test_cpt_rds_evidence_is_as_sure_as_the_clusters_are_many(school, monkeypatch):
    """Draws around one cluster are no evidence of their own: the standard error is that over clusters."""
    lesson = school.lesson(0)
    learned = method("cpt_rd").learn(lesson)
    tensors = {f"method.{name}": value for name, value in learned.kept.items()}
    tensors |= {f"tuning.{name}": value for name, value in learned.model.tensors.items()}
    weight, bias = learned.model.classifier.folded()
    prompt = SimpleNamespace(tensors=tensors | {"head.weight": weight, "head.bias": bias})
    domain = Domain.of(prompt)
    gains = torch.tensor([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0], [0.0, 1.0, 2.0], [2.0, 1.0, 3.0]])  # [draws, clusters]
    before, right = gains.flatten() + 1.0, torch.ones(12, dtype=torch.bool)
    answers = iter([(before, right), (torch.ones(12), right)])
    monkeypatch.setattr(Statistics, "losses", lambda *_: next(answers))
    evidence = domain.compare(lesson, trained_tensors(prompt.tensors))
    means = [1.0, 1.0, 7 / 4]
    assert evidence["gain"] == pytest.approx(sum(means) / 3)
    assert evidence["standard_error"] == pytest.approx(stdev(means) / 3**0.5)


@pytest.mark.parametrize(("name", "options"), [("cpt_rd", {}), ("progressive", {"reparametrise": 6})])
def test_networks_that_write_a_prompt_are_counted(school, name, options):
    """They are folded away afterwards, so the prompt that is stored is smaller than what was trained."""
    learned = method(name, **options).learn(school.lesson(0))
    assert learned.trained > learned.model.size


@pytest.mark.parametrize("name", ["attempt", "progressive", "cpt_rd", "l2p", "coda"])
@pytest.mark.parametrize("tuning", ["layer_norm", "lora", "compacter"])
def test_what_is_no_prompt_cannot_be_put_together(name, tuning):
    with pytest.raises(ConfigError, match=f"tuning={tuning} is not; use tuning=input, late, deep"):
        method(name).check_tuning(build_tuning({"name": tuning}))


def test_olora_takes_low_rank_additions_alone():
    method("olora").check_tuning(build_tuning({"name": "lora"}))
    with pytest.raises(ConfigError, match="use tuning=lora"):
        method("olora").check_tuning(build_tuning({"name": "deep"}))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("attempt", {"sources": 0}, r"method\.sources is 0, expected at least 1"),
        ("attempt", {"start": "best"}, r"method\.start is 'best', expected source or fresh"),
        ("attempt", {"temperature": 0.0}, r"method\.temperature is 0\.0, expected a number above 0"),
        ("progressive", {"links": -1}, r"method\.links is -1, expected 0 or more"),
        ("cpt_rd", {"start": "nearest"}, r"method\.start is 'nearest', expected one of random, previous"),
        ("cpt_rd", {"consolidation": -1.0}, r"method\.consolidation is -1\.0, expected 0 or more"),
        ("vega", {"decay": "fast"}, r"method\.decay is 'fast'"),
        ("tapd", {"templates": 9}, r"method\.templates is 9, expected 1 to 3"),
        ("l2p", {"top": 11}, r"expected 1 <= top <= size"),
        ("coda", {"orthogonality": -0.1}, r"method\.orthogonality is -0\.1, expected 0 or more"),
        ("olora", {"decay": -1.0}, r"method\.decay is -1\.0, expected 0 or more"),
    ],
)
def test_bad_options_of_the_others_are_refused(name, options, message):
    with pytest.raises(ConfigError, match=message):
        method(name, **options)
