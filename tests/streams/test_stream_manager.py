"""Order, cursor, caps, saved positions and hidden boundaries."""

import json
from collections import Counter

import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.errors import StreamError
from streams.manager import _CACHED_TASKS, StreamManager
from streams.simulated import SimulatedSource
from streams.task import Task

NAMES = ["kitchen", "harbour", "office", "station", "kitchen-again", "greenhouse"]


def source(**options):
    return SimulatedSource(**{"train": 10, "dev": 4, "test": 6, **options})


class CountingSource:
    """A real source that counts how often each task is loaded."""

    name = "counting"

    def __init__(self, count=3):
        entries = [{"name": f"t{number}", "topic": "farm", "cues": {"size": 1}} for number in range(count)]
        self.inner, self.loads = source(tasks=entries), Counter()
        self.task_names = self.inner.task_names

    def load(self, task_name):
        self.loads[task_name] += 1
        return self.inner.load(task_name)


def test_tasks_come_as_listed_and_nothing_is_loaded_early():
    counting = CountingSource()
    stream = StreamManager(counting)
    assert (stream.names, len(stream), stream.name) == (("t0", "t1", "t2"), 3, "counting")
    assert not counting.loads
    assert [task.name for task in stream] == ["t0", "t1", "t2"]
    assert counting.loads == {"t0": 1, "t1": 1, "t2": 1}


def test_the_cursor_moves_when_the_next_task_is_asked_for():
    stream = StreamManager(source())
    seen = []
    for task in stream.remaining():
        assert stream.names[stream.cursor] == task.name == stream.peek().name
        seen.append(stream.cursor)
    assert seen == [0, 1, 2, 3, 4, 5]
    assert stream.cursor == 6
    assert stream.peek() is None
    assert list(stream.remaining()) == []


def test_iterating_yields_all_tasks_each_time_and_moves_nothing():
    stream = StreamManager(source())
    next(stream.remaining())
    for _ in range(2):
        assert [task.name for task in stream] == NAMES
    assert stream.cursor == 0


def test_a_crash_leaves_the_cursor_on_the_task():
    stream = StreamManager(source())
    tasks = stream.remaining()
    names = [next(tasks).name for _ in range(3)]
    tasks.close()
    assert names[-1] == "office"
    assert stream.cursor == 2
    assert [task.name for task in stream.remaining()] == NAMES[2:]


def test_shuffling_is_seeded():
    orders = {seed: StreamManager(source(), order="shuffle", seed=seed).names for seed in range(6)}
    assert orders[0] == StreamManager(source(), order="shuffle", seed=0).names
    assert all(sorted(order) == sorted(NAMES) for order in orders.values())
    assert len(set(orders.values())) > 1


def test_an_order_may_leave_tasks_out():
    assert StreamManager(source(), order=["office", "kitchen"]).names == ("office", "kitchen")


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ("sorted", "unknown word 'sorted'"),
        (["kitchen", "offce"], r"unknown task 'offce' \(did you mean 'office'"),
        (["kitchen", "kitchen"], "repeats a task"),
        ([], "is empty"),
    ],
)
def test_bad_orders(order, words):
    with pytest.raises(StreamError, match=words):
        StreamManager(source(), order=order)


@pytest.mark.parametrize("cap", ["max_train", "max_dev", "max_test"])
def test_caps_must_be_positive(cap):
    with pytest.raises(StreamError, match=f"{cap}=0; choose a number above 0 or null"):
        StreamManager(source(), **{cap: 0})


def test_caps_sample_by_class_and_are_noted():
    stream = StreamManager(source(train=100, balance=0.2), max_train=20, max_test=100, seed=3)
    task = stream.task("kitchen")
    assert Counter(task.train["label"]) == {0: 16, 1: 4}
    assert (len(task.dev), len(task.test)) == (4, 6)
    assert task.info["caps"] == {"train": 20, "seed": 3}
    assert list(task.train["text"]) == list(
        StreamManager(source(train=100, balance=0.2), max_train=20, seed=3).task("kitchen").train["text"]
    )
    assert list(task.train["text"]) != list(
        StreamManager(source(train=100, balance=0.2), max_train=20, seed=4).task("kitchen").train["text"]
    )
    assert task.train._indices is None
    json.dumps(task.info)


