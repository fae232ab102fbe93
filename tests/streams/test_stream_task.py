"""`Task.validate`: everything a learner relies on."""

import pytest
from datasets import Dataset, Features, Value

from streams.errors import StreamError
from streams.task import SPLITS, Example, Task


def test_a_task_gives_its_splits_and_examples(make_task, make_split):
    task = make_task(dev=make_split(["so hot"], [0]))
    assert task.split("dev") is task.dev
    assert list(task.examples("dev")) == [Example("so hot", "a")]
    assert (task.kind, task.metric) == ("classification", "accuracy")


def test_pairs_are_allowed_in_all_splits(make_task, make_split):
    split = make_split(["x", "y"], [0, 1], ["p", ""])
    task = make_task(train=split, dev=split, test=split)
    assert next(task.examples()) == Example("x", "a", "p")


def test_a_view_of_a_dataset_is_checked_by_its_own_rows(make_task, make_split):
    whole = make_split(["x", "y", "", "z"], [0, 1, 7, 0])
    assert len(make_task(train=whole.select([0, 1, 3])).train) == 3


def test_other_kinds_need_no_labels(make_task):
    split = Dataset.from_dict({"text": ["a long report"]})
    task = make_task(kind="summary", labels=(), train=split, dev=split, test=split)
    assert list(task.examples()) == [Example("a long report", None)]


def translation(texts=("guten Tag", "danke"), targets=("good day", "thanks"), **more):
    columns = {"text": list(texts), "target": list(targets), **more}
    features = Features({name: Value("string") for name in columns})
    return Dataset.from_dict(columns, features=features)


def translation_task(**parts):
    split = translation()
    return Task(
        **{"name": "t", "labels": (), "kind": "translation", "metric": "bleu"} | dict.fromkeys(SPLITS, split) | parts
    )


def test_a_translation_has_targets_and_no_labels():
    task = translation_task()
    assert list(task.examples("dev")) == [
        Example("guten Tag", None, None, "good day"),
        Example("danke", None, target="thanks"),
    ]


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize(
    ("dataset", "words"),
    [
        (translation((), ()), "it has no rows"),
        (translation(targets=("x", None)), "row 1 has no target; fill it or leave the row out"),
        (translation(targets=("x", "\t \u00a0")), "row 1 has an empty target"),
        (translation(texts=("", "x")), "row 0 has an empty text"),
        (translation().rename_column("target", "de"), "expected a column 'target', found text, de; rename one"),
        (
            translation().remove_columns("target").add_column("target", [1, 2]),
            "'target' must hold text, but holds int64",
        ),
        (translation(text_pair=["x", "y"]), "a translation has no use for the column 'text_pair'"),
    ],
)
def test_bad_translations_are_named(split, dataset, words):
    # A column of pairs has to be in all splits to get so far.
    splits = dict.fromkeys(SPLITS, dataset) if "text_pair" in dataset.column_names else {split: dataset}
    with pytest.raises(StreamError, match=words) as error:
        translation_task(**splits)
    assert "Task 't', split" in str(error.value)


def test_a_translation_with_labels_is_refused():
    with pytest.raises(StreamError, match=r"Task 't' is a translation with the labels \('a', 'b'\); leave them out"):
        translation_task(labels=("a", "b"))


def test_unknown_split(make_task):
    with pytest.raises(StreamError, match="no split 'validation'; choose one of train, dev, test"):
        make_task().split("validation")


@pytest.mark.parametrize("split", ["train", "dev", "test"])
@pytest.mark.parametrize(
    ("texts", "labels", "words"),
    [
        ([], [], ["has no rows"]),
        (["x", None], [0, 1], ["row 1 has no text"]),
        (["x", "\t "], [0, 1], ["row 1 has an empty text"]),
        (["x", "y", "z"], [0, 1, 2], ["row 2 has the unknown label 2", "0 to 1"]),
        (["x", "y", "z"], [0, 1, -1], ["row 2 has the unknown label -1"]),
        (["x", "y", "z"], [0, 1, None], ["row 2 has the unknown label None"]),
    ],
)
def test_bad_rows_are_named(make_task, make_split, split, texts, labels, words):
    with pytest.raises(StreamError) as error:
        make_task(**{split: make_split(texts, labels)})
    message = str(error.value)
    assert "'t'" in message
    assert f"split {split!r}" in message
    assert all(word in message for word in words), message


def test_columns_are_checked(make_task, make_split):
    good = make_split(["x", "y"], [0, 1])
    bad = {
        "expected a column 'text', found body, label": good.rename_column("text", "body"),
        "expected a column 'label', found text, class": good.rename_column("label", "class"),
        "must hold text, but holds int64": good.remove_columns("text").add_column("text", [1, 2]),
        "must hold int64 indices, but holds int32": good.cast_column("label", Value("int32")),
        "expected a datasets.Dataset, found list": [{"text": "x", "label": 0}],
        "lacks the column 'text_pair'": good,
    }
    pair = make_split(["x", "y"], [0, 1], ["p", "q"])
    for words, split in bad.items():
        other = pair if "text_pair" in words else good
        with pytest.raises(StreamError, match=words):
            make_task(train=other, dev=split, test=other)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (("a",), "one label name"),
        ((), "one label name"),
        (["a", "b"], "a tuple of label names"),
        (("a", ""), "a tuple of label names"),
        (("a", 1), "a tuple of label names"),
        (("a", "a"), "twice"),
    ],
)
def test_label_names_are_checked(make_task, labels, words):
    with pytest.raises(StreamError, match=words):
        make_task(labels=labels)


@pytest.mark.parametrize("name", ["", "  ", None])
def test_a_task_needs_a_name(make_task, name):
    with pytest.raises(StreamError, match="A task needs a name"):
        make_task(name=name)


def test_two_classes_must_occur_in_train(make_task, make_split):
    with pytest.raises(StreamError, match="only the class 'b' occurs"):
        make_task(train=make_split(["x", "y"], [1, 1]))


@pytest.mark.parametrize("split", ["dev", "test"])
def test_a_class_that_train_lacks_is_unknown(make_task, make_split, split):
    with pytest.raises(StreamError, match=rf"split '{split}': row 1 has the label 'c', which never occurs in train"):
        make_task(labels=("a", "b", "c"), **{split: make_split(["x", "y"], [0, 2])})
