"""In-context distillation: contexts as they are written, label scores, what is drawn, and both paradigms."""

import random

import pytest
import torch
from distilled_samples import made, settings, student
from tiny_generators import CAUSAL

from continual.backbone.likelihood import IGNORED
from continual.distillation.in_context import label_loss, token_distillation
from continual.errors import BackboneError, ConfigError
from continual.students.in_context.answering import Trial, accuracy, label_scores, token_logits, votes
from continual.students.in_context.contexts import ContextConfig, Writer, Written
from continual.students.in_context.objective import InContextObjective
from continual.students.in_context.recipe import InContextConfig
from continual.students.smaller import ShapeConfig, copied, smaller
from streams import SimulatedSource, StreamManager

SMALL = ContextConfig(demonstrations=2, shots=3, text_tokens=4, separator=".")


@pytest.fixture(scope="module")
def task():
    return StreamManager(SimulatedSource(train=24, dev=12, test=12)).task("kitchen")


def tokens(model, text):
    return model.tokenizer(text, add_special_tokens=False)["input_ids"]


# ---------------------------------------------------------------- contexts


@pytest.mark.parametrize("family", CAUSAL)
def test_a_context_is_written_as_documented(tiny_generator, task, family):
    model = tiny_generator(family)
    writer = Writer(model, SMALL)
    given = writer.written(task, task.train)
    rows = [3, 1]
    context = writer.context(given.queries[0], given, rows)
    between, separator = tokens(model, model.between), tokens(model, ".")
    expected = []
    for row in rows:
        example = task.train[row]
        expected += tokens(model, example["text"])[:4] + between
        expected += tokens(model, task.labels[example["label"]]) + separator
    expected += tokens(model, task.train[0]["text"])[:4] + between
    assert context == expected
    assert len(context) + max(map(len, given.words)) <= writer.longest(max(map(len, given.words)))


def test_a_query_is_never_its_own_demonstration_and_draws_are_repeatable(tiny_generator, task):
    writer = Writer(tiny_generator("gpt2"), SMALL)
    given = writer.written(task, task.train)
    rng = random.Random(0)
    for _ in range(50):
        rows = writer.draw(given, rng, query=5)
        assert len(set(rows)) == 2
        assert 5 not in rows
    assert writer.draw(given, random.Random(1)) == writer.draw(given, random.Random(1))
    two = given.take([0, 1])
    assert writer.draw(two, rng, query=0) == [1], "fewer where there are fewer"


def test_shots_are_as_many_of_each_label(tiny_generator, task):
    given = Writer(tiny_generator("gpt2"), SMALL).written(task, task.train)
    few = given.shots(3, random.Random(0))
    assert sorted(few.labels) == [0, 0, 0, 1, 1, 1]
    assert all(query in given.queries for query in few.queries)


def test_contexts_that_do_not_fit_are_refused(tiny_generator, task):
    with pytest.raises(ConfigError, match=r"66 positions; lower context\.demonstrations"):
        Writer(tiny_generator("gpt2"), ContextConfig()).written(task, task.train)


# ---------------------------------------------------------------- answers


@pytest.mark.parametrize("family", CAUSAL)
def test_label_scores_are_those_of_the_backbone(tiny_generator, family):
    """The backbone adds an end token to its labels; here the words are given as they are."""
    model = tiny_generator(family)
    texts = ["the soup was cold", "noon"]
    words = ["waiter", "was rude"]
    sources = model.tokenize(texts)
    contexts = [sources.ids.batch(torch.tensor([row]))[0][0].tolist() for row in range(2)]
    labels = model.tokenize_targets(words)
    ids, mask, _ = sources.batch(torch.arange(2), model.pad_token)
    with torch.no_grad():
        expected = model.label_log_probs(ids, mask, labels)
        scores = label_scores(model, contexts, [[*tokens(model, word), model.tokenizer.eos_token_id] for word in words])
    assert torch.allclose(scores, expected, atol=1e-4)


def test_one_pass_tells_labels_of_one_token(tiny_generator):
    model = tiny_generator("gpt2")
    contexts = [tokens(model, "the soup was cold"), tokens(model, "noon")]
    single = [[7], [9]]
    with torch.no_grad():
        short = label_scores(model, contexts, single)
        each = [label_scores(model, [[*context, *word]], [[3]]) for context in contexts for word in single]
        long = torch.stack([label_scores(model, contexts, [word, word])[:, 0] for word in single], dim=1)
    assert len(each) == 4
    assert torch.allclose(short, long, atol=1e-5)


def test_plain_text_is_scored_token_by_token(tiny_generator):
    model = tiny_generator("gpt2")
    texts = [[5, 6, 7, 8], [9, 10]]
    with torch.no_grad():
        logits, targets = token_logits(model, texts)
        own = model.model(torch.tensor([texts[0]])).logits
    assert targets.tolist() == [[6, 7, 8], [10, IGNORED, IGNORED]]
    assert torch.allclose(logits[0], own[0, :3], atol=1e-4)


