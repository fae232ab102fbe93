"""The benchmark of lifelong pretraining: its table, its means, and what a task under a prompt is."""

import json

import pytest
from datasets import Dataset

from benchmarks import lifelong
from benchmarks.tables import lifelong as tables
from benchmarks.tables import results
from streams import Task

ROWS = [
    {
        "strategy": "plain",
        "seed": seed,
        "accuracy": {"news": 0.5 + seed / 10, "law": 0.7},
        "average_perplexity": 20.0 + 2 * seed,
        "average_increase": 3.0,
        "seconds": 60.0,
    }
    for seed in (0, 1)
]


def test_means_are_over_seeds():
    found = lifelong.summarised(ROWS)
    assert found["accuracy"] == pytest.approx({"news": 0.55, "law": 0.7})
    value, low, high, n = found["mean_accuracy"]
    assert (value, n) == (pytest.approx(0.625), 2)
    assert low < value < high
    assert found["average_perplexity"][0] == 21.0
    assert found["seconds"] == 60.0
    base = [{"strategy": "base", "seed": 0, "accuracy": {"news": 0.4, "law": 0.5}}]
    assert lifelong.summarised(base)["mean_accuracy"] == (pytest.approx(0.45), None, None, 1)


def test_the_table_shows_what_was_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    assert tables.table() == results.NOT_YET
    means = {
        "plain": {
            "accuracy": {"news": 0.55},
            "mean_accuracy": [0.55, 0.5, 0.6, 3],
            "average_perplexity": [21.0, 20.0, 22.0, 3],
            "average_increase": [-1.5, None, None, 3],
            "seconds": 90.0,
        },
        "base": {"accuracy": {"news": 0.3}, "mean_accuracy": [0.3, None, None, 3]},
    }
    rows = [{"seed": seed, "seconds": 200.0} for seed in (0, 1, 2)] + [{"seed": 0}]
    value = {"means": means, "rows": rows, "machine": {"cpus": 2}}
    (tmp_path / "lifelong.json").write_text(json.dumps(value))
    lines = tables.table().splitlines()
    assert "| `plain` | 21.0 (20.0 to 22.0) | -1.5 | 0.550 | 0.550 (0.500 to 0.600) | 1.5 |" in lines
    assert "| `base` | – | – | 0.300 | 0.300 | – |" in lines
    assert lines[-1].startswith("3 seeds, 10 minutes of training on 2 cores")
    assert "--seeds 0,1,2`" in lines[-1]
    assert len({line.count("|") for line in lines if line.startswith("|")}) == 1


def test_a_task_under_a_prompt_differs_by_the_prompt_alone():
    split = Dataset.from_dict({"text": ["hot", "cold"], "label": [0, 1]})
    task = Task("news", ("a", "b"), split, split, split)
    assert lifelong.under("", task) is task
    under = lifelong.under("<domain:news>", task)
    assert under.test["text"][:] == ["<domain:news>hot", "<domain:news>cold"]
    assert under.test["label"][:] == [0, 1]
