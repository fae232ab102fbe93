"""One check that every method must pass, and what a lesson offers."""

from dataclasses import replace

import pytest
import torch
from school import School, method, same
from small_tasks import READOUT

from continual.backbone.frozen import freeze
from continual.errors import Interrupted
from continual.methods import METHODS
from continual.methods.base import Learned, Method
from continual.training import loop
from continual.training.checkpoint import FolderCheckpoints
from continual.training.config import TrainingConfig
from continual.training.examples import Examples
from continual.training.watch import Silent
from continual.tuning import build_tuning

each_method = pytest.mark.parametrize("name", METHODS.names())


def as_read(learned: Learned, read: Examples) -> Examples:
    """Examples as the learned prompt reads them: in its template, if it has one."""
    tuning, encoder = learned.model.tuning, learned.model.encoder
    texts = tuning.texts(encoder, read.view.texts)
    return replace(read, view=freeze(encoder, texts, tuning.entry(encoder), READOUT))


# ---------------------------------------------------------------- what every method must do


@each_method
@pytest.mark.parametrize(("sources", "labels"), [(0, 2), (1, 3), (2, 2)])
def test_a_separable_task_is_learned(any_school, name, sources, labels):
    """Label spaces of source and target may differ: nothing of a source depends on its labels."""
    lesson = any_school.lesson(sources, labels, name=name)
    learned = method(name).learn(lesson)
    dev = as_read(learned, lesson.dev)
    accuracy, _ = learned.model.score(dev)
    # Of pairs the tiny ground reads less: the second text, the same for all, is a part of what it averages.
    assert accuracy >= (0.85 if method(name).pairs else 0.9)
    assert learned.model.logits(dev).shape == (24, labels)
    stages = [stage.stage for stage in lesson.stages]
    assert learned.stage in stages
    assert len(set(stages)) == len(stages)
    for stage in lesson.stages:
        assert stage.steps == 9
        assert stage.seconds > 0
        assert len(stage.curve) == 4
    kept = next(stage for stage in lesson.stages if stage.stage == learned.stage)
    assert kept.dev_accuracy == pytest.approx(accuracy)


@each_method
@pytest.mark.parametrize("sources", [0, 2])
def test_learning_is_deterministic_and_follows_the_seed(school, name, sources):
    torch.manual_seed(1)
    first = method(name).learn(lesson := school.lesson(sources, name=name))
    curves = [stage.curve for stage in lesson.stages]
    torch.manual_seed(2)
    again = method(name).learn(school.lesson(sources, name=name))
    assert same(first, again)
    assert first.ranked == again.ranked
    for changes in ({"seed": 1}, {"task": "another"}):
        lesson = school.lesson(sources, name=name, **changes)
        method(name).learn(lesson)
        assert [stage.curve for stage in lesson.stages] != curves


@each_method
def test_sources_are_never_changed(school, name):
    """Nothing is forgotten because nothing that is stored is ever written to."""
    training = TrainingConfig(epochs=3, min_steps=0, batch_size=8, learning_rate=1.0)
    lesson = school.lesson(2, name=name, training=training)
    before = [{key: value.clone() for key, value in source.tensors.items()} for source in lesson.sources]
    method(name, **({"minimum_score": -1.0} if name == "panda" else {})).learn(lesson)
    for source, copy in zip(lesson.sources, before, strict=True):
        assert all(torch.equal(value, copy[key]) for key, value in source.tensors.items())


@each_method
def test_used_sources_are_among_the_ranked_ones(school, name):
    learned = method(name).learn(school.lesson(2, name=name))
    assert all(item in learned.ranked for item in learned.used)
    if learned.ranked:
        assert {item.prompt for item in learned.ranked} == {"other-v0", "other-v1"}
        assert [item.score for item in learned.ranked] == sorted((item.score for item in learned.ranked), reverse=True)


@each_method
@pytest.mark.parametrize("step", [8, 13, 25])
def test_stopped_anywhere_and_resumed_to_the_same_bits(school, name, step, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "_SECONDS_BETWEEN_CHECKPOINTS", 0.0)

    class Stop(Silent):
        steps = 0

        def step(self, stage, number, loss):
            self.steps += 1
            if self.steps == step:
                raise Interrupted("Stopped.")

    expected = method(name).learn(reference := school.lesson(2, name=name))
    stopped = school.lesson(2, name=name, checkpoints=FolderCheckpoints(tmp_path), watcher=Stop())
    if step <= sum(stage.steps for stage in reference.stages):
        with pytest.raises(Interrupted):
            method(name).learn(stopped)
    resumed = school.lesson(2, name=name, checkpoints=FolderCheckpoints(tmp_path))
    assert same(method(name).learn(resumed), expected)
    assert [stage.curve for stage in resumed.stages] == [stage.curve for stage in reference.stages]


@pytest.mark.parametrize("entry", METHODS.values(), ids=lambda entry: entry.name)
def test_every_method_is_explained_and_cites_its_paper(entry):
    assert issubclass(entry.load(), Method)
    assert entry.load().name == entry.name
    assert entry.help
    assert "arXiv" in entry.paper


# ---------------------------------------------------------------- what a lesson offers


def test_all_tasks_of_a_run_start_from_the_same_prompt(tiny_encoder):
    school = School(tiny_encoder("bert"), build_tuning({"name": "deep", "length": 3}))
    first = school.lesson().fresh()["prefix"]
    assert torch.equal(first, school.lesson(task="another", labels=3).fresh()["prefix"])
    assert not torch.equal(first, school.lesson(seed=1).fresh()["prefix"])


def test_a_model_begins_by_saying_nothing(school):
    lesson = school.lesson()
    assert torch.equal(lesson.begin(lesson.fresh()).logits(lesson.train), lesson.train.ground)
