"""Tables, folders and hub data sets as sources of tasks."""

import json
import os
import subprocess
import sys
from collections import Counter

import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value, are_progress_bars_disabled

from streams.errors import StreamError
from streams.folders import FoldersSource
from streams.hub import HubSource
from streams.splits import text_key
from streams.table import TableSource


def rows(count, label=lambda number: "ab"[number % 2], **columns):
    return [{"text": f"text {number}", "label": label(number), **columns} for number in range(count)]


def texts(task):
    return {split: set(task.split(split)["text"]) for split in ("train", "dev", "test")}


# One table.


def test_a_table_without_a_domain_is_one_task(write_jsonl):
    source = TableSource(name="mine", path=str(write_jsonl("t.jsonl", rows(40))))
    assert source.task_names == ["mine"]
    task = source.load("mine")
    assert task.labels == ("a", "b")
    assert [len(task.split(split)) for split in ("train", "dev", "test")] == [26, 4, 10]
    assert task.info["source"] == "table"
    assert task.info["splits"] == {"given": ["train"], "made": {"dev": 0.10, "test": 0.25}, "seed": 0}
    json.dumps(task.info)


def test_domains_are_tasks_in_order_of_appearance_with_their_own_labels(write_jsonl):
    content = rows(12, domain="late") + rows(12, lambda number: "xyz"[number % 3], domain="early")
    source = TableSource(name="s", path=str(write_jsonl("t.jsonl", content)), domain="domain")
    assert source.task_names == ["late", "early"]
    assert source.load("late").labels == ("a", "b")
    assert source.load("early").labels == ("x", "y", "z")


def test_choosing_tasks_changes_their_order_not_their_splits(write_jsonl):
    path = str(write_jsonl("t.jsonl", rows(30, domain="one") + rows(30, domain="two")))
    every = TableSource(name="s", path=path, domain="domain")
    chosen = TableSource(name="s", path=path, domain="domain", tasks=("two", "one"))
    assert chosen.task_names == ["two", "one"]
    assert texts(chosen.load("one")) == texts(every.load("one"))


def test_a_text_in_two_domains_is_on_one_side_in_both(write_jsonl):
    content = rows(60, domain="one") + rows(60, domain="two")
    source = TableSource(name="s", path=str(write_jsonl("t.jsonl", content)), domain="domain")
    assert texts(source.load("one")) == texts(source.load("two"))


def test_labels_are_renamed_ordered_and_merged(write_jsonl):
    path = str(write_jsonl("t.jsonl", rows(30, lambda number: number % 3)))
    source = TableSource(name="s", path=path, labels={"2": "rumour", "0": "other", "1": "other"})
    task = source.load("s")
    assert task.labels == ("rumour", "other")
    assert Counter(label for split in ("train", "dev", "test") for label in task.split(split)["label"]) == {
        0: 10,
        1: 20,
    }


def test_numbers_sort_as_numbers(write_jsonl):
    path = str(write_jsonl("t.jsonl", rows(60, lambda number: float(number % 12))))
    assert TableSource(name="s", path=path).load("s").labels == tuple(str(number) for number in range(12))


def test_truth_values_are_labels(write_jsonl):
    path = str(write_jsonl("t.jsonl", rows(12, lambda number: number % 2 == 0)))
    assert TableSource(name="s", path=path).load("s").labels == ("False", "True")


def test_two_texts(write_jsonl):
    content = [{"text": "same premise", "other": f"claim {number}", "label": number % 2} for number in range(20)]
    task = TableSource(name="s", path=str(write_jsonl("t.jsonl", content)), text_pair="other").load("s")
    assert set(task.train.column_names) == {"text", "text_pair", "label"}
    pairs = [pair for split in ("train", "dev", "test") for pair in task.split(split)["text_pair"]]
    assert sorted(pairs) == sorted(row["other"] for row in content)


