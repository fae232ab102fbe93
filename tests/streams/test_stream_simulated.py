"""Simulated streams: the truth is what the texts show."""

import json
import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.errors import StreamError
from streams.simulated import SimulatedSource, SimulatedTask
from streams.words import CONCEPTS, CUE_CLAUSES, FILLER_CLAUSES, TOPICS

POLE = {
    word: (concept, side) for concept, poles in CONCEPTS.items() for side, pole in enumerate(poles) for word in pole
}


def words(text):
    return re.findall(r"[a-z]+", text.lower())


def test_vocabulary_has_equal_poles_and_no_word_twice():
    adjectives = [word for poles in CONCEPTS.values() for pole in poles for word in pole]
    assert {len(pole) for poles in CONCEPTS.values() for pole in poles} == {12}
    assert {len(nouns) for nouns in TOPICS.values()} == {18}
    others = {noun for nouns in TOPICS.values() for noun in nouns}
    others |= {word for clause in (*CUE_CLAUSES, *FILLER_CLAUSES) for word in words(re.sub(r"\{\w+\}", "", clause))}
    assert len(set(adjectives)) == len(adjectives) == 240
    assert not set(adjectives) & others
    assert len({noun for nouns in TOPICS.values() for noun in nouns}) == 180


def test_default_similarities_worked_by_hand():
    # Weights: kitchen t=1; harbour t=.8 s=.6; office v=1; station v=.5 a=.866; the others like kitchen.
    expected = [
        [1.0, 0.8, 0.0, 0.0, 1.0, -1.0],
        [0.8, 1.0, 0.0, 0.0, 0.8, -0.8],
        [0.0, 0.0, 1.0, 0.5, 0.0, 0.0],
        [0.0, 0.0, 0.5, 1.0, 0.0, 0.0],
        [1.0, 0.8, 0.0, 0.0, 1.0, -1.0],
        [-1.0, -0.8, 0.0, 0.0, -1.0, 1.0],
    ]
    np.testing.assert_allclose(SimulatedSource().similarity, expected, atol=1e-4)


weights = st.dictionaries(st.sampled_from(sorted(CONCEPTS)), st.floats(0.1, 1) | st.floats(-1, -0.1), min_size=1)


@given(st.lists(weights, min_size=1, max_size=4))
def test_similarity_is_the_cosine_of_the_weights(tasks):
    entries = [{"name": f"t{n}", "topic": "farm", "cues": cues} for n, cues in enumerate(tasks)]
    similarity = SimulatedSource(tasks=entries).similarity
    vectors = np.array([[cues.get(concept, 0.0) for concept in CONCEPTS] for cues in tasks])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    np.testing.assert_allclose(similarity, vectors @ vectors.T, atol=1e-9)
    assert np.abs(similarity).max() <= 1


def test_the_texts_follow_the_weights():
    # 4,000 texts with 4 cues: a share of 0.1 has a standard error of 0.0024.
    tasks = [{"name": "t", "topic": "school", "cues": {"size": 0.75, "price": -0.25}, "balance": 0.4}]
    source = SimulatedSource(tasks=tasks, train=4000, cues_per_text=4, distractors=2, cue_noise=0.1)
    counts, labels = Counter(), Counter()
    for example in source.load("t").examples("train"):
        label = int(example.label == "yes")
        labels[label] += 1
        for word in words(example.text):
            if word in POLE and POLE[word][0] in ("size", "price"):
                concept, side = POLE[word]
                counts[concept, "right" if (side == label) == (concept == "size") else "wrong"] += 1
    assert labels == {0: 2400, 1: 1600}
    total = sum(counts.values())
    assert total == 16_000
    for concept, share in (("size", 0.75), ("price", 0.25)):
        assert counts[concept, "right"] / total == pytest.approx(0.9 * share, abs=0.015)
        assert counts[concept, "wrong"] / total == pytest.approx(0.1 * share, abs=0.015)


def test_distractors_come_from_other_concepts_and_nouns_from_the_topic():
    task = SimulatedSource(cues_per_text=1, distractors=3).load("office")
    topic = set(TOPICS["office"])
    for example in task.examples("train"):
        concepts = Counter(POLE[word][0] for word in words(example.text) if word in POLE)
        assert concepts["speed"] == 1
        assert concepts.total() == 4
        assert topic & set(words(example.text))


def test_label_noise_is_exact_in_train_and_dev_and_absent_in_test():
    options = {"train": 200, "dev": 100, "test": 100}
    clean, noisy = (SimulatedSource(label_noise=noise, **options).load("kitchen") for noise in (0.0, 0.2))
    # The first split is drawn before any noise, so its texts are the same.
    assert list(clean.train["text"]) == list(noisy.train["text"])
    assert sum(a != b for a, b in zip(clean.train["label"], noisy.train["label"], strict=True)) == 40
    silent = SimulatedSource(label_noise=0.2, cue_noise=0.0, **options).load("kitchen")
    for split, wrong in (("train", 40), ("dev", 20), ("test", 0)):
        sides = [
            {POLE[word][1] for word in words(text) if POLE.get(word, "")[:1] == ("temperature",)}
            for text in silent.split(split)["text"]
        ]
        assert sum(side != {label} for side, label in zip(sides, silent.split(split)["label"], strict=True)) == wrong


