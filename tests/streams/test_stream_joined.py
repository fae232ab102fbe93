"""Streams of streams: the tasks of the parts under longer names."""

import pytest

from streams.catalog import build_stream
from streams.errors import StreamError
from streams.joined import JoinedSource

SMALL = {"kind": "simulated", "train": 12, "dev": 6, "test": 6}


def test_tasks_are_those_of_the_parts_with_their_orders_and_caps():
    parts = {"a": {**SMALL, "order": ["office", "kitchen"], "max_train": 5}, "b": {**SMALL, "split_seed": 3}}
    stream = build_stream(
        {"kind": "joined", "parts": parts, "max_train": 9, "tasks": ["b/kitchen", "a/kitchen"]}, seed=1
    )
    assert stream.names == ("b/kitchen", "a/kitchen")
    first, second = stream
    assert (len(first.train), len(second.train)) == (9, 5)
    assert second.info["part"] == {"name": "a", "source": "simulated"}
    alone = build_stream({**SMALL, "order": ["office", "kitchen"], "max_train": 5}, seed=1).task("kitchen")
    assert second.train.to_list() == alone.train.to_list()
    assert first.info["seed"] == 3


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"parts": None}, "joins no streams"),
        ({"parts": {"a": "pheme"}}, "expected the configuration of a stream"),
        ({"parts": {"a/b": SMALL}}, "choose a name without /"),
        ({"parts": {"a": {"kind": "simulatd"}}}, "did you mean 'simulated'"),
        ({"parts": {"a": SMALL}, "tasks": ("kitchen",)}, "unknown task 'kitchen'"),
        ({"parts": {"a": SMALL}, "tasks": ("a/office", "a/office")}, "lists a task twice"),
    ],
)
def test_bad_parts_are_refused(changes, words):
    with pytest.raises(StreamError, match=words):
        JoinedSource(**changes).task_names  # noqa: B018
