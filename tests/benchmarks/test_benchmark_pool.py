"""What the benchmark of large pools computes: its pool, what an exact search finds, when graphs grow, its ratios."""

import numpy as np
import pytest
import torch

from benchmarks.pool import grow_rows, learn_rows, material, search_rows
from continual.pool import PromptPool
from continual.pool.catalogue import KeyRows
from continual.pool.prompt import Prompt

WIDTH, LIMIT = 12, 400


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A pool of 60 prompts with 600 keys, of which a graph was made."""
    example = Prompt("a-v1", "a", 1, ("no", "yes"), "b" * 64, {"name": "deep"}, "scratch", {}, {})

    class Narrow:
        width, fingerprint, name = WIDTH, "b" * 64, "narrow"

    for module in (material, grow_rows):
        monkeypatch.setattr(module.material, "encoder", Narrow)
    monkeypatch.setattr(material, "_example", lambda: example)
    monkeypatch.setattr(material, "_BLOCK", 25)
    return material.fill(tmp_path / "pool", 60, LIMIT)


def test_the_pool_is_what_its_description_says(made):
    pool = made.open(read_only=True)
    assert (len(made), len(pool), made.keys, made.graphs()) == (60, 60, 600, [600])
    assert [pool.record(f"task-{number:06d}-v1").keys[0] for number in range(5)] == [16, 16, 16, 1, 1]
    # What new texts of known tasks ask with is nearer to their task than to others, and is not stored.
    hits = [found[0] for found in pool.search(made.unseen, 1)]
    own = np.mean([hit.prompt_id == f"task-{number:06d}-v1" for number, hit in enumerate(hits)])
    assert own > 0.5
    assert max(hit.score for hit in hits) < 0.9999
    assert pool.verify() == []


def test_keys_are_unit_vectors_nearer_within_a_task():
    keys = material.keys_of(40, 3, WIDTH, seed=5)
    assert np.allclose(np.linalg.norm(keys, axis=2), 1, atol=1e-5)
    assert np.array_equal(keys, material.keys_of(40, 3, WIDTH, seed=5))
    within = np.mean(np.sum(keys[:, 0] * keys[:, 1], axis=1))
    between = np.mean(np.sum(keys[:-1, 0] * keys[1:, 1], axis=1))
    assert within > 0.5 > abs(between)


def test_the_exact_search_by_hand(monkeypatch):
    monkeypatch.setattr(search_rows, "NEAREST", 2)
    monkeypatch.setattr(search_rows, "_BLOCK", 2)
    owners = [KeyRows("a", "a", 1, 0, 2, 0), KeyRows("b", "b", 1, 2, 1, 0), KeyRows("c", "c", 1, 3, 1, 0)]
    keys = np.array([[0.9, 0.0], [0.8, 0.0], [0.1, 0.0], [0.7, 0.5]], dtype=np.float32)
    prompts, of_keys = search_rows._exact(keys, owners, np.array([[1, 0], [0, 1]], dtype=np.float32))
    assert set(prompts[0]) == {"a", "c"}
    assert prompts[1][0] == "c" or prompts[1][1] == "c"
    assert sorted(of_keys[0]) == ["a", "a"]


def test_how_many_of_those_wanted_were_found():
    assert search_rows._share([{"a", "b"}, {"c"}], [["a", "b"], ["a", "c"]]) == 0.75


def test_a_pool_that_is_searched_like_the_exact_search(made):
    recall, late = search_rows.rows(made, repeats=2)
    assert recall.measured > 0.95
    assert recall.details["graphs"] == [600]
    assert (recall.n, late.n) == ("120 queries", "2 times 120 queries")
    assert torch.get_num_threads() == 1


def test_growth_ends_where_the_large_graph_has_taken_in_the_others(made):
    growth = grow_rows.Growth(made)
    growth.until_full()
    # Of 600 keys a 32nd is 18, and 4 may be outside of graphs: one prompt of 16 is in a second graph.
    assert made.graphs() == [600, 16]
    growth.until_merged()
    median, mean, worst = growth.rows()
    assert made.graphs()[0] > 600
    assert median.details["graphs before"] == [600]
    assert mean.measured <= worst.details["seconds"]
    assert worst.measured == pytest.approx(worst.details["seconds"] / made.seconds["index and search graph"])
    assert len(PromptPool(made.folder)) == 60 + int(median.n.split()[0])


def test_the_first_task_of_a_process_has_a_row_beside_the_others():
    turns = [
        {"large": {"first": 4.0, "second": 1.1}, "small": {"first": 2.0, "second": 1.0}},
        {"large": {"first": 6.0, "second": 2.4}, "small": {"first": 2.0, "second": 2.0}},
        {"large": {"first": 3.0, "second": 1.0}, "small": {"first": 3.0, "second": 1.0}},
    ]
    later, first = learn_rows.compared(turns)
    assert (later.measured, later.met, later.low, later.high) == (pytest.approx(1.1), True, 1.0, pytest.approx(1.2))
    assert (first.measured, first.met) == (2.0, False)
    assert first.details["large, s"]["median"] == 4.0
