"""The simulated translation stream: its language, its truth, and that a reader of the data could learn it."""

import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.errors import StreamError
from streams.task import SPLITS
from streams.translation_simulated import SimulatedTranslationSource, _shuffle_some
from streams.translation_words import ADJECTIVES, PREPOSITIONS, VERBS, Phrase, Sentence, translation
from streams.words import TOPICS

NOUNS = [noun for topic in TOPICS.values() for noun in topic]


def source(**options):
    return SimulatedTranslationSource(**{"train": 60, "dev": 10, "test": 20, **options})


def pairs(task, split="train"):
    return list(zip(task.split(split)["text"], task.split(split)["target"], strict=True))


def test_a_sentence_word_by_word():
    sentence = Sentence(Phrase("cook"), "found", Phrase("soup", "cold"), "near", Phrase("stove"))
    assert sentence.english() == "the cook found the cold soup near the stove"
    order = ["near", "the", "stove", "the", "cook", "the", "soup", "cold", "found"]
    assert sentence.toy(0).split() == [translation(word) for word in order]
    swapped = [translation(word, int(word in ("stove", "cook", "soup"))) for word in order]
    assert sentence.toy(1).split() == swapped
    assert Sentence(Phrase("cook", "old"), "found", Phrase("soup")).english() == "the old cook found the soup"


def test_words_of_the_toy_language_are_the_same_for_ever():
    assert [translation("soup"), translation("soup", 1), translation("the"), translation("cold")] == [
        "nokite",
        "memuzu",
        "tuvina",
        "palafu",
    ]


def test_no_two_words_share_a_translation():
    words = [("the", 0), *((word, 0) for word in (*VERBS, *ADJECTIVES, *PREPOSITIONS))]
    words += [(noun, sense) for noun in NOUNS for sense in (0, 1)]
    found = [translation(*word) for word in words]
    assert len(set(found)) == len(words)
    assert not set(found) & {word for word, _ in words}


def test_the_default_similarities():
    expected = np.array(
        [
            [1.0, 0.8, 0.0, 0.0, 1.0, -1.0],
            [0.8, 1.0, 0.0, 0.0, 0.8, -0.8],
            [0.0, 0.0, 1.0, 0.5, 0.0, 0.0],
            [0.0, 0.0, 0.5, 1.0, 0.0, 0.0],
            [1.0, 0.8, 0.0, 0.0, 1.0, -1.0],
            [-1.0, -0.8, 0.0, 0.0, -1.0, 1.0],
        ]
    )
    np.testing.assert_allclose(source().similarity, expected, atol=1e-3)


def test_the_nouns_of_a_domain_come_as_often_as_its_weights_say():
    task = source(train=4000, places=1.0).load("bistro")
    found = Counter(word for text, _ in pairs(task) for word in text.split() if word in NOUNS)
    kitchen = sum(found[noun] for noun in TOPICS["kitchen"]) / found.total()
    assert kitchen == pytest.approx(0.8 / 1.4, abs=0.01)
    assert set(found) == {*TOPICS["kitchen"], *TOPICS["garden"]}


def test_domains_share_the_grammar_and_contradict_each_other_in_nouns():
    stream = source()
    first, swapped = (
        {word for _, target in pairs(stream.load(name)) for word in target.split()} for name in ("kitchen", "canteen")
    )
    assert first & swapped == {translation(word) for word in ("the", *VERBS, *ADJECTIVES, *PREPOSITIONS)}


@pytest.mark.parametrize("direction", ["en-toy", "toy-en"])
def test_every_pair_follows_the_dictionary(direction):
    stream = source(direction=direction)
    for name in stream.task_names:
        task = stream.load(name)
        assert (task.kind, task.metric, task.labels) == ("translation", "bleu", ())
        assert task.info["direction"] == f"{task.info['source_language']}-{task.info['target_language']}" == direction
        sense = int(task.info["truth"]["swap_senses"])
        for split in SPLITS:
            for pair in pairs(task, split):
                english, toy = pair if direction == "en-toy" else pair[::-1]
                words = [translation(word, sense if word in NOUNS else 0) for word in english.split()]
                assert sorted(words) == sorted(toy.split())


