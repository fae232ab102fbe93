"""What single baselines and their parts promise: limits that must agree, and values worked by hand."""

import itertools

import numpy as np
import pytest
import torch
from baseline_samples import RATE, Cues, learn, opened, stream
from small_tasks import sentences
from torch.nn import functional as F

from continual.backbone.states import ComputedStates
from continual.baselines import BASELINES, osf
from continual.baselines._avalanche import quiet
from continual.baselines.export import Units, experiences_of, split_dataset
from continual.baselines.memories import Memory, Past
from continual.baselines.model import Classifier, GrowingHead
from continual.baselines.randomness import drawn_from
from continual.baselines.scoring import FOREIGN, answers
from continual.baselines.states import States
from continual.baselines.training import FineTuning, LengthBatches
from continual.construction import construct
from continual.errors import BackboneError, ConfigError, LearningError, RunError
from continual.evaluation.matrix import ScoreMatrix
from continual.evaluation.stream_metrics import intransigence
from continual.participant import check_length, check_settings, method_registry, open_participant
from continual.settings import LearnerSettings
from continual.training.checkpoint import NoCheckpoints
from continual.training.config import TrainingConfig
from continual.training.watch import Silent
from streams import StreamManager

# isort: split

from avalanche.training.utils import ParamData


@pytest.fixture(scope="module")
def encoder(tiny_encoder):
    return tiny_encoder("bert")


@pytest.fixture(scope="module")
def way(encoder, tmp_path_factory):
    """The weights after each of two tasks, and the scores, of a baseline with options."""
    kept = {}

    def of(name: str, **options):
        key = (name, *sorted(options.items()))
        if key not in kept:
            folder = tmp_path_factory.mktemp(name)
            tasks = stream("town", "coast")
            participant = opened(name, folder, encoder, tasks, **options)
            weights, found = [], []
            for position in range(2):
                found += _one(participant, tasks, position, folder)
                weights.append(States(folder).load(position + 1)[0] if States(folder).has(position + 1) else {})
            kept[key] = ([_model_part(tensors) for tensors in weights], found)
        return kept[key]

    return of


def _one(participant, tasks, position, folder):
    from baseline_samples import step

    task = tasks.task(tasks.names[position])
    record = step(participant, task, position, folder)
    return [(record, [participant.scores(tasks.task(name), position + 1) for name in tasks.names[: position + 1]])]


def _model_part(tensors):
    return {name: value for name, value in tensors.items() if name.startswith("model/")}


def same(first: dict, second: dict) -> bool:
    return first.keys() == second.keys() and all(torch.equal(value, second[name]) for name, value in first.items())


def distance(first: dict, second: dict) -> float:
    return sum(float((first[name] - second[name]).square().sum()) for name in first) ** 0.5


# ---------------------------------------------------------------- limits that must agree


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ewc", {"ewc_lambda": 0.0}),
        ("ewc", {"ewc_lambda": 0.0, "mode": "online"}),
        ("lwf", {"alpha": 0.0}),
        ("replay", {"memory_per_task": 0}),
    ],
    ids=str,
)
def test_without_its_remedy_a_method_is_naive(way, name, options):
    assert same(way(name, **options)[0][1], way("naive")[0][1])


@pytest.mark.parametrize(
    ("name", "options"),
    [("ewc", {}), ("ewc", {"mode": "online"}), ("lwf", {}), ("replay", {}), ("agem", {}), ("cumulative", {})],
    ids=str,
)
def test_at_the_first_task_a_method_is_naive_and_at_the_second_it_is_not(way, name, options):
    naive, found = way("naive")[0], way(name, **options)[0]
    assert same(found[0], naive[0])
    assert not same(found[1], naive[1])


def test_with_one_earlier_task_both_modes_of_ewc_are_one(way):
    assert same(way("ewc", mode="online")[0][1], way("ewc")[0][1])


