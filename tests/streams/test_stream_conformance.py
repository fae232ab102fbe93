"""What every kind of source must do, on small data made here and, where it is at hand, on the real data."""

import pytest
from stream_files import CONFIGS, resolved, write_coaid, write_pheme, write_stance, write_twitter

from streams.catalog import KINDS, build_stream
from streams.splits import text_key
from streams.task import SPLITS

# Kinds whose configuration here leaves no choice to the seed: the splits are given.
FIXED = {"given"}


def small_config(kind, tmp_path, write, write_jsonl):
    """A configuration of each kind over a handful of files; `given` is folders that hold all three splits."""
    rows = [
        {"text": f"{domain} text {n // 2 if n < 6 else n}", "label": n % 3 % 2, "domain": domain}
        for domain in ("one", "two")
        for n in range(60)
    ]
    if kind in ("simulated", "stance_simulated"):
        return {"kind": kind, "train": 40, "dev": 10, "test": 20}
    if kind == "table":
        return {"kind": kind, "path": str(write_jsonl("t.jsonl.gz", rows)), "domain": "domain"}
    if kind == "folders":
        write_jsonl("f/one/train.jsonl", rows[:60])
        return {"kind": kind, "path": str(write_jsonl("f/two/train.jsonl", rows[60:]).parent.parent)}
    if kind == "given":
        for number, split in enumerate(SPLITS):
            path = write_jsonl(f"g/one/{split}.jsonl", rows[20 * number : 20 * number + 25])
        return {"kind": "folders", "path": str(path.parent.parent)}
    if kind == "hub":
        from datasets import Dataset

        Dataset.from_list(rows).save_to_disk(tmp_path / "hub")
        return {"kind": kind, "path": str(tmp_path / "hub"), "domain": "domain"}
    if kind == "joined":
        inner = ("stance", "simulated")
        return {"kind": kind, "parts": {name: small_config(name, tmp_path, write, write_jsonl) for name in inner}}
    releases = {
        "pheme": lambda: write_pheme(tmp_path / "pheme"),
        "twitter": lambda: write_twitter(write, "twitter15").parent.parent,
        "coaid": lambda: write_coaid(write),
        "stance": lambda: write_stance(write),
    }
    return {"kind": kind, "path": str(releases[kind]())}


def contents(stream):
    return {name: {split: stream.task(name).split(split).to_list() for split in SPLITS} for name in stream.names}


def check_tasks(stream):
    """Every task loads, is valid, and no text of it is in two splits."""
    assert stream.names
    for task in stream:
        task.validate()
        sides = []
        for split in SPLITS:
            rows = task.split(split).to_list()
            assert all(0 <= row["label"] < len(task.labels) for row in rows)
            sides.append({text_key(row["text"], row.get("text_pair")) for row in rows})
        assert sum(map(len, sides)) == len(set().union(*sides)), task.name
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
