"""Prompts of every kind in a pool: stored, read again, used as sources, and used together."""

import pytest

from continual import Learner, LearnerSettings
from continual.training.config import TrainingConfig
from continual.tuning import TUNINGS
from continual.tuning.base import trained_tensors
from streams import SimulatedSource, StreamManager

QUICK = TrainingConfig(epochs=1, min_steps=0, batch_size=8, average=0.0)
OPTIONS = {
    "input": {"length": 3},
    "compacter": {"reduction": 4, "layer": 1},
    "compacter_pp": {"reduction": 4, "layer": 1},
}


METHODS = {"scratch": {}, "spot": {}, "panda": {"minimum_score": -2.0}}


def learner(folder, encoder, name: str, method: str) -> Learner:
    settings = LearnerSettings(
        method={"name": method} | METHODS[method],
        tuning={"name": name} | OPTIONS.get(name, {"layer": 1}),
        training=QUICK,
    )
    return Learner(folder, encoder, settings)


@pytest.fixture(scope="module")
def tasks():
    return list(StreamManager(SimulatedSource(train=16, dev=8, test=12), order=["kitchen", "office"]))


def texts(tasks) -> list[str]:
    return [text for task in tasks for text in task.test["text"]]


@pytest.mark.parametrize("name", TUNINGS.names())
@pytest.mark.parametrize("method", METHODS)
def test_a_stored_prompt_predicts_what_it_learned(tiny_encoder, tasks, method, name, tmp_path):
    encoder = tiny_encoder("bert")
    school = learner(tmp_path / "pool", encoder, name, method)
    records = [school.learn(task) for task in tasks]
    told = [school.predict(list(task.test["text"]), task=task.name) for task in tasks]
    routed = school.predict(texts(tasks))
    again = learner(tmp_path / "pool", encoder, name, method)
    assert [again.predict(list(task.test["text"]), task=task.name) for task in tasks] == told
    assert again.predict(texts(tasks)) == routed
    assert {item.prompt for item in routed} == {record.id for record in records}

    if method == "scratch":
        return
    # The second task ranked the first prompt: by all metrics where a prompt is a list of vectors, else by some.
    (candidate,) = records[1].provenance["candidates"]
    vectors = bool(school.tuning.tokens(trained_tensors(school.pool.get(records[0].id).tensors)).numel())
    assert (candidate["scores"]["e_avg"] is not None) == vectors
    assert (candidate["scores"]["e_concat"] is not None) == vectors
    assert candidate["scores"]["panda"] is not None
    assert candidate["scores"]["on"] is not None
    assert [source["prompt"] for source in records[1].provenance["sources"]] == [records[0].id]


def test_texts_under_prompts_of_all_kinds_in_one_call(tiny_encoder, tasks, tmp_path):
    encoder = tiny_encoder("roberta")
    prompts = []
    for name in TUNINGS.names():
        school = learner(tmp_path / "pool", encoder, name, "scratch")
        prompts += [school.learn(task).id for task in tasks]
    view = school.views.of(encoder.tokenize([tasks[0].test["text"][0]] * len(prompts)))
    together = school.predictor.logits(view, range(len(prompts)), prompts)
    for number, prompt in enumerate(prompts):
        (alone,) = school.predictor.logits(view, [number], [prompt])
        assert (together[number] - alone).abs().max() < 1e-4
