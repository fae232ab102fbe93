"""The learner as a program uses it: which prompts answer which texts, and what it refuses."""

import dataclasses

import pytest

from continual.errors import LearningError
from continual.learner import Learner
from continual.pool import PromptPool
from continual.settings import LearnerSettings, RoutingConfig
from continual.storing import PAIRS
from continual.training.config import TrainingConfig
from streams import build_stream

SETTINGS = LearnerSettings(
    method={"name": "scratch"},
    tuning={"name": "late", "length": 4, "layer": 1},
    training=TrainingConfig(epochs=1, min_steps=0),
    routing=RoutingConfig(keys=4),
)
KITCHEN = [{"name": "kitchen", "topic": "kitchen", "cues": {"temperature": 1.0}}]
SMALL = {"train": 24, "dev": 12, "test": 12}


@pytest.fixture(scope="module")
def tasks():
    """A task on single texts and one on pairs."""
    single = build_stream({"kind": "simulated", "tasks": KITCHEN, **SMALL}, 0)
    pairs = build_stream({"kind": "stance_simulated", "tasks": ["wind-turbines"], **SMALL}, 0)
    return next(iter(single)), next(iter(pairs))


@pytest.fixture(scope="module")
def learned(tmp_path_factory, tiny_encoder, tasks):
    """A learner that knows both."""
    learner = Learner(tmp_path_factory.mktemp("both") / "pool", tiny_encoder("bert"), SETTINGS)
    for task in tasks:
        learner.learn(task)
    return learner


def _only(learned: Learner, folder, task: str, **provenance) -> Learner:
    """A learner with one of the prompts, changed."""
    prompt = learned.pool.get(f"{task}-v1")
    pool = PromptPool(folder, learned.encoder.fingerprint)
    pool.add(dataclasses.replace(prompt, provenance={**prompt.provenance, **provenance}))
    return Learner(pool, learned.encoder, SETTINGS)


def test_pairs_go_to_prompts_of_pairs_and_single_texts_to_those_of_single_texts(learned, tasks):
    single, pairs = tasks
    texts = [*single.test["text"], *pairs.test["text"]]
    assert {answer.prompt for answer in learned.predict(texts)} == {"kitchen-v1"}
    second = ["wind turbines"] * len(texts)
    assert {answer.prompt for answer in learned.predict(texts, second)} == {"wind-turbines-v1"}
    for task in tasks:
        assert learned.evaluate(task, told=False).routed_right == 1.0


def test_where_no_prompt_answers_such_texts_it_is_said(learned, tmp_path):
    with pytest.raises(LearningError, match="learned on pairs of texts; give each text its second text"):
        _only(learned, tmp_path / "pairs", "wind-turbines").predict(["a text"])
    with pytest.raises(LearningError, match="learned on single texts; leave the second texts out"):
        _only(learned, tmp_path / "single", "kitchen").predict(["a text"], ["another"])


def test_prompts_that_do_not_say_what_they_were_learned_on_answer_both(learned, tmp_path):
    old = _only(learned, tmp_path / "old", "kitchen", **{PAIRS: None})
    assert [answer.prompt for answer in old.predict(["a text"]) + old.predict(["a text"], ["another"])] == [
        "kitchen-v1",
        "kitchen-v1",
    ]


def test_a_model_for_all_tasks_answers_both(tasks, tmp_path, tiny_encoder):
    settings = dataclasses.replace(SETTINGS, method={"name": "l2p"})
    learner = Learner(tmp_path / "pool", tiny_encoder("bert"), settings)
    for task in tasks:
        learner.learn(task)
    assert learner.predict(["a text"])
    assert learner.predict(["a text"], ["another"])
    assert learner.predict(["a text"], task="kitchen")  # although pairs were learned last