def test_recurring_and_conflicting_tasks():
    source = SimulatedSource()
    first, again, swapped = (source.load(name) for name in ("kitchen", "kitchen-again", "greenhouse"))
    assert first.info["truth"]["cues"] == again.info["truth"]["cues"] == {"temperature": 1.0}
    assert swapped.info["truth"]["cues"] == {"temperature": -1.0}
    assert not set(first.train["text"]) & set(again.test["text"])
    json.dumps(swapped.info)


def test_what_a_task_leaves_out_comes_from_its_model_then_from_the_source():
    tasks = [
        {"name": "a", "topic": "farm", "cues": {"size": 1}, "train": 30, "balance": 0.2},
        {"name": "b", "like": "a", "dev": 10, "swap_labels": True},
        {"name": "c", "like": "b", "balance": 0.5, "topic": "office"},
    ]
    source = SimulatedSource(tasks=tasks, test=40)
    truth = source.load("c").info["truth"]
    assert (truth["train"], truth["dev"], truth["test"]) == (30, 10, 40)
    assert (truth["balance"], truth["topic"], truth["cues"]) == (0.5, "office", {"size": -1.0})
    assert [len(source.load("b").split(split)) for split in ("train", "dev", "test")] == [30, 10, 40]
    assert Counter(source.load("b").train["label"]) == {0: 24, 1: 6}


def test_tasks_may_be_given_as_objects():
    source = SimulatedSource(tasks=(SimulatedTask(name="x", topic="farm", cues={"age": 1.0}),), labels=("old", "new"))
    assert source.load("x").labels == ("old", "new")


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 3), st.integers(0, 2), st.floats(0.05, 0.95))
def test_any_parameters_make_a_valid_task_without_repeated_texts(seed, cues, distractors, balance):
    source = SimulatedSource(
        train=20, dev=5, test=9, balance=balance, cues_per_text=cues, distractors=distractors, split_seed=seed
    )
    task = source.load("harbour")
    everything = [text for split in ("train", "dev", "test") for text in task.split(split)["text"]]
    assert len(set(everything)) == 34
    assert list(source.load("harbour").train["text"]) == list(task.train["text"])


def test_a_seed_is_a_text_forever():
    assert SimulatedSource(split_seed=0).load("kitchen").train[0] == {
        "text": "The table looked unlit. The sweltering kettle stood by the bowl. The boiling oven stood by "
        "the cup. The sweltering bowl stood by the recipe. The dinner was next to the bread.",
        "label": 1,
    }


def one(**entry):
    return {"tasks": [{"name": "t", "topic": "farm", "cues": {"size": 1.0}, **entry}]}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tasks": []}, "has no tasks"),
        ({"labels": ("a", "b", "c")}, "needs two label names"),
        ({"cues_per_text": 0}, "cues_per_text=0"),
        ({"distractors": -1}, "distractors=-1"),
        ({"fillers": 101}, "fillers=101"),
        (one(topc="x"), r"unknown key 'topc' \(did you mean 'topic'"),
        (one(topic="frm"), r"unknown topic 'frm' \(did you mean 'farm'"),
        (one(cues={"sise": 1}), r"unknown concept in 'cues' 'sise' \(did you mean 'size'"),
        (one(cues={}), "has no cues"),
        (one(cues={"size": 0}), "has no cues"),
        (one(topic=None), "unknown topic 'None'"),
        (one(like="u"), "unknown earlier task in 'like' 'u'"),
        (one(balance=1.0), "balance=1.0; choose a value from 0.01 to 0.99"),
        (one(label_noise=0.5), "label_noise=0.5"),
        (one(cue_noise=-0.1), "cue_noise=-0.1"),
        (one(train=1), "train=1"),
        ({"tasks": [one()["tasks"][0]] * 2}, "lists the task 't' twice"),
    ],
)
def test_bad_parameters_end_in_one_sentence(options, words):
    with pytest.raises(StreamError, match=words):
        SimulatedSource(**options)


def test_more_texts_than_words_can_form():
    tiny = SimulatedSource(cues_per_text=1, distractors=0, fillers=0, train=100_000, **one())
    with pytest.raises(StreamError, match="asks for more texts than its words can form"):
        tiny.load("t")


def test_unknown_task():
    with pytest.raises(StreamError, match=r"unknown task 'kitchn' \(did you mean 'kitchen'"):
        SimulatedSource().load("kitchn")
