"""What every kind of source must do, on small data made here and, where it is at hand, on the real data."""

import json

import pytest
from stream_files import CONFIGS, resolved, write_coaid, write_pheme, write_stance, write_twitter

from streams.catalog import KINDS, build_stream
from streams.splits import text_key
from streams.task import SPLITS

# Kinds whose configuration here leaves no choice to the seed: the splits are given.
FIXED = {"given"}


SIMULATED = ("simulated", "stance_simulated", "simulated_translation")


def small_config(kind, tmp_path, write, write_jsonl):
    """A configuration of each kind over a handful of files; `given` is folders that hold all three splits."""
    if kind in SIMULATED:
        return {"kind": kind, "train": 40, "dev": 10, "test": 20}
    if kind == "joined":
        inner = ("stance", "simulated", "simulated_translation")
        return {"kind": kind, "parts": {name: small_config(name, tmp_path, write, write_jsonl) for name in inner}}
    if kind == "texts":
        write("x/two/part.txt", "".join(f"line {n}\n" for n in range(60)))
        return {"kind": kind, "path": str(write_jsonl("x/one.jsonl", own_rows()[:60]).parent)}
    if kind.startswith("translation"):
        return translation_config(kind, tmp_path, write, write_jsonl)
    releases = {
        "pheme": lambda: write_pheme(tmp_path / "pheme"),
        "twitter": lambda: write_twitter(write, "twitter15").parent.parent,
        "coaid": lambda: write_coaid(write),
        "stance": lambda: write_stance(write),
    }
    if kind in releases:
        return {"kind": kind, "path": str(releases[kind]())}
    return own_config(kind, tmp_path, write_jsonl)


def own_rows():
    return [
        {"text": f"{domain} text {n // 2 if n < 6 else n}", "label": n % 3 % 2, "domain": domain}
        for domain in ("one", "two")
        for n in range(60)
    ]


def saved(rows, folder):
    from datasets import Dataset

    Dataset.from_list(rows).save_to_disk(folder)
    return str(folder)


def own_config(kind, tmp_path, write_jsonl):
    """The kinds for labelled texts of one's own."""
    rows = own_rows()
    if kind == "table":
        return {"kind": kind, "path": str(write_jsonl("t.jsonl.gz", rows)), "domain": "domain"}
    if kind == "folders":
        write_jsonl("f/one/train.jsonl", rows[:60])
        return {"kind": kind, "path": str(write_jsonl("f/two/train.jsonl", rows[60:]).parent.parent)}
    if kind == "given":
        for number, split in enumerate(SPLITS):
            path = write_jsonl(f"g/one/{split}.jsonl", rows[20 * number : 20 * number + 25])
        return {"kind": "folders", "path": str(path.parent.parent)}
    assert kind == "hub"
    return {"kind": kind, "path": saved(rows, tmp_path / "hub"), "domain": "domain"}


def translation_config(kind, tmp_path, write, write_jsonl):
    """The kinds for parallel text, in which some sources and some targets occur more than once."""
    rows = [{"en": row["text"], "de": f"zu {row['text']}", "domain": row["domain"]} for row in own_rows()]
    if kind == "translation":
        write("m/one.en.gz", "".join(f"sentence {n // 2 if n < 6 else n}\n" for n in range(60)))
        write("m/one.de", "".join(f"Satz {n // 3 if n < 6 else n}\n" for n in range(60)))
        return {"kind": kind, "path": str(write_jsonl("m/two.jsonl", rows[:60]).parent)}
    if kind == "translation_table":
        return {"kind": kind, "path": str(write_jsonl("mt.jsonl.gz", rows)), "domain": "domain"}
    assert kind == "translation_hub"
    return {"kind": kind, "path": saved(rows, tmp_path / "mt"), "domain": "domain", "direction": "de-en"}


def contents(stream):
    return {name: {split: stream.task(name).split(split).to_list() for split in SPLITS} for name in stream.names}


def texts(task):
    """What must not stand in two splits, as rows of texts by split."""
    rows = {split: task.split(split).to_list() for split in SPLITS}
    if task.kind == "translation":
        return [{split: [(row[name],) for row in rows[split]] for split in SPLITS} for name in ("text", "target")]
    if task.kind == "text":
        return [{split: [(row["text"],) for row in rows[split]] for split in SPLITS}]
    assert all(0 <= row["label"] < len(task.labels) for split in SPLITS for row in rows[split])
    return [{split: [(row["text"], row.get("text_pair")) for row in rows[split]] for split in SPLITS}]


def check_tasks(stream):
    """Every task loads, is valid, and no text of it is in two splits; in translations neither source nor target is."""
    assert stream.names
    for task in stream:
        task.validate()
        assert json.loads(json.dumps(task.info))
        for side in texts(task):
            apart = {split: {text_key(*row) for row in rows} for split, rows in side.items()}
            shared = apart["dev"] & apart["test"]
            # Published translations are kept as they are, and what they share is counted.
            assert not shared or task.info["splits"]["dev_rows_shared_with_test"] >= len(shared), task.name
            assert not apart["train"] & (apart["dev"] | apart["test"]), task.name
        assert task.info["source"] == stream.source.kind if hasattr(stream.source, "kind") else task.info["source"]


@pytest.mark.parametrize("kind", [*KINDS, "given"])
def test_conformance(kind, tmp_path, write, write_jsonl):
    config = small_config(kind, tmp_path, write, write_jsonl)
    check_tasks(build_stream(config, seed=0))
    first, again, other = (contents(build_stream(config, seed=seed)) for seed in (0, 0, 1))
    assert first == again
    assert (first == other) == (kind in FIXED)


@pytest.mark.parametrize("kind", [*KINDS, "given"])
def test_caps_hold_for_every_kind(kind, tmp_path, write, write_jsonl):
    config = small_config(kind, tmp_path, write, write_jsonl)
    stream = build_stream({**config, "max_train": 7, "max_dev": 2, "max_test": 3}, seed=0)
    check_tasks(stream)
    for name in stream.names:
        task = stream.task(name)
        assert len(task.train) == 7
        assert len(task.dev) <= 2
        assert len(task.test) <= 3


@pytest.mark.data
@pytest.mark.parametrize(
    "path", [path for path in CONFIGS if "${data:" in path.read_text()], ids=lambda path: path.stem
)
def test_the_real_streams_conform(path, data_folder):
    check_tasks(build_stream(resolved(path, data_folder), seed=0))
