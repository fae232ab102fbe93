"""One check that every method must pass, and what each promises beyond it."""

import math
from dataclasses import dataclass, replace

import pytest
import torch
from small_tasks import READOUT, examples
from torch.nn import functional as F

from continual.backbone.frozen import FrozenCache, freeze
from continual.construction import construct
from continual.distillation.logits import soft_divergence
from continual.errors import ConfigError, Interrupted
from continual.methods import METHODS
from continual.methods.base import Learned, Lesson, Method, Source
from continual.training import loop
from continual.training.checkpoint import FolderCheckpoints, NoCheckpoints
from continual.training.config import TrainingConfig
from continual.training.examples import Examples
from continual.training.ground import lay_ground
from continual.training.watch import Silent
from continual.transfer.ranking import Ranked
from continual.transfer.signature import Prober
from continual.tuning import build_tuning

TRAINING = TrainingConfig(epochs=3, min_steps=0, batch_size=8, patience=0, learning_rate=0.01, average=0.9)
each_method = pytest.mark.parametrize("name", METHODS.names())


@dataclass
class School:
    """Makes lessons on one tiny encoder."""

    encoder: object
    tuning: object

    def __post_init__(self):
        self.prober = Prober(self.encoder)
        self.grounds = {}

    def ground(self, labels: int, pairs: bool):
        if (labels, pairs) not in self.grounds:
            second = "weather" if pairs else None
            train, dev = (examples(self.encoder, self.tuning, labels, 24, seed, second=second) for seed in (0, 5))
            self.grounds[labels, pairs] = lay_ground(train, dev, labels, 0, FrozenCache(self.encoder))
        return self.grounds[labels, pairs]

    def source(self, number: int) -> Source:
        """A stored prompt of another task; nothing of it depends on how many labels that task had."""
        initial, tensors = (
            self.tuning.initial(self.encoder, None, torch.Generator().manual_seed(seed)) for seed in (99, 100 + number)
        )
        keys = F.normalize(torch.randn(4, self.encoder.width, generator=torch.Generator().manual_seed(number)), dim=1)
        signature = self.prober.signature(self.tuning, tensors, initial, keys)
        return Source(f"other-v{number}", tensors, signature, train_examples=1000)

    def lesson(
        self,
        sources: int | list[Source] = 2,
        labels: int = 2,
        seed: int = 0,
        metric: str = "panda",
        name: str = "scratch",
        **changes,
    ) -> Lesson:
        ground = self.ground(labels, METHODS.load(name).pairs)
        train, dev = ground.train, ground.dev
        given = {
            "task": "weather",
            "labels": tuple(f"label {number}" for number in range(labels)),
            "train": train,
            "dev": dev,
            "encoder": self.encoder,
            "tuning": self.tuning,
            "training": TRAINING,
            "metric": metric,
            "sources": sources if isinstance(sources, list) else [self.source(number) for number in range(sources)],
            "keys": F.normalize(train.view.embedding[:4], dim=1),
            "prober": self.prober,
            "seed": seed,
            "checkpoints": NoCheckpoints(),
            "watcher": Silent(),
        }
        if name == "olora":  # the one method that is of one tuning only
            given["tuning"] = build_tuning({"name": "lora", "layer": self.tuning.entry(self.encoder)})
        return Lesson(**given | changes)


@pytest.fixture(scope="module")
def school(tiny_encoder) -> School:
    return School(tiny_encoder("bert"), build_tuning({"name": "late", "length": 3, "layer": 1}))


@pytest.fixture(
    scope="module",
    params=[{"name": "input", "length": 3}, {"name": "late", "length": 3, "layer": 2}, {"name": "deep", "length": 3}],
    ids=lambda spec: spec["name"],
)
def any_school(request, tiny_encoder) -> School:
    return School(tiny_encoder("roberta"), build_tuning(request.param))


def method(name: str, **options) -> Method:
    return construct(METHODS, name, options, section="method")


def tensors(learned: Learned) -> dict[str, torch.Tensor]:
    return learned.model.trained()