def test_filters_keep_matching_rows(write_jsonl):
    content = [*rows(20, lang="en", n=1), {"text": "nein", "label": "a", "lang": "de", "n": 1}]
    path = str(write_jsonl("t.jsonl", content))
    task = TableSource(name="s", path=path, where={"lang": ["en", "fr"], "n": "1"}).load("s")
    assert sum(len(task.split(split)) for split in ("train", "dev", "test")) == 20
    assert task.info["reading"] == {"rows_filtered_out": 1}


def test_unusable_rows_are_left_out_and_counted(write_jsonl):
    content = [
        *rows(12),
        {"text": "  ", "label": "a"},
        {"text": None, "label": "a"},
        {"label": "a"},
        {"text": "no label", "label": ""},
        {"text": "no label", "label": float("nan")},
    ]
    task = TableSource(name="s", path=str(write_jsonl("t.jsonl", content))).load("s")
    assert task.info["reading"] == {"rows_without_text": 3, "rows_without_label": 2}


def test_characters_that_cannot_be_encoded_are_repaired_and_counted(write):
    content = "".join(json.dumps(row) + "\n" for row in rows(12))
    content += '{"text": "half \\ud83d pair", "label": "a"}\n{"text": "n\\u0000ul", "label": "b"}\n'
    task = TableSource(name="s", path=str(write("t.jsonl", content))).load("s")
    found = set().union(*texts(task).values())
    assert {"half \ufffd pair", "nul"} <= found
    assert task.info["reading"] == {"texts_repaired": 2}


def test_emoji_and_a_megabyte_survive(write_jsonl):
    long = "🚀 grün " * 120_000
    content = [*rows(12), {"text": long, "label": "a"}, {"text": "👩‍👩‍👧 ok", "label": "b"}]
    task = TableSource(name="s", path=str(write_jsonl("t.jsonl.gz", content))).load("s")
    assert {long.strip(), "👩‍👩‍👧 ok"} <= set().union(*texts(task).values())


def test_repeated_and_conflicting_texts_are_kept_together_and_counted(write_jsonl):
    content = [*rows(20), {"text": "TEXT  3", "label": "b"}, {"text": "text 4", "label": "b"}]
    task = TableSource(name="s", path=str(write_jsonl("t.jsonl", content))).load("s")
    assert (task.info["repeated_rows"], task.info["texts_with_conflicting_labels"]) == (2, 1)
    sides = [{text_key(text) for text in side} for side in texts(task).values()]
    assert sum(map(len, sides)) == 20