def test_the_direction_changes_nothing_but_the_sides():
    there, back = source().load("office"), source(direction="toy-en").load("office")
    assert [pair[::-1] for pair in pairs(there)] == pairs(back)


def test_shuffled_pairs_bear_the_translation_of_another_and_test_never_does():
    true = {english: toy for split in SPLITS for english, toy in pairs(source().load("kitchen"), split)}
    task = source(shuffled=0.5).load("kitchen")
    wrong = {
        split: sum(toy != true.get(english, toy) for english, toy in pairs(task, split)) for split in ("train", "test")
    }
    assert wrong == {"train": 30, "test": 0}
    assert sorted(toy for _, toy in pairs(task)) == sorted(toy for _, toy in pairs(source().load("kitchen")))


@given(st.integers(0, 20), st.floats(0, 1), st.integers(0, 9))
def test_shuffling_moves_as_many_as_asked(count, share, seed):
    targets = [str(n) for n in range(count)]
    _shuffle_some(targets, share, random.Random(seed))
    moved = sum(target != str(n) for n, target in enumerate(targets))
    asked = int(count * share + 0.5)
    assert moved == (asked if asked > 1 else 0)
    assert sorted(targets, key=int) == [str(n) for n in range(count)]


def test_domains_of_ones_own():
    stream = source(
        tasks=(
            {"name": "a", "topics": {"farm": 1}, "train": 30, "shuffled": 0.2},
            {"name": "b", "like": "a", "swap_senses": True},
            {"name": "c", "like": "b", "swap_senses": True, "train": 9},
        )
    )
    assert [len(stream.load(name).train) for name in "abc"] == [30, 30, 9]
    np.testing.assert_allclose(stream.similarity, [[1, -1, 1], [-1, 1, -1], [1, -1, 1]])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tasks": ()}, "has no domains"),
        ({"tasks": ({"topics": {"farm": 1}},)}, "lacks the key 'name'"),
        ({"tasks": ({"name": "a"},)}, "Domain 'a' of stream 'simulated_translation' needs topics"),
        ({"tasks": ({"name": "a", "topics": {"farm": -1}},)}, "each with a weight above 0"),
        ({"tasks": ({"name": "a", "topics": {"frm": 1}},)}, "did you mean 'farm'"),
        ({"tasks": ({"name": "a", "topics": {"farm": 1}},) * 2}, "lists the domain 'a' twice"),
        ({"tasks": ({"name": "a", "like": "b"},)}, "unknown earlier domain in 'like' 'b'"),
        ({"direction": "en-de"}, "unknown direction 'en-de'"),
        ({"shuffled": 1.5}, "has shuffled=1.5"),
        ({"train": 0}, "has train=0"),
        ({"places": 2}, "has places=2"),
    ],
)
def test_bad_options(options, words):
    with pytest.raises(StreamError, match=words) as error:
        source(**options)
    assert "\n" not in str(error.value)


def test_more_sentences_than_there_are():
    with pytest.raises(StreamError, match="asks for more sentences than its words can form"):
        source(train=9000, adjectives=0.0, places=0.0).load("kitchen")


def test_a_word_for_word_learner_gets_nearly_all_words_right():
    """Word alignment by counting, learned from train alone: the domain has pairs enough to be learned."""
    task = SimulatedTranslationSource().load("kitchen")
    together, alone = Counter(), Counter()
    for text, target in pairs(task):
        alone.update(set(target.split()))
        together.update((word, other) for word in set(text.split()) for other in set(target.split()))

    def best(word):
        return max(alone, key=lambda other: together[word, other] ** 2 / alone[other])

    right = [best(word) == translation(word) for text, _ in pairs(task, "test") for word in text.split()]
    assert np.mean(right) > 0.98