def same_tensors(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


def same(first: Learned, second: Learned) -> bool:
    return same_tensors(tensors(first), tensors(second))


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


@pytest.mark.parametrize("entry", METHODS, ids=lambda entry: entry.name)
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


# ---------------------------------------------------------------- what each promises


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


def rate(school: School, monkeypatch, scores: list[float | None]) -> None:
    """Gives the sources these scores instead of measured ones, so that stages can be foretold."""
    ranked = [Ranked(f"other-v{number}", score, {"panda": score}) for number, score in enumerate(scores)]
    monkeypatch.setattr(Lesson, "rank", lambda lesson, model: ranked)


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
    objective = method("panda", **options)._objective([teacher], [Ranked("a", 0.5, {})], training)
    # Against teacher rows 2 and 0: squared differences 0, 4, 0, 4.
    expected = F.cross_entropy(logits, labels) + strength * (0 + 4 + 0 + 4) / 4
    assert float(objective(logits, labels, rows, progress)) == pytest.approx(float(expected))


def test_pandas_teachers_are_weighted_by_their_scores():
    logits, labels, rows = torch.zeros(1, 2), torch.tensor([0]), torch.tensor([0])
    teachers = [torch.tensor([[1.0, 1.0]]), torch.tensor([[2.0, 2.0]]), torch.tensor([[3.0, 3.0]])]
    ranked = [Ranked("a", 0.8, {}), Ranked("b", 0.2, {}), Ranked("c", -0.7, {})]
    found = method("panda", decay="none")._objective(teachers, ranked, TrainingConfig())(logits, labels, rows, 0.0)
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


# ---------------------------------------------------------------- methods that mix, chain or share


@pytest.mark.parametrize(
    ("options", "sizes", "stages"),
    [
        ({"low_resource": 25}, [1000, 1000], ["probe", "teacher", "student"]),
        ({"low_resource": 24}, [1000, 1000], ["student"]),  # 24 texts are not fewer than 24
        ({"low_resource": 25}, [23, 10], ["student"]),  # no source is larger
        ({"low_resource": 25, "larger": 0.5}, [13, 10], ["probe", "teacher", "student"]),
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
    objective = method("vega", weight=2.0, decay="none")._objective(teacher, Ranked("a", 0.5, {}), 0.0)
    expected = F.cross_entropy(logits, labels) + 2.0 * 0.5 * (1 + 4) / 2
    assert float(objective(logits, labels, rows, 1.0)) == pytest.approx(float(expected))


def test_attempt_mixes_its_sources_and_leaves_them_as_they_are(school):
    lesson = school.lesson(3)
    learned = method("attempt", sources=2).learn(lesson)
    assert {item.prompt for item in learned.used} == {"other-v0", "other-v1"}
    stored = learned.model.tensors["sources/prompt"]
    assert torch.equal(stored, torch.stack([source.tensors["prompt"] for source in lesson.sources[:2]]))
    assert "sources/prompt" not in learned.model.trained()


def test_attempts_own_prompt_starts_from_the_first_source(school, monkeypatch):
    starts = {}
    fit = Lesson.fit

    def watched(lesson, stage, tensors, objective=None, **more):
        starts[stage] = tensors
        return fit(lesson, stage, tensors, objective, **more)

    monkeypatch.setattr(Lesson, "fit", watched)
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


@pytest.mark.parametrize(("name", "options"), [("cpt_rd", {}), ("progressive", {"reparametrise": 6})])
def test_networks_that_write_a_prompt_are_counted(school, name, options):
    """They are folded away afterwards, so the prompt that is stored is smaller than what was trained."""
    learned = method(name, **options).learn(school.lesson(0))
    assert learned.trained > learned.model.size


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("attempt", {"sources": 0}, r"method\.sources is 0, expected at least 1"),
        ("attempt", {"start": "best"}, r"method\.start is 'best', expected source or fresh"),
        ("attempt", {"temperature": 0.0}, r"expected at least 1, above 0"),
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
