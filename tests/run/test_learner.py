"""The learner as a program uses it: which prompts answer which texts, and what it refuses."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import pytest

import continual.prepared as prepared
from continual.backbone.generation import Decoding
from continual.backbone.readout import Readout
from continual.deployment import open_learner
from continual.errors import ConfigError, LearningError, PoolError
from continual.growth.config import GrowthConfig
from continual.learner import Learner
from continual.pool import PromptPool
from continual.settings import LearnerSettings, RoutingConfig, TransferConfig
from continual.storing import PAIRS
from continual.training.config import TrainingConfig
from streams import StreamManager, build_stream

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
    assert learner.predict(["a text"])[0].task is None
    assert learner.predict(["a text"], task="kitchen")[0].task == "kitchen"  # although pairs were learned last
    assert learner.directory.tasks() == ["kitchen", "wind-turbines"]
    with pytest.raises(PoolError, match=r"'kichen' \(did you mean 'kitchen'\?\); it knows: kitchen, wind-turbines"):
        learner.predict(["a text"], task="kichen")


def test_a_pool_that_is_given_must_belong_to_the_backbone(learned, tiny_encoder):
    with pytest.raises(PoolError, match=r"belongs to backbone .* choose that backbone or another pool"):
        Learner(learned.pool, tiny_encoder("roberta"), SETTINGS)


def test_threads_take_turns(learned, monkeypatch):
    monkeypatch.setattr(prepared, "_KEPT_BYTES", 1)  # each prompt pushes the other one out
    questions = [("kitchen", None), ("wind-turbines", ["wind turbines"])]
    expected = [learned.predict(["a text"], pairs, task) for task, pairs in questions]
    with ThreadPoolExecutor(4) as workers:
        asked = [
            workers.submit(learned.predict, ["a text"], pairs, task) for _ in range(20) for task, pairs in questions
        ]
    assert [one.result() for one in asked] == expected * 20


def test_what_was_learned_is_kept_where_another_process_took_its_number(tasks, tmp_path, tiny_encoder, monkeypatch):
    learner = Learner(tmp_path / "pool", tiny_encoder("bert"), SETTINGS)
    learner.learn(tasks[0])
    number, late = PromptPool.next_version, iter([1])
    monkeypatch.setattr(PromptPool, "next_version", lambda pool, task: next(late, None) or number(pool, task))
    assert learner.learn(tasks[0]).id == "kitchen-v2"
    assert learner.pool.get("kitchen-v2").provenance["renumbered_from"] == "kitchen-v1"


def test_what_a_caller_notes_stands_apart_from_what_learning_notes(tasks, tmp_path, tiny_encoder):
    learner = Learner(tmp_path / "pool", tiny_encoder("bert"), SETTINGS)
    facts = learner.learn(tasks[0], seed=99, sources="mine").provenance
    assert facts["notes"] == {"seed": 99, "sources": "mine"}
    assert (facts["seed"], facts["sources"]) == (0, [])


def test_a_name_stands_for_a_section():
    settings = LearnerSettings(method="spot", tuning="input")
    assert (settings.method, settings.tuning) == ({"name": "spot"}, {"name": "input"})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"method": None}, "method is None, expected a name or a dictionary with one"),
        ({"training": 1}, r"training is 1, expected settings such as training\.epochs=VALUE"),
        ({"training": {"epoch": 1}}, r"no setting 'training\.epoch' \(did you mean 'epochs'\?\)"),
        ({"routing": {"keys": "few"}}, r"routing\.keys is 'few', expected a whole number"),
        ({"seed": "first"}, "seed is 'first', expected a whole number"),
        ({"seed": -1}, "seed is -1, expected 0 or more"),
        ({"cache_mb": -1}, r"cache_mb is -1\.0, expected 0 or more"),
        ({"answers": "aloud"}, "answers is 'aloud', expected one of head, label"),
    ],
)
def test_settings_of_another_type_are_refused(given, message):
    with pytest.raises(ConfigError, match=message):
        LearnerSettings(**given)


def test_sections_may_be_dictionaries():
    settings = LearnerSettings(training={"epochs": 2, "learning_rate": 1}, routing={"keys": 4}, seed=3)
    assert (settings.training.epochs, settings.routing, settings.transfer) == (
        2,
        RoutingConfig(keys=4),
        TransferConfig(),
    )
    assert type(settings.training.learning_rate) is float


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (TrainingConfig, {"epochs": "three"}, r"training\.epochs is 'three', expected a whole number"),
        (TransferConfig, {"recall": 1.5}, r"transfer\.recall is 1\.5, expected a whole number or null"),
        (RoutingConfig, {"keys": None}, r"routing\.keys is None, expected a whole number"),
        (Readout, {"summaries": "max"}, r"readout\.summaries is 'max', expected a list of text"),
        (GrowthConfig, {"at": 3}, r"growth\.at is 3, expected a list of whole numbers"),
        (Decoding, {"beams": True}, r"decoding\.beams is True, expected a whole number"),
    ],
)
def test_a_section_made_in_python_is_checked_as_one_in_yaml(kind, options, message):
    with pytest.raises(ConfigError, match=message):
        kind(**options)


def test_a_backbone_is_named_in_every_way_that_it_is_opened_in(tmp_path, tiny_folder, tiny_encoder):
    folder = tiny_folder("bert")
    ways = [folder, str(folder), {"name": "hub", "path": str(folder)}]
    encoders = [Learner(tmp_path / f"pool-{number}", way, SETTINGS).encoder for number, way in enumerate(ways)]
    assert len({encoder.fingerprint for encoder in encoders}) == 1
    assert encoders[0].opening == {"name": "hub", "path": str(folder)}
    assert Learner(tmp_path / "pool", tiny_encoder("bert"), SETTINGS).encoder is tiny_encoder("bert")


@pytest.mark.parametrize(
    ("backbone", "message"),
    [
        ("minilmm", r"no backbone named 'minilmm' \(did you mean 'minilm'\?\)"),
        ("./nowhere", r"backbone=\./nowhere has to be the folder of a saved model, but nothing is there"),
        (3, "The backbone is 3, expected an encoder, a name, the folder of a model, or settings"),
    ],
)
def test_what_opens_no_backbone_is_refused(tmp_path, backbone, message):
    with pytest.raises(ConfigError, match=message):
        Learner(tmp_path / "pool", backbone)


def test_a_baseline_is_run_and_no_learner(tmp_path, tiny_encoder):
    with pytest.raises(ConfigError, match=r"method=ewc is a baseline, .* run it with continual\.Run, or on"):
        Learner(tmp_path / "pool", tiny_encoder("bert"), LearnerSettings(method="ewc"))


def test_a_dictionary_is_no_settings(tmp_path, tiny_encoder):
    with pytest.raises(ConfigError, match=r"expected LearnerSettings\(...\), such as"):
        Learner(tmp_path / "pool", tiny_encoder("bert"), {"seed": 1})
    assert not (tmp_path / "pool").exists()


def test_one_string_is_no_list_of_texts(learned):
    for words in (("one string",), (["a text"], "one string")):
        with pytest.raises(LearningError, match="are the one string 'one string', expected a list"):
            learned.predict(*words)


def test_what_is_no_task_is_refused(learned):
    stream = build_stream({"kind": "simulated", "tasks": KITCHEN, **SMALL}, 0)
    assert isinstance(stream, StreamManager)
    for asked in (learned.learn, learned.evaluate):
        with pytest.raises(LearningError, match="was given str 'books', expected a task; take one of a stream"):
            asked("books")
        with pytest.raises(LearningError, match="expected a task; loop over the stream"):
            asked(stream)


def test_nothing_is_trained_for_a_pool_that_cannot_be_changed(learned, tasks, tmp_path, tiny_folder, monkeypatch):
    learned.pool.export(tmp_path / "pool")
    backbone = {"name": "hub", "path": str(tiny_folder("bert")), "max_length": 48}
    opened = open_learner(str(tmp_path / "pool"), backbone=backbone)
    assert opened.predict(["a text"])
    monkeypatch.setattr(opened, "lessons", None)  # what trains
    with pytest.raises(PoolError, match="opened for reading only; open it for writing"):
        opened.learn(tasks[0])
