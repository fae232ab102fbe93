"""Splits and caps: worked examples and properties over arbitrary rows."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.errors import StreamError
from streams.splits import split_by_text, stratified_cap, text_key, without_overlaps

FRACTIONS = {"dev": 0.1, "test": 0.25}

rows = st.lists(st.tuples(st.sampled_from("abcdefghijklmnopqrstuvwxyz"), st.sampled_from(["x", "y", "z"])), max_size=80)
fractions = st.fixed_dictionaries({"dev": st.floats(0.01, 0.45), "test": st.floats(0.01, 0.45)})


def test_text_key_ignores_case_width_spacing_and_punctuation():
    assert text_key(" Ｈｅｌｌｏ \n WORLD ") == text_key("hello world")
    assert text_key("straße") == text_key("STRASSE")
    assert text_key("“BREAKING”: it’s over!") == text_key("#breaking it's over")
    assert text_key("fine 🙂") != text_key("fine 🙁") != text_key("fine")
    assert text_key("C++") != text_key("C")
    assert text_key("किताब") != text_key("कतब")
    assert text_key("?!") != text_key("!")
    assert text_key("a b", "c") != text_key("a", "b c")
    assert text_key("a", "") != text_key("a")


def test_counts_of_a_hundred_texts_of_two_classes():
    keys = [str(number) for number in range(100)]
    strata = ["rumour"] * 20 + ["non-rumour"] * 80
    parts = split_by_text(keys, strata, FRACTIONS, seed=0)
    counts = {name: Counter(strata[row] for row in part) for name, part in parts.items()}
    assert counts == {
        "train": {"rumour": 13, "non-rumour": 52},
        "dev": {"rumour": 2, "non-rumour": 8},
        "test": {"rumour": 5, "non-rumour": 20},
    }


@pytest.mark.parametrize(
    ("texts", "expected"),
    [(1, (1, 0, 0)), (2, (1, 0, 1)), (3, (1, 1, 1)), (4, (2, 1, 1)), (10, (6, 1, 3)), (20, (13, 2, 5))],
)
def test_tiny_classes_train_first_then_test_then_dev(texts, expected):
    parts = split_by_text([str(number) for number in range(texts)], ["c"] * texts, FRACTIONS, seed=3)
    assert tuple(len(parts[name]) for name in ("train", "dev", "test")) == expected


def test_a_seed_is_a_split_forever():
    parts = split_by_text([f"text {number}" for number in range(12)], ["a", "b"] * 6, FRACTIONS, seed=0)
    assert parts == {"train": [0, 4, 5, 6, 7, 9], "dev": [1, 10], "test": [2, 3, 8, 11]}


@given(rows, fractions, st.integers(0, 5))
def test_split_is_a_partition_in_which_no_text_straddles(rows, fractions, seed):
    keys, strata = [key for key, _ in rows], [stratum for _, stratum in rows]
    parts = split_by_text(keys, strata, fractions, seed)
    assert sorted(row for part in parts.values() for row in part) == list(range(len(rows)))
    assert all(part == sorted(part) for part in parts.values())
    sides = [{keys[row] for row in part} for part in parts.values()]
    assert sum(map(len, sides)) == len(set(keys))
    assert {strata[row] for row in parts["train"]} == set(strata)
    assert parts == split_by_text(keys, strata, fractions, seed)


@given(st.dictionaries(st.sampled_from("pqrs"), st.integers(1, 60), min_size=1), fractions)
def test_every_class_keeps_its_proportions_within_one_text(sizes, fractions):
    strata = [name for name, size in sizes.items() for _ in range(size)]
    parts = split_by_text([str(row) for row in range(len(strata))], strata, fractions, seed=1)
    for name, size in sizes.items():
        counts = {split: sum(strata[row] == name for row in part) for split, part in parts.items()}
        assert counts["train"] >= 1
        if size >= 3:
            assert all(abs(counts[split] - size * share) <= 1 for split, share in fractions.items())
            assert all(counts[split] >= 1 for split in fractions)


def test_a_text_with_conflicting_labels_follows_the_majority_and_loses_no_row():
    keys = ["same"] * 3 + [f"a{number}" for number in range(9)]
    strata = ["a", "b", "b"] + ["a"] * 9
    parts = split_by_text(keys, strata, FRACTIONS, seed=0)
    # The stratum b has this one text, and a class of one text is for training.
    assert parts["train"][:3] == [0, 1, 2]
    assert sum(map(len, parts.values())) == 12


def test_a_new_stratum_leaves_the_others_alone():
    keys, strata = [str(row) for row in range(40)], ["a", "b"] * 20
    before = split_by_text(keys, strata, FRACTIONS, seed=0)
    after = split_by_text([*keys, "x", "y", "z"], [*strata, "c", "c", "c"], FRACTIONS, seed=0)
    assert {name: [row for row in part if row < 40] for name, part in after.items()} == before


@pytest.mark.parametrize(
    ("fractions", "words"),
    [
        ({"dev": 0.0, "test": 0.2}, "dev fraction must be above 0"),
        ({"dev": 0.1, "test": 1.0}, "test fraction must be above 0 and below 1"),
        ({"dev": 0.5, "test": 0.5}, "leave nothing to train on"),
    ],
)
def test_fractions_are_checked(fractions, words):
    with pytest.raises(StreamError, match=words):
        split_by_text(["a"], ["x"], fractions, 0)


@pytest.mark.parametrize(
    ("sizes", "limit", "expected"),
    [
        ({0: 50, 1: 50}, 10, {0: 5, 1: 5}),
        ({0: 90, 1: 10}, 10, {0: 9, 1: 1}),
        ({0: 98, 1: 1, 2: 1}, 10, {0: 8, 1: 1, 2: 1}),
        ({0: 3, 1: 3, 2: 3}, 7, {0: 3, 1: 2, 2: 2}),
        ({0: 3, 1: 2}, 9, {0: 3, 1: 2}),
        ({0: 5, 1: 9, 2: 2}, 2, {0: 1, 1: 1}),
    ],
)
def test_caps_worked_by_hand(sizes, limit, expected):
    labels = [label for label, size in sizes.items() for _ in range(size)]
    assert Counter(labels[row] for row in stratified_cap(labels, limit, seed=0)) == expected


@given(st.lists(st.integers(0, 4), max_size=60), st.integers(1, 70), st.integers(0, 3))
def test_caps_are_exact_stratified_and_repeatable(labels, limit, seed):
    chosen = stratified_cap(labels, limit, seed)
    assert chosen == sorted(set(chosen))
    assert len(chosen) == min(limit, len(labels))
    assert chosen == stratified_cap(labels, limit, seed)
    counts, sizes = Counter(labels[row] for row in chosen), Counter(labels)
    if limit >= len(sizes):
        assert set(counts) == set(sizes)
        raised = sum(size * limit / len(labels) < 1 for size in sizes.values())
        for label, size in sizes.items():
            # A class below one place is raised to one, and those places come from the others.
            assert abs(counts[label] - min(size, size * limit / len(labels))) <= 1 + raised


def test_given_splits_are_separated_in_favour_of_test():
    keys = {"train": ["a", "b", "c", "c"], "dev": ["b", "d"], "test": ["a", "d", "a"]}
    assert without_overlaps(keys) == {"test": [0, 1, 2], "dev": [0], "train": [2, 3]}


@given(st.dictionaries(st.sampled_from(["train", "dev", "test"]), st.lists(st.sampled_from("abcdef"), max_size=12)))
def test_separated_splits_share_no_text_and_lose_none(keys):
    kept = without_overlaps(keys)
    sides = [{keys[split][row] for row in kept[split]} for split in keys]
    assert sum(map(len, sides)) == len(set().union(*keys.values())) if keys else kept == {}
    if "test" in keys:
        assert len(kept["test"]) == len(keys["test"])