def test_the_classifier_may_have_a_rate_of_its_own(way, encoder, tmp_path):
    """Its outputs that come with the second task have it too; a rate of 1e-30 moves nothing."""
    tasks = stream("town", "topics")
    rates = {"learning_rate": 1e-30, "head_learning_rate": 0.05}
    participant = opened("naive", tmp_path, encoder, tasks, **rates)
    states = []
    for position in range(2):
        _one(participant, tasks, position, tmp_path)
        states.append(_model_part(States(tmp_path).load(position + 1)[0]))
    first, second = states
    assert all(torch.equal(value, second[name]) for name, value in first.items() if not name.startswith("model/head."))
    assert first["model/head.bias"].abs().min() > 0
    assert not torch.equal(second["model/head.bias"][:2], first["model/head.bias"])
    assert second["model/head.bias"][2:].abs().min() > 0
    assert same(way("naive", head_learning_rate=RATE)[0][1], way("naive")[0][1])


def test_joint_cumulative_and_naive_are_one_on_one_task(encoder, tmp_path):
    found = {}
    for name in ("joint", "cumulative", "naive"):
        folder = tmp_path / name
        learn(opened(name, folder, encoder, stream("town")), stream("town"), folder)
        found[name] = States(folder).load(1)[0]
    assert same(found["joint"], found["naive"])
    assert same(found["cumulative"], found["naive"])


def test_ewc_holds_the_weights_the_more_the_larger_its_lambda(way):
    moved = [distance(*way("ewc", ewc_lambda=value)[0]) if value else distance(*way("naive")[0]) for value in (0, 1e6)]
    held = {name: value for name, value in way("ewc", ewc_lambda=1e6)[0][1].items()}
    assert held
    assert moved[1] < 0.8 * moved[0]


def test_a_model_for_each_task_never_forgets(way):
    (_, (first,)), (_, (again, second)) = way("per_task")[1]
    assert again.aware == first.aware
    assert second.routed.own > 0.5


def test_cumulative_and_joint_count_the_texts_of_all_tasks(encoder, tmp_path):
    for name in ("cumulative", "joint"):
        found = learn(opened(name, tmp_path / name, encoder), stream(), tmp_path / name)
        record = found[-1][0]
        assert (record.train_examples, record.dev_examples) == (90, 36)
        assert record.examples_seen == 90 * (len(record.stages[0]["curve"]) - 1)
    assert [record.train_examples for record, _, _ in found] == [30, 30, 90]
    assert [record.stages for record, _, _ in found[:2]] == [[], []]


def test_the_last_row_of_joint_is_what_intransigence_asks_for():
    joint, ours = ScoreMatrix(["a", "b"]), ScoreMatrix(["a", "b"])
    joint.set_row(2, [0.9, 0.8])
    ours.set_row(1, [0.7, None])
    ours.set_row(2, [0.6, 0.5])
    assert joint.learned == 2
    assert intransigence(ours, joint.values[-1]) == pytest.approx(((0.9 - 0.7) + (0.8 - 0.5)) / 2)


# ---------------------------------------------------------------- memories come back from disk as they were


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ewc", {"ewc_lambda": 1e4}),
        ("ewc", {"ewc_lambda": 1e4, "mode": "online", "decay": 0.5}),
        ("lwf", {}),
        ("replay", {"memory_per_task": 8}),
        ("agem", {"memory_per_task": 8, "sample": 4}),
    ],
    ids=str,
)
def test_a_plugin_from_disk_does_what_one_that_lived_on_does(encoder, tmp_path, name, options):
    """Avalanche's own way, one plugin over three tasks, against ours, a new one from the files at each task."""
    tasks = stream()
    participant = opened(name, tmp_path, encoder, tasks, epochs=2, **options)
    learn(participant, tasks, tmp_path)
    memory = construct(BASELINES, name, options, "method").memory(3)
    units, model, plugins = Units(tasks), Classifier(encoder, 0.0, 0), None
    for position, task in enumerate(tasks.names):
        plugins = plugins or memory.plugins(Past(0, {}, dict, lambda: model, lambda place: None))
        if name == "lwf" and position:
            plugins[0].lwf.prev_model.eval()  # Avalanche leaves its teacher's dropout on
        assignment = participant._assignment(tasks.task(task), position, NoCheckpoints(), Silent())
        dataset = split_dataset(tasks.task(task), "train", encoder, units.known(position + 1))
        with quiet():
            strategy = FineTuning(model=model, assignment=assignment, plugins=plugins, earlier=position)
            strategy.train(experiences_of([dataset]), eval_streams=[])
    stored = _model_part(States(tmp_path).load(3)[0])
    assert same(stored, {f"model/{key}": value for key, value in model.weights().items()})