def test_votes_and_accuracy(tiny_generator, task):
    model = tiny_generator("gpt2")
    writer = Writer(model, SMALL)
    given = writer.written(task, task.train)
    trial = Trial(writer.written(task, task.test).take(range(4)), given)
    found = votes(model, writer, trial, 3, seed=0)
    assert found.shape == (3, 4)
    assert torch.equal(found, votes(model, writer, trial, 3, seed=0))
    answered = found.mode(0).values
    right = (answered == torch.tensor(trial.queries.labels)).float().mean().item()
    assert accuracy(model, writer, trial, 3, seed=0) == pytest.approx(right), "two labels and three votes: no ties"


# ---------------------------------------------------------------- the objective


def objective_of(student_, teacher, writer, examples, **changes):
    return InContextObjective(student_, teacher, writer, examples, [], InContextConfig(**changes), 10, seed=0)


def test_the_student_reads_what_the_teacher_reads(tiny_generator, task):
    teacher = tiny_generator("gpt2")
    own = smaller(teacher, ShapeConfig(layers=1), 0)
    writer = Writer(teacher, ContextConfig(demonstrations=1, text_tokens=4, separator="."))
    examples = [writer.written(task, task.train).take([0, 1])]  # one query's only possible demonstration is the other
    objective = objective_of(own, teacher, writer, examples, soft=0.3, language=0.5, course="falling")
    loss, parts = objective.loss(5, torch.tensor([0, 1]))
    given = examples[0]
    contexts = [writer.context(given.queries[row], given, [1 - row]) for row in range(2)]
    with torch.no_grad():
        scores = [label_scores(model, contexts, given.words) for model in (own, teacher)]
        plain = [token_logits(model, given.queries) for model in (own, teacher)]
    labels = label_loss(*scores, torch.tensor(given.labels), objective.mixture)
    language = token_distillation(plain[0][0], plain[1][0], plain[0][1], objective.mixture)
    assert parts["labels"].item() == pytest.approx(labels.item(), rel=1e-4)
    assert parts["language"].item() == pytest.approx(language.item(), rel=1e-4)
    assert loss.item() == pytest.approx((labels + 0.5 * 0.5 * language).item(), rel=1e-4), (
        "half of the training is over"
    )
    loss.backward()
    assert all(value.grad is None for value in teacher.model.parameters())


def test_without_a_teacher_only_the_truth_counts(tiny_generator, task):
    own = copied(tiny_generator("gpt2"), "own")
    writer = Writer(own, SMALL)
    examples = [writer.written(task, task.train)]
    objective = objective_of(own, None, writer, examples, soft=0.9, paradigm="meta")
    assert objective.mixture.soft == 0
    _, parts = objective.loss(0, torch.tensor([0, 1]))
    assert list(parts) == ["labels"], "meta has no language modelling unless it is asked for"
    assert len(objective.lengths) == 24


def test_a_batch_may_mix_tasks_of_different_labels(tiny_generator):
    own = copied(tiny_generator("gpt2"), "own")
    writer = Writer(own, SMALL)
    examples = [
        Written("two", [[5, 6], [7, 8], [9, 9]], [0, 1, 0], [[3], [4]]),
        Written("three", [[5], [6], [7]], [2, 0, 1], [[3], [4], [5, 6]]),
    ]
    objective = objective_of(own, None, writer, examples, paradigm="meta")
    loss, _ = objective.loss(0, torch.arange(6))
    assert torch.isfinite(loss)


# ---------------------------------------------------------------- the recipe


def test_meta_asks_about_tasks_that_it_does_not_learn(tiny_generator_folder, tmp_path):
    folder = tiny_generator_folder("gpt2")
    own = {"paradigm": "meta", "held_out": ["kitchen"], "tested": 4, "draws": 1}
    it = made(tmp_path, settings("in_context", folder, in_context=own))
    assert [list(row["answers_by_task"]) for row in it.summary()["scores"]] == [["kitchen"], ["kitchen"]]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"in_context": {"paradigm": "zero"}}, "meta, multitask"),
        ({"in_context": {"soft": 1.5}}, "in_context.soft"),
        ({"context": {"text_tokens": 0}}, "context.text_tokens"),
        (
            {"in_context": {"course": "rising"}, "training": {"steps": None}, "distillation": {"steps": None}},
            "training.steps",
        ),
    ],
)
def test_settings_that_make_no_sense_are_refused(tiny_generator_folder, tmp_path, changes, words):
    with pytest.raises(ConfigError, match=words):
        student(tmp_path, settings("in_context", tiny_generator_folder("gpt2"), **changes))


def test_held_out_tasks_must_be_some_of_the_stream(tiny_generator_folder, tmp_path):
    own = {"paradigm": "meta", "held_out": ["kitchen", "harbour"]}
    with pytest.raises(ConfigError, match="some, but not all"):
        made(tmp_path, settings("in_context", tiny_generator_folder("gpt2"), in_context=own))


def test_an_encoder_is_refused(tiny_folder, tmp_path):
    backbone = {"name": "hub", "path": str(tiny_folder("bert"))}
    with pytest.raises(BackboneError, match="no causal model"):
        made(tmp_path, settings("in_context", tiny_folder("bert"), backbone=backbone))
