"""What single methods do in whole runs; what every one does is in `test_method_conformance`."""

import json
import math
from pathlib import Path

import pytest
import torch
from run_samples import TASKS, needs, write_config

from continual.assessment import Assessor
from continual.config import from_file
from continual.errors import LearningError
from continual.learner import Learner
from continual.methods.base import TASKS as SERVED
from continual.methods.base import kept_tensors
from continual.methods.cpt_rd import CptRd, Domain
from continual.pool import PromptPool
from continual.progress import Progress
from continual.run import Run
from continual.settings import LearnerSettings
from continual.storing import REVISED_BY, REVISES, Storing
from continual.training.config import TrainingConfig
from continual.transfer.signature import Prober
from continual.tuning.base import trained_tensors
from continual.tuning.composed.base import TOKENS
from continual.tuning.composed.generated import Generated
from streams import SimulatedSource, StreamManager, Task, build_stream

SHARED = ("l2p", "coda", "olora")


def settings(folder: Path, model: Path, name: str, **changes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return write_config(folder / "config.yaml", model, **(needs(name) | changes))


def executed(folder: Path, config: Path) -> dict:
    Run.create(folder, from_file(config)).execute(Progress())
    return json.loads((folder / "summary.json").read_text())


def scores(summary: dict) -> dict:
    return {kind: summary[kind]["matrix"] for kind in ("aware", "routed")}


# ---------------------------------------------------------------- one model for all tasks


@pytest.fixture(scope="module", params=SHARED)
def shared(request, tiny_folder, tmp_path_factory) -> tuple[str, Path]:
    """A finished run whose tasks have labels of their own."""
    folder = tmp_path_factory.mktemp(request.param)
    stream = {"kind": "simulated", "name": "small", "tasks": TASKS, "train": 48, "dev": 20, "test": 24}
    executed(folder / "run", settings(folder, tiny_folder("bert"), request.param, stream=stream))
    return request.param, folder / "run"


def opened(run: Path, encoder) -> Learner:
    config = from_file(run / "config.yaml")
    return Learner(PromptPool(run / "pool"), encoder, config.learner)


def test_each_task_leaves_a_later_state_of_the_same_model(shared):
    name, run = shared
    pool = PromptPool(run / "pool")
    records = pool.records()
    assert [record.id for record in records] == [f"shared-{name}-v{number}" for number in (1, 2, 3)]
    assert [list(record.provenance[SERVED]) for record in records] == [
        ["kitchen"],
        ["kitchen", "harbour"],
        ["kitchen", "harbour", "office"],
    ]
    assert pool.superseded() == {records[0].id, records[1].id}
    assert [record.keys[0] for record in records] == [4, 8, 12]
    assert not any(tensor.startswith("ground.") for tensor in records[2].tensors)


def test_every_task_is_answered_by_the_newest_state(shared, tiny_encoder):
    name, run = shared
    learner = opened(run, tiny_encoder("bert"))
    texts = ["the soup was hot", "a small boat"]
    for task in ("kitchen", "harbour", "office", None):
        for item in learner.predict(texts, task=task):
            assert item.prompt == f"shared-{name}-v3"
    assert [item.task for item in learner.predict(texts, task="office")] == ["office"] * 2


def test_it_may_forget_and_that_is_measured(shared):
    """The first task is answered by another state after each task, so its column is measured again."""
    _, run = shared
    summary = json.loads((run / "summary.json").read_text())
    assert summary["routed"]["routing_accuracy"] is None  # nothing is chosen: one model answers everything
    assert (
        summary["aware"]["matrix"] == summary["routed"]["matrix"]
    )  # the same labels everywhere: telling tells nothing


def test_where_labels_differ_a_told_task_allows_its_own_only(tiny_encoder, tmp_path):
    encoder = tiny_encoder("bert")
    tasks = [
        {"name": "kitchen", "topic": "kitchen", "cues": {"temperature": 1.0}, "labels": ["cold", "hot"]},
        {"name": "office", "topic": "office", "cues": {"speed": 1.0}, "labels": ["slow", "quick"]},
    ]
    config = settings(tmp_path, Path("unused"), "l2p")
    learner = Learner(tmp_path / "pool", encoder, from_file(config).learner)
    for spec in tasks:
        stream = {"kind": "simulated", "tasks": [{k: v for k, v in spec.items() if k != "labels"}]}
        stream |= {"labels": spec["labels"], "train": 48, "dev": 20, "test": 24}
        learner.learn(build_stream(stream, 0).task(spec["name"]))
    record = learner.directory.prompt_of("kitchen")
    assert record.labels == ("cold", "hot", "slow", "quick")
    (told,) = learner.predict(["the soup"], task="office")
    assert set(told.probabilities) == {"slow", "quick"}
    assert sum(told.probabilities.values()) == pytest.approx(1.0)
    (untold,) = learner.predict(["the soup"])
    assert set(untold.probabilities) == set(record.labels)

    # Texts of the kitchen under the office's labels: told, one of these answers; not told, mostly one of the kitchen's.
    spec = {"name": "canteen", "topic": "kitchen", "cues": {"temperature": 1.0}}
    stream = {"kind": "simulated", "tasks": [spec], "labels": ["slow", "quick"]}
    canteen = build_stream(stream | {"train": 48, "dev": 20, "test": 40}, 0).task("canteen")
    told, untold = (Assessor(learner).unseen(canteen, told).evaluation.accuracy for told in (True, False))
    assert told > untold + 0.2


# ---------------------------------------------------------------- what goes with a prompt


def test_a_chain_grows_by_one_link_a_task(tiny_folder, tmp_path):
    executed(tmp_path / "run", settings(tmp_path, tiny_folder("bert"), "progressive"))
    pool = PromptPool(tmp_path / "run" / "pool")
    shapes = [record.tensors.get("tuning.earlier/prompt") for record in pool.records()]
    assert [None if shape is None else shape.shape[0] for shape in shapes] == [None, 4, 8]
    first, last = pool.get("kitchen-v1").tensors, pool.get("office-v1").tensors
    assert torch.equal(last["tuning.earlier/prompt"][4:], first["tuning.own/prompt"])


def test_chains_of_different_length_share_a_batch(tiny_folder, tiny_encoder, tmp_path):
    executed(tmp_path / "run", settings(tmp_path, tiny_folder("bert"), "progressive"))
    learner = opened(tmp_path / "run", tiny_encoder("bert"))
    view = learner.views.of(learner.encoder.tokenize(["the soup was hot", "a small boat", "slow"]))
    ids = learner.pool.ids()
    mixed = learner.predictor.logits(view, range(3), ids)
    for row, prompt in enumerate(ids):
        (alone,) = learner.predictor.logits(view, [row], [prompt])
        torch.testing.assert_close(mixed[row], alone, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ["attempt", "coda", "l2p"])
def test_prompts_made_for_each_text_share_a_batch_with_others(tiny_folder, tiny_encoder, tmp_path, name):
    executed(
        tmp_path / "run",
        settings(tmp_path, tiny_folder("bert"), name, tuning={"name": "deep", "length": 3, "layer": 0}),
    )
    learner = opened(tmp_path / "run", tiny_encoder("bert"))
    view = learner.views.of(learner.encoder.tokenize(["the soup was hot", "a small boat", "slow", "the oven"]))
    ids = learner.pool.ids()
    prompts = [ids[1], ids[2], ids[1], ids[0]]
    mixed = learner.predictor.logits(view, range(4), prompts)
    for row, prompt in enumerate(prompts):
        (alone,) = learner.predictor.logits(view, [row], [prompt])
        torch.testing.assert_close(mixed[row], alone, rtol=0, atol=1e-4)


def test_a_chain_leaves_out_what_its_task_learned_before(tiny_folder, tiny_encoder, tmp_path):
    """As when a task is learned again behind the growth of the backbone."""
    config = settings(tmp_path, tiny_folder("bert"), "progressive")
    executed(tmp_path / "run", config)
    learner = opened(tmp_path / "run", tiny_encoder("bert"))
    kitchen = learner.learn(build_stream(from_file(config).stream, 0).task("kitchen"))
    others = [
        trained_tensors(learner.pool.get(learner.directory.prompt_of(name).id).tensors)["own/prompt"]
        for name in ("office", "harbour")
    ]
    earlier = trained_tensors(learner.pool.get(kitchen.id).tensors)["earlier/prompt"]
    torch.testing.assert_close(earlier, torch.cat(others, TOKENS), rtol=0, atol=0)


def test_a_method_on_pairs_refuses_single_texts(tiny_encoder, tmp_path):
    config = settings(tmp_path, Path("unused"), "tapd", stream={"kind": "simulated", "tasks": TASKS[:1]})
    learner = Learner(tmp_path / "pool", tiny_encoder("bert"), from_file(config).learner)
    stream = build_stream({"kind": "simulated", "tasks": TASKS[:1], "train": 8, "dev": 8, "test": 8}, 0)
    with pytest.raises(LearningError, match="'kitchen' has single texts, but method=tapd needs a second text for each"):
        learner.learn(stream.task("kitchen"))


# ---------------------------------------------------------------- new versions of old prompts


@pytest.fixture
def revising(monkeypatch):
    """Backward transfer to every domain, whatever it does: as if each had become better."""
    compare = Domain.compare

    def better(self, lesson, tensors):
        return compare(self, lesson, tensors) | {"gain": 1.0, "standard_error": 0.0, "accuracy_after": 1.0}

    monkeypatch.setattr(Domain, "compare", better)


def test_a_better_prompt_becomes_a_version_and_the_old_one_stays(tiny_folder, tiny_encoder, tmp_path, revising):
    summary = executed(tmp_path / "run", settings(tmp_path, tiny_folder("bert"), "cpt_rd"))
    pool = PromptPool(tmp_path / "run" / "pool")
    assert pool.ids() == ["kitchen-v1", "harbour-v1", "kitchen-v2", "office-v1", "harbour-v2", "kitchen-v3"]
    old, new = pool.get("kitchen-v1"), pool.get("kitchen-v2")
    assert torch.equal(old.tensors["head.weight"], new.tensors["head.weight"])
    tuning = Generated({"name": "late", "length": 4, "layer": 1})
    network = {name: value for name, value in kept_tensors(pool.get("harbour-v1")).items() if name[:8] == "network/"}
    written = tuning.prompt({**kept_tensors(old), **network})["prompt"]
    torch.testing.assert_close(new.tensors["tuning.own/prompt"], written)
    assert torch.equal(old.tensors["tuning.earlier/prompt"], new.tensors["tuning.earlier/prompt"])
    assert new.provenance[REVISED_BY] == "harbour-v1"
    assert new.provenance["evidence"]["gain"] == 1.0
    assert "dev_accuracy" in old.provenance
    assert "dev_accuracy" not in new.provenance  # nobody has asked it about dev texts
    encoder = tiny_encoder("bert")
    base, own = tuning.base, {"prompt": new.tensors["tuning.own/prompt"]}
    start = base.initial(encoder, None, torch.Generator().manual_seed(0))
    state = Prober(encoder).signature(base, own, start, new.tensors["keys"]).state
    assert torch.equal(new.tensors["signature.state"], state)
    learner = opened(tmp_path / "run", encoder)
    (item,) = learner.predict(["the soup was hot"], task="kitchen")
    assert item.prompt == "kitchen-v3"
    assert summary["finished"]


def small_learner(folder: Path, encoder, method: dict) -> Learner:
    settings = LearnerSettings(
        method=method,
        tuning={"name": "late" if method["name"] == "cpt_rd" else "deep", "layer": 1},
        training=TrainingConfig(epochs=2, min_steps=0),
    )
    return Learner(folder, encoder, settings)


def small_tasks() -> dict[str, Task]:
    return {task.name: task for task in StreamManager(SimulatedSource(train=24, dev=12, test=12))}


def test_a_domain_that_was_learned_again_is_the_newest(tiny_encoder, tmp_path, monkeypatch):
    """A revision is no learning: the network is the one that learned last."""
    seen = {}
    begin = CptRd._begin

    def watched(self, lesson, tuning, domains):
        seen[lesson.task] = [domain.prompt.id for domain in domains]
        return begin(self, lesson, tuning, domains)

    monkeypatch.setattr(CptRd, "_begin", watched)
    learner = small_learner(tmp_path / "pool", tiny_encoder("bert"), {"name": "cpt_rd", "backward": False})
    tasks = small_tasks()
    for name in ("kitchen", "office", "kitchen", "harbour"):
        learner.learn(tasks[name])
    assert seen["harbour"] == ["kitchen-v2", "office-v1"]


def test_the_loss_of_an_earlier_prompt_is_that_of_its_own_answers(tiny_encoder, tmp_path, monkeypatch):
    """With its own ground, and whatever the order of the labels."""
    learner = small_learner(tmp_path / "pool", tiny_encoder("bert"), {"name": "cpt_rd", "start": "similar"})
    tasks = small_tasks()
    learner.learn(tasks["kitchen"])
    losses = {}
    loss_on = Domain.loss_on

    def watched(self, lesson):
        losses[self.prompt.task] = loss_on(self, lesson)
        return losses[self.prompt.task]

    monkeypatch.setattr(Domain, "loss_on", watched)
    learner.learn(tasks["office"])
    dev = tasks["office"].dev
    answers = learner.predict(list(dev["text"]), task="kitchen")
    labels = tasks["kitchen"].labels
    true = [labels[number] for number in dev["label"]]
    expected = [-math.log(answer.probabilities[label]) for answer, label in zip(answers, true, strict=True)]
    assert losses["kitchen"] == pytest.approx(sum(expected) / len(expected), rel=1e-4)


@pytest.mark.parametrize(
    ("method", "changed", "message"),
    [
        ({"name": "cpt_rd"}, {"hidden": 32}, r"written by a network with method\.hidden=64 and method\.embedding=16"),
        ({"name": "cpt_rd"}, {"embedding": 8}, r"written by a network with method\.hidden=64"),
        (
            {"name": "l2p"},
            {"size": 20, "top": 15},
            r"The model of method=l2p in .* was learned as .* give the settings",
        ),
        ({"name": "l2p"}, {"length": 9}, r"The model of method=l2p in .* was learned as"),
        ({"name": "coda"}, {"length": 4}, r"The model of method=coda in .* was learned as"),
    ],
)
def test_a_pool_is_not_continued_with_other_options(tiny_encoder, tmp_path, method, changed, message):
    tasks = small_tasks()
    small_learner(tmp_path / "pool", tiny_encoder("bert"), method).learn(tasks["kitchen"])
    other = small_learner(tmp_path / "pool", tiny_encoder("bert"), method | changed)
    with pytest.raises(LearningError, match=message):
        other.learn(tasks["office"])


def test_versions_that_a_crash_left_out_are_stored_later(tiny_folder, tmp_path, revising, monkeypatch):
    config = settings(tmp_path, tiny_folder("bert"), "cpt_rd")
    whole = executed(tmp_path / "whole", config)
    settle = Storing.settle

    def crash(self, record):
        if record.task == "office":
            raise KeyboardInterrupt
        settle(self, record)

    monkeypatch.setattr(Storing, "settle", crash)
    run = Run.create(tmp_path / "cut", from_file(config))
    with pytest.raises(KeyboardInterrupt):
        run.execute(Progress())
    assert PromptPool(tmp_path / "cut" / "pool").ids()[-1] == "office-v1"
    monkeypatch.setattr(Storing, "settle", settle)
    Run(tmp_path / "cut").execute(Progress())
    assert PromptPool(tmp_path / "cut" / "pool").ids() == PromptPool(tmp_path / "whole" / "pool").ids()
    again = json.loads((tmp_path / "cut" / "summary.json").read_text())
    assert scores(again) == scores(whole)


def test_nothing_is_revised_that_is_not_measurably_better(tiny_folder, tmp_path):
    executed(tmp_path / "run", settings(tmp_path, tiny_folder("bert"), "cpt_rd"))
    pool = PromptPool(tmp_path / "run" / "pool")
    for record in pool.records():
        for item in record.provenance.get(REVISES, ()):
            evidence = item["evidence"]
            assert evidence["loss_after"] < evidence["loss_before"] - 2 * evidence["standard_error"]
            assert evidence["accuracy_after"] >= evidence["accuracy_before"]


@pytest.mark.parametrize("start", ["random", "previous", "mean", "similar", "hypernetwork"])
def test_every_start_of_a_domain_is_what_it_says(tiny_folder, tmp_path, start, monkeypatch):
    starts = {}
    begin = CptRd._begin

    def watched(self, lesson, tuning, domains):
        tensors = begin(self, lesson, tuning, domains)
        starts[lesson.task] = (tuning.prompt(tensors)["prompt"], domains, lesson.fresh(own=True), tensors)
        return tensors

    monkeypatch.setattr(CptRd, "_begin", watched)
    method = {"name": "cpt_rd", "start": start, "backward": False}
    executed(tmp_path / "run", settings(tmp_path, tiny_folder("bert"), "cpt_rd", method=method))
    found, domains, fresh, tensors = starts["office"]
    owns = {domain.prompt.task: domain.own["prompt"] for domain in domains}
    assert list(owns) == ["harbour", "kitchen"]  # newest first
    if start == "random":
        torch.testing.assert_close(found, fresh["prompt"])
    if start == "previous":
        torch.testing.assert_close(found, owns["harbour"])
    if start == "mean":
        torch.testing.assert_close(found, (owns["harbour"] + owns["kitchen"]) / 2)
    if start == "similar":
        assert any(torch.allclose(found, own, atol=1e-6) for own in owns.values())
    if start == "hypernetwork":
        old = [kept_tensors(domain.prompt)["start/prompt"] for domain in domains]
        torch.testing.assert_close(tensors["start/prompt"], sum(old) / 2)