def test_importances_grow_with_the_head():
    """Avalanche grows them by an indexing that torch warns of; this says when torch stops to take it as it is meant."""
    with quiet():
        found = ParamData("head.weight", init_tensor=torch.ones(2, 3)).expand(torch.Size([4, 3]))
    assert found.tolist() == [[1, 1, 1], [1, 1, 1], [0, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize(("name", "per_task"), [("replay", 8), ("agem", 8), ("replay", 50)])
def test_memories_hold_different_texts_of_each_task(encoder, tmp_path, name, per_task):
    tasks = stream()
    learn(opened(name, tmp_path, encoder, tasks, epochs=1, memory_per_task=per_task), tasks, tmp_path)
    rows = States(tmp_path).load(3)[1]["memory"]["rows"]
    assert [len(part) for part in rows] == [min(per_task, 30)] * 3
    for part in rows:
        assert len(set(part)) == len(part)
        assert set(part) <= set(range(30))


def test_the_importance_of_a_weight_by_hand(encoder, tmp_path):
    """Mean over batches of the squared gradient of the batch's mean loss, at the weights that were kept."""
    tasks = StreamManager(Cues(("town", "coast")))
    participant = opened("ewc", tmp_path, encoder, tasks, epochs=1)
    learn(participant, tasks, tmp_path, stop=1)
    tensors = States(tmp_path).load(1)[0]
    model = Classifier(encoder, 0.0, 0)
    model.load({name.removeprefix("model/"): value for name, value in _model_part(tensors).items()})
    model.eval()
    dataset = split_dataset(tasks.task("town"), "train", encoder, {"bad": 0, "good": 1})
    squares = torch.zeros(2, encoder.width)
    for start in range(0, 30, 6):
        tokens, targets, _ = dataset.collate_fn([dataset[row] for row in range(start, start + 6)])
        (gradient,) = torch.autograd.grad(F.cross_entropy(model(tokens), targets), model.head.weight)
        squares += gradient.square() / 5
    assert torch.allclose(tensors["importance/head.weight"], squares, rtol=1e-4, atol=1e-9)


# ---------------------------------------------------------------- answers and outputs


LOGITS = torch.tensor([[1.0, 2.0, 9.0], [5.0, 4.0, 3.0], [0.0, 1.0, -1.0]])
UNITS = {"good": 0, "bad": 1, "sport": 2, "later": 3}


@pytest.mark.parametrize(
    ("allowed", "labels", "expected"),
    [
        (("bad", "good"), ("bad", "good"), [0, 1, 0]),  # told: the third output does not count
        (("good", "bad", "sport"), ("bad", "good"), [FOREIGN, 1, 0]),  # not told: it does, and is foreign
        (("good", "bad", "sport"), ("sport",), [0, FOREIGN, FOREIGN]),
        (("bad", "later"), ("bad", "later"), [0, 0, 0]),  # an output that is not there yet is never chosen
    ],
)
def test_answers_by_hand(allowed, labels, expected):
    assert answers(LOGITS, UNITS, allowed, labels).tolist() == expected


def test_the_same_label_name_is_the_same_output():
    units = Units(stream())
    assert units.known(0) == {}
    assert units.known(3) == {"bad": 0, "good": 1, "sport": 2, "money": 3, "science": 4}
    assert units.known(1) == units.known(2) == {"bad": 0, "good": 1}


@pytest.mark.parametrize(("name", "steps"), [("naive", [10, 10]), ("cumulative", [10, 20]), ("joint", [0, 20])])
def test_several_tasks_at_once_get_the_steps_of_all(encoder, tmp_path, name, steps):
    """By `min_steps`, where the texts alone would ask for fewer: 5 batches a task here."""
    tasks = stream("town", "coast")
    found = learn(opened(name, tmp_path, encoder, tasks, epochs=1, min_steps=10), tasks, tmp_path)
    assert [sum(stage["steps"] for stage in record.stages) for record, _, _ in found] == steps


def test_a_head_grows_without_changing_what_it_has():
    at_once, in_steps = GrowingHead(5, seed=3), GrowingHead(5, seed=3)
    at_once.grow(4)
    in_steps.grow(1)
    with torch.no_grad():
        in_steps.bias += 1
    in_steps.grow(4)
    in_steps.grow(2)
    assert in_steps.weight.shape == (4, 5)
    assert torch.equal(in_steps.weight, at_once.weight)
    assert in_steps.bias.tolist() == [1, 0, 0, 0]
    assert not torch.equal(GrowingHead(5, seed=4)._fresh(0), at_once.weight[0])
    assert at_once.weight.requires_grad


@pytest.mark.parametrize("family", ["bert", "roberta", "mpnet", "distilbert", "electra", "albert", "modernbert"])
def test_an_untrained_model_sees_what_the_frozen_encoder_sees(tiny_encoder, family):
    encoder = tiny_encoder(family)
    model = Classifier(encoder, dropout=0.5)
    model.head.grow(3)
    texts = encoder.tokenize(sentences(2, 12, seed=1)[0])
    hidden, mask = ComputedStates(encoder, texts, encoder.depth).batch(torch.arange(12))
    expected = model.head(encoder.pool(hidden, mask))
    assert torch.allclose(model.logits(texts), expected, atol=1e-4)
    assert model.training


def test_batches_hold_every_text_once_and_like_lengths_together():
    lengths = [5, 30, 6, 31, 7, 32, 8, 33]
    batches = LengthBatches(lengths, 2)
    with drawn_from(0):
        first, second = list(batches), list(batches)
    assert len(batches) == len(first) == 4
    assert sorted(itertools.chain.from_iterable(first)) == list(range(8))
    assert first != second
    assert all(abs(lengths[one] - lengths[other]) == 1 for one, other in first)


def test_named_randomness_is_the_same_everywhere_and_leaves_no_trace():
    import random

    def draw():
        return torch.rand(3).tolist(), random.random(), np.random.rand()

    with drawn_from(7):
        expected = draw()
    torch.manual_seed(1)
    before = draw()
    torch.manual_seed(1)
    state = torch.get_rng_state()
    with drawn_from(7):
        assert draw() == expected
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.rand(3).tolist() == before[0]


# ---------------------------------------------------------------- orthogonal subspaces


def test_osf_keeps_the_function_at_first_and_the_largest_directions_always(encoder):
    texts = encoder.tokenize(sentences(2, 16, seed=1)[0])
    model = Classifier(encoder, dropout=0.0)
    model.head.grow(2)
    before, original = model.logits(texts), {key: value.clone() for key, value in model.weights().items()}
    osf.divide(model, 0.75)
    assert torch.allclose(model.logits(texts), before, atol=1e-4)
    trained = model.trained()
    assert all("osf_svd_params" in name or name.startswith("head.") for name in trained)
    optimiser = torch.optim.SGD(trained.values(), lr=0.1)
    tokens = split_dataset(stream().task("town"), "train", encoder, {"bad": 0, "good": 1})
    for _ in range(5):
        batch = tokens.collate_fn([tokens[row] for row in range(12)])
        optimiser.zero_grad()
        F.cross_entropy(model(batch[0]), batch[1]).backward()
        optimiser.step()
    after = model.logits(texts)
    osf.unite(model)
    assert torch.allclose(model.logits(texts), after, atol=1e-4)
    found = model.weights()
    assert found.keys() == original.keys()
    name = "body.encoder.layer.1.attention.self.query.weight"
    left, _, right = torch.linalg.svd(original[name])
    kept = [left[:, :24].T @ weights[name] @ right[:24].T for weights in (original, found)]
    assert torch.allclose(*kept, atol=1e-4)
    assert not torch.allclose(original[name], found[name], atol=1e-4)
    frozen = [key for key in found if key.startswith("body.") and ("embeddings" in key or key.endswith("bias"))]
    assert all(torch.equal(found[key], original[key]) for key in frozen)


def test_what_osf_preserves_rises_from_the_first_task_to_the_last():
    baseline = construct(BASELINES, "osf", {"preserved": 0.5, "preserved_last": 0.9}, "method")
    assert [baseline.preserved(place, 5) for place in range(5)] == pytest.approx([0.5, 0.6, 0.7, 0.8, 0.9])
    assert baseline.preserved(0, 1) == 0.5
    assert construct(BASELINES, "naive", {}, "method").preserved(0, 5) is None


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("naive", {"learning_rate": 0.0}, r"method\.learning_rate is 0\.0, expected a number above 0"),
        ("per_task", {"learning_rate": -1.0}, r"method\.learning_rate is -1\.0, expected a number above 0"),
        ("lwf", {"head_learning_rate": 0.0}, r"method\.head_learning_rate is 0\.0, expected a number above 0"),
        ("naive", {"learnin_rate": 1.0}, r"no option method\.learnin_rate \(did you mean 'learning_rate'\?\)"),
        ("ewc", {"ewc_lambda": -1.0}, r"method\.ewc_lambda is -1\.0, expected 0 or more"),
        ("ewc", {"mode": "onlin"}, r"method\.mode is 'onlin', expected one of separate, online"),
        ("ewc", {"decay": -0.5}, r"method\.decay is -0\.5, expected 0 or more"),
        ("lwf", {"temperature": 0.0}, r"method\.temperature is 0\.0, expected a number above 0"),
        ("lwf", {"alpha": -1.0}, r"method\.alpha is -1\.0, expected 0 or more"),
        ("replay", {"memory_per_task": -1}, r"method\.memory_per_task is -1, expected 0 or more"),
        ("agem", {"memory_per_task": 0}, r"method\.memory_per_task is 0, expected 1 or more"),
        ("agem", {"sample": 1}, r"method\.sample is 1, expected at least 2: a text for each earlier task"),
        ("osf", {"preserved": 1.0}, r"method\.preserved is 1\.0, expected a number above 0 and below 1"),
        ("osf", {"preserved_last": 0.0}, r"method\.preserved_last is 0\.0, expected"),
        ("linear_probe", {"epochs": 3}, r"no option method\.epochs; its options are: none"),
    ],
)
def test_bad_options_are_refused(encoder, tmp_path, name, options, message):
    from continual.baselines.base import Bench

    with pytest.raises(ConfigError, match=message):
        construct(BASELINES, name, options, "method").open(Bench(tmp_path, encoder, LearnerSettings(), stream()))