def test_a_cap_below_the_number_of_classes():
    with pytest.raises(StreamError, match="has 2 classes, so max_train=1 is too small"):
        StreamManager(source(), max_train=1).task("kitchen")


def test_any_task_can_be_asked_for_and_recent_ones_are_kept():
    counting = CountingSource(_CACHED_TASKS + 1)
    stream = StreamManager(counting)
    assert stream.task("t2") is stream.task("t2")
    for name in stream.names:
        stream.task(name)
    stream.task("t2")
    assert counting.loads["t2"] == 1
    stream.task("t0")
    assert counting.loads["t0"] == 2
    with pytest.raises(StreamError, match="unknown task 't99'"):
        stream.task("t99")


@pytest.mark.parametrize("learned", range(7))
def test_a_saved_position_survives_json(learned):
    stream = StreamManager(source(), order="shuffle", seed=5)
    for _, task in zip(range(learned + 1), stream.remaining(), strict=False):
        assert task.name == stream.names[stream.cursor]
    saved = json.loads(json.dumps(stream.state_dict()))
    other = StreamManager(source(), order="shuffle", seed=5)
    other.load_state_dict(saved)
    assert other.cursor == stream.cursor
    assert [task.name for task in other.remaining()] == list(stream.names[stream.cursor :])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"source": source(name="other")}, "belongs to a stream with stream 'simulated'"),
        ({"order": ["office"]}, "with order"),
        ({"seed": 1}, "with seed 0"),
        ({"max_train": 8}, "with caps"),
    ],
)
def test_a_position_of_another_stream_is_refused(change, words):
    saved = StreamManager(source()).state_dict()
    with pytest.raises(StreamError, match=words):
        StreamManager(**{"source": source(), **change}).load_state_dict(saved)


@pytest.mark.parametrize("cursor", [-1, 7, "2", None, 1.5])
def test_a_damaged_position_is_refused(cursor):
    stream = StreamManager(source())
    saved = {**stream.state_dict(), "cursor": cursor}
    with pytest.raises(StreamError, match="expected a number from 0 to 6"):
        stream.load_state_dict(saved)
    assert stream.cursor == 0


def test_an_empty_position_is_refused():
    with pytest.raises(StreamError, match="None"):
        StreamManager(source()).load_state_dict({})


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 25), st.integers(0, 8), st.integers(0, 3))
def test_batches_hide_the_boundaries_and_lose_nothing(size, skip, cursor):
    stream = StreamManager(source(train=7), order=["kitchen", "office", "greenhouse"])
    stream.load_state_dict({**stream.state_dict(), "cursor": cursor})
    batches = list(stream.batches(size))
    assert all(len(batch) == size for batch in batches[:-1])
    expected = [example for name in stream.names[cursor:] for example in stream.task(name).examples()]
    assert [example for batch in batches for example in batch] == expected
    assert list(stream.batches(size, skip=skip)) == batches[skip:]
    assert stream.cursor == cursor
    assert not any(hasattr(example, "task") for example in expected)


def test_a_batch_may_hold_two_tasks():
    stream = StreamManager(source(train=5), order=["kitchen", "office"])
    sizes = [len(batch) for batch in stream.batches(4)]
    assert sizes == [4, 4, 2]
    assert len(next(stream.batches(100, split="test"))) == 12


def test_bad_batches():
    with pytest.raises(StreamError, match="batches of 0"):
        next(StreamManager(source()).batches(0))
    with pytest.raises(StreamError, match="no split 'tset'"):
        next(StreamManager(source()).batches(1, split="tset"))


def test_tasks_without_labels_are_capped_too():
    class Translations:
        name = "translations"
        task_names = ("news",)

        def load(self, task_name):
            rows = Dataset.from_dict({"text": [f"Satz {n}" for n in range(9)], "target": [str(n) for n in range(9)]})
            return Task(task_name, (), rows, rows, rows, kind="translation", metric="chrf")

    task = StreamManager(Translations(), max_train=4).task("news")
    assert len(task.train) == 4
    assert all(text == f"Satz {target}" for text, target in zip(task.train["text"], task.train["target"], strict=True))
