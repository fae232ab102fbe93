"""Typed options: conversion, suggestions, help."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import pytest

from streams.errors import StreamError
from streams.options import describe, from_mapping, option, require_choice, unknown


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sample:
    path: str = option(help="where it is")
    size: int = option(3, "how many")
    share: float = option(0.5, "which share")
    loud: bool = option(False, "whether to shout")
    mode: Literal["fast", "slow"] = option("fast", "how")
    names: tuple[str, ...] | None = option(None, "which names")
    labels: Mapping[str, str] | tuple[str, ...] | None = option(None, "labels")
    where: Mapping[str, Any] | None = option(None, "filter")
    made: list[int] = dataclasses.field(default_factory=lambda: [1, 2], metadata={"help": "made for each"})


def test_values_are_converted_to_the_types_of_the_fields():
    sample = from_mapping(
        Sample,
        {"path": 7, "share": 1, "names": ["a", 2, True], "labels": {0: "no"}, "where": {"x": [1]}},
        "it",
    )
    assert sample == Sample(path="7", share=1.0, names=("a", "2", "True"), labels={"0": "no"}, where={"x": [1]})
    assert isinstance(sample.share, float)


def test_a_union_takes_the_first_type_that_fits():
    assert from_mapping(Sample, {"path": "p", "labels": ["no", "yes"]}, "it").labels == ("no", "yes")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"pth": "x"}, ["It has an unknown key 'pth'", "did you mean 'path'?", "size"]),
        ({}, ["It lacks the key 'path'", "where it is"]),
        ({"path": "x", "size": "big"}, ["a whole number", "'size'", "'big'"]),
        ({"path": "x", "size": True}, ["a whole number", "True"]),
        ({"path": "x", "share": "half"}, ["a number", "'half'"]),
        ({"path": "x", "loud": 1}, ["true or false", "1"]),
        ({"path": "x", "mode": "medium"}, ["'fast' or 'slow'", "'medium'"]),
        ({"path": "x", "names": "abc"}, ["a list of text or null", "'abc'"]),
        ({"path": ["x"]}, ["text", "['x']"]),
    ],
)
def test_wrong_keys_and_values_are_named(values, words):
    with pytest.raises(StreamError) as error:
        from_mapping(Sample, values, "it")
    assert all(word in str(error.value) for word in words), str(error.value)


def test_help_lists_every_field_with_type_and_default():
    helps = {help_.name: help_ for help_ in describe(Sample)}
    assert helps["path"].default is ...
    assert helps["names"].type == "a list of text or null"
    assert helps["labels"].type == "a mapping of text or a list of text or null"
    assert helps["size"].help == "how many"
    assert (helps["made"].default, helps["made"].type) == ([1, 2], "a list of whole numbers")


def test_what_is_made_by_a_factory_need_not_be_given():
    first, second = (from_mapping(Sample, {"path": "p"}, "it") for _ in range(2))
    assert first.made == second.made == [1, 2]
    assert first.made is not second.made


def test_a_long_list_of_choices_is_cut_short():
    assert unknown("file", "x", [f"{number:02d}" for number in range(40)]).endswith("28, 29 and 10 more.")


def test_a_suggestion_ignores_case():
    assert "did you mean 'Sports'?" in unknown("label", "sprots", ["Business", "Sports"])


def test_require_choice_accepts_what_is_there():
    require_choice("here", "name", "a", ["a"])