def test_a_stream_with_more_tasks_than_agem_looks_at_is_refused_before_it_is_opened():
    settings = LearnerSettings(method={"name": "agem", "sample": 2})
    check_length(settings, 3)
    with pytest.raises(ConfigError, match=r"method\.sample is 2, expected at least 3: a text for each earlier task"):
        check_length(settings, 4)


def test_a_rounded_backbone_is_refused(minilm):
    with pytest.raises(BackboneError, match="int8, which cannot be trained"):
        check_settings(LearnerSettings(method={"name": "naive"}), minilm.quantized())


def test_noise_is_refused_where_no_layer_would_get_it(encoder, tiny_encoder, tmp_path):
    def noisy(name: str) -> LearnerSettings:
        return LearnerSettings(method={"name": name}, training=TrainingConfig(hype="normal"))

    with pytest.raises(ConfigError, match=r"trains no layer, so training\.hype=normal would do nothing"):
        check_settings(noisy("linear_probe"), encoder)
    with pytest.raises(ConfigError, match="leave it out"):
        open_participant(tmp_path, "id", encoder, noisy("linear_probe"), stream())
    with pytest.raises(BackboneError, match=r"'albert' is run as a whole.*set training\.hype=none"):
        check_settings(noisy("naive"), tiny_encoder("albert"))
    check_settings(noisy("naive"), encoder)


def test_several_processes_are_refused(encoder, tmp_path, monkeypatch):
    from continual import team

    pair = team.Team()
    pair.size = 2
    monkeypatch.setattr(team, "_team", pair)
    with pytest.raises(RunError, match="'naive' is a baseline, which learns in one process"):
        open_participant(tmp_path, "id", encoder, LearnerSettings(method={"name": "naive"}), stream())


def test_an_unknown_method_is_refused_with_the_closest_of_both_kinds():
    assert method_registry("naive") is BASELINES
    with pytest.raises(ConfigError, match=r"no method named 'naiv' \(did you mean 'naive'\?\); known: scratch, .*ewc"):
        method_registry("naiv")


def test_another_kind_of_task_is_refused(encoder):
    task = stream().task("town")
    object.__setattr__(task, "kind", "translation")
    with pytest.raises(LearningError, match="'town' is of kind 'translation', and baselines learn classification"):
        split_dataset(task, "train", encoder, {})


def test_nothing_is_kept_where_nothing_is_needed():
    assert Memory().plugins(Past(0, {}, dict, lambda: None, lambda place: None)) == []
    assert Memory().kept([], Past(0, {}, dict, lambda: None, lambda place: None)) == ({}, {})