BAD_TABLES = {
    "missing column": (rows(9), {"text": "txt"}, "unknown column 'txt' (did you mean 'text'?)"),
    "missing label column": (rows(9), {"label": "class"}, "unknown column 'class'"),
    "missing domain column": (rows(9), {"domain": "event"}, "unknown column 'event'"),
    "missing filter column": (rows(9), {"where": {"lang": "en"}}, "unknown column 'lang'"),
    "filter without match": (
        rows(9, lang="de"),
        {"where": {"lang": "en"}},
        "no row with lang=en; the column holds de",
    ),
    "unknown label": (rows(9), {"labels": ("a", "c")}, "line 2: unknown label 'b'"),
    "unknown label in mapping": (rows(9), {"labels": {"a": "A"}}, "line 2: unknown label 'b'"),
    "one class": (rows(9, lambda number: "a"), {}, "only the class 'a'"),
    "text is a number": (
        [{"text": 5, "label": "a"}],
        {},
        "line 1: expected text in the column 'text', found int",
    ),
    "text is a list": ([{"text": ["x"], "label": "a"}], {}, "found list"),
    "nothing usable": ([{"text": "", "label": "a"}], {}, "no usable row (rows without text: 1)"),
    "too few texts": ([{"text": "x", "label": "a"}, {"text": "y", "label": "b"}], {}, "has no text for dev"),
    "unknown task": (rows(9), {"tasks": ("other",)}, "unknown task 'other'"),
    "task twice": (rows(9), {"tasks": ("s", "s")}, "lists a task twice"),
    "bad fraction": (rows(9), {"dev_fraction": 0.9}, "leave nothing to train on"),
    "no path": (rows(9), {"path": None}, "set its key 'path'"),
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_bad_tables_end_in_one_sentence(write_jsonl, case):
    content, options, words = BAD_TABLES[case]
    source = TableSource(**{"name": "s", "path": str(write_jsonl("bad.jsonl", content)), **options})
    with pytest.raises(StreamError) as error:
        source.load(source.task_names[0])
    assert words in str(error.value)
    assert "\n" not in str(error.value)


# Folders.


def test_given_splits_are_used_as_they_are(write_jsonl):
    for split, start in (("train", 0), ("dev", 100), ("test", 200)):
        content = [{"text": f"{split} {number}", "label": number % 2} for number in range(start, start + 4)]
        path = write_jsonl(f"data/one/{split}.jsonl.gz", content)
    source = FoldersSource(name="s", path=str(path.parent.parent))
    assert source.task_names == ["one"]
    task = source.load("one")
    assert list(task.test["text"]) == ["test 200", "test 201", "test 202", "test 203"]
    assert task.info["splits"] == {"given": ["train", "dev", "test"], "made": {}}


@pytest.mark.parametrize(
    ("given", "sizes"),
    [(["train"], (65, 10, 25)), (["train", "test"], (90, 10, 100)), (["train", "dev"], (75, 100, 25))],
)
def test_missing_splits_are_taken_from_train(write_jsonl, given, sizes):
    for split in given:
        path = write_jsonl(f"data/one/{split}.jsonl", [{"text": f"{split} {n}", "label": n % 2} for n in range(100)])
    task = FoldersSource(name="s", path=str(path.parent.parent)).load("one")
    assert all(
        abs(len(task.split(split)) - size) <= 1 for split, size in zip(("train", "dev", "test"), sizes, strict=True)
    )


def test_texts_of_test_leave_train_and_dev(write_jsonl):
    shared = [{"text": "Shared", "label": 0}, {"text": "in test and train", "label": 1}]
    fresh = {split: [{"text": f"{split} {n}", "label": n % 2} for n in range(4)] for split in ("train", "dev", "test")}
    write_jsonl("data/one/train.jsonl", fresh["train"] + shared)
    write_jsonl("data/one/dev.jsonl", fresh["dev"] + [{"text": "shared ", "label": 0}])
    path = write_jsonl("data/one/test.jsonl", fresh["test"] + shared)
    task = FoldersSource(name="s", path=str(path.parent.parent)).load("one")
    assert (len(task.train), len(task.dev), len(task.test)) == (4, 4, 6)
    assert task.info["splits"]["overlapping_rows_dropped"] == 3


def test_folders_mix_formats_and_name_dev_in_other_ways(write, write_jsonl):
    write_jsonl("data/b/train.jsonl", rows(10))
    write("data/b/validation.csv", "text,label\nfresh,a\nother,b\n")
    write("data/a/train.tsv.gz", "text\tlabel\n" + "".join(f"t{n}\t{n % 2}\n" for n in range(12)))
    write("data/a/README.md", "no table")
    path = write("data/notes/readme.txt", "no task")
    source = FoldersSource(name="s", path=str(path.parent.parent))
    assert source.task_names == ["a", "b"]
    assert list(source.load("b").dev["text"]) == ["fresh", "other"]
    assert source.load("a").labels == ("0", "1")


def test_a_draw_is_a_folder_in_each_task(write_jsonl):
    for draw in (0, 1):
        path = write_jsonl(
            f"data/one/seed{draw}/train.jsonl", [{"text": f"{draw} {n}", "label": n % 2} for n in range(12)]
        )
    root = str(path.parent.parent.parent)
    assert set(FoldersSource(name="s", path=root, draw=1).load("one").train["text"]) < {f"1 {n}" for n in range(12)}
    with pytest.raises(StreamError, match=r"holds a table seed7/train"):
        FoldersSource(name="s", path=root, draw=7).task_names  # noqa: B018


def test_a_label_that_train_lacks_names_file_and_line(write_jsonl):
    write_jsonl("data/one/train.jsonl", rows(10))
    path = write_jsonl("data/one/test.jsonl", [{"text": "x", "label": "a"}, {"text": "y", "label": "c"}])
    with pytest.raises(StreamError, match=r"test.jsonl, line 2: the label 'c' never occurs in the training texts"):
        FoldersSource(name="s", path=str(path.parent.parent)).load("one")


def test_bad_folders(tmp_path, write_jsonl):
    with pytest.raises(StreamError, match="expected a folder"):
        FoldersSource(name="s", path=str(tmp_path / "none")).task_names  # noqa: B018
    with pytest.raises(StreamError, match=r"holds a table train\.\*"):
        FoldersSource(name="s", path=str(tmp_path)).task_names  # noqa: B018
    write_jsonl("one/train.jsonl", rows(3))
    write_jsonl("one/train.json", rows(3))
    with pytest.raises(StreamError, match=r"has both train.json and train.jsonl for train; keep one"):
        FoldersSource(name="s", path=str(tmp_path)).task_names  # noqa: B018


# Hub data sets.


def saved(tmp_path, **splits):
    features = Features({"text": Value("string"), "label": ClassLabel(names=["neg", "pos"])})
    content = {
        name: Dataset.from_dict(
            {
                "text": [f"{name} {n}" for n in range(count)],
                "label": [n % 2 if labelled else -1 for n in range(count)],
            },
            features=features,
        )
        for name, (count, labelled) in splits.items()
    }
    DatasetDict(content).save_to_disk(tmp_path / "saved")
    return str(tmp_path / "saved")


def test_a_saved_data_set_with_its_splits(tmp_path):
    path = saved(tmp_path, train=(20, True), validation=(6, True), test=(8, True))
    silent = are_progress_bars_disabled()
    task = HubSource(name="s", path=path).load("s")
    assert task.labels == ("neg", "pos")
    assert [len(task.split(split)) for split in ("train", "dev", "test")] == [20, 6, 8]
    assert are_progress_bars_disabled() == silent


def test_hidden_test_labels_mean_no_test_split(tmp_path):
    task = HubSource(name="s", path=saved(tmp_path, train=(40, True), test=(8, False))).load("s")
    assert [len(task.split(split)) for split in ("train", "dev", "test")] == [26, 4, 10]
    assert task.info["splits"]["made"] == {"dev": 0.10, "test": 0.25}
    assert [file.rsplit("/", 1)[-1] for file in task.info["files"]] == ["saved[train]"]


def test_a_single_saved_split(tmp_path):
    Dataset.from_list([{"body": f"t {n}", "stars": n % 2, "shop": "xy"[n // 20]} for n in range(40)]).save_to_disk(
        tmp_path / "d"
    )
    source = HubSource(name="s", path=str(tmp_path / "d"), text="body", label="stars", domain="shop")
    assert source.task_names == ["x", "y"]
    assert source.load("y").labels == ("0", "1")


def test_a_data_set_without_the_split_to_learn_from(tmp_path):
    with pytest.raises(StreamError, match="unknown split 'train'; choose one of test"):
        HubSource(name="s", path=saved(tmp_path, test=(8, True))).task_names  # noqa: B018


def test_an_unreachable_hub_ends_in_one_sentence(tmp_path):
    # In a process of its own: the hub client decides at import whether it is offline.
    code = (
        "from streams import HubSource, StreamError\n"
        "try:\n    HubSource(name='s', path='nobody/nothing').task_names\n"
        "except StreamError as error:\n    print(error)\n"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120)
    assert "Could not load the data set 'nobody/nothing'" in result.stdout
    assert "or give the path of a local copy." in result.stdout
    assert result.stdout.count("\n") == 1
