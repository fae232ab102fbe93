"""Plain values made into what a type asks for, and types in words."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.conversion import MismatchError, converted, hints_of, in_words, scalar_text


class Speaks(Protocol):
    def speak(self) -> str: ...


@pytest.mark.parametrize(
    ("value", "hint", "expected"),
    [
        (1, float, 1.0),
        (np.float32(0.5), float, 0.5),
        (np.int64(3), int, 3),
        (7, str, "7"),
        (True, bool, True),
        (1, int | float, 1),
        (1, str | int, 1),
        (1, float | None, 1.0),
        (None, float | None, None),
        ([1, 2], tuple[float, ...], (1.0, 2.0)),
        ((1, 2), list[int], [1, 2]),
        ([1, "a"], tuple[int, str], (1, "a")),
        (["a", "a"], set[str], {"a"}),
        ([1], Sequence[int], (1,)),
        ([1, "two"], list, [1, "two"]),
        ({1: 2}, Mapping[str, float], {"1": 2.0}),
        ({"a": [1]}, dict, {"a": [1]}),
        ("fast", Literal["fast", "slow"], "fast"),
        ("a/b", Path, Path("a/b")),
        (len, Callable[[Any], int], len),
        ("anything", Any, "anything"),
        ("anything", Speaks, "anything"),
    ],
)
def test_what_fits_is_made_what_is_asked_for(value, hint, expected):
    found = converted(value, hint)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("value", "hint", "words"),
    [
        ("three", int, "a whole number"),
        (1.0, int, "a whole number"),
        (True, int, "a whole number"),
        (True, float, "a number"),
        ("1", float, "a number"),
        (None, str, "text"),
        (float("nan"), str, "text"),
        (1, bool, "true or false"),
        ("abc", tuple[str, ...], "a list of text"),
        ([1, "x"], list[int], "a list of whole numbers"),
        ([1], tuple[int, str], "a list of whole numbers and text"),
        ("abc", list, "a list"),
        ([1], Mapping[str, int], "a mapping of whole numbers"),
        ("x", dict, "a mapping"),
        (1, Literal[True, "x"], "True or 'x'"),
        (4, Path, "a path"),
        ("x", int | float | None, "a whole number or a number or null"),
        ("x", np.ndarray, "ndarray"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(value, hint, words):
    with pytest.raises(MismatchError):
        converted(value, hint)
    assert in_words(hint) == words


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_what_was_converted_stays_as_it_is(value):
    for hint in (str, int, float, list[str], tuple[int, ...], str | None):
        try:
            once = converted(value, hint)
        except MismatchError:
            continue
        assert converted(once, hint) == once


@dataclasses.dataclass
class Base:
    size: "int"
    unknown: "NotThere" = None  # noqa: F821


@dataclasses.dataclass
class Derived(Base):
    names: "list[str]" = dataclasses.field(default_factory=list)


class Plain:
    def __init__(self, size: "int | None", anything=3) -> None: ...


def test_types_are_found_wherever_they_are_written():
    assert hints_of(Derived) == {"size": int, "unknown": Any, "names": list[str]}
    assert hints_of(type("Child", (Derived,), {"__module__": __name__}))["names"] == list[str]
    assert hints_of(Plain)["size"] == int | None
    assert "anything" not in hints_of(Plain)
    without_module = dataclasses.make_dataclass("Made", [("size", "int"), ("other", "Derived")])
    without_module.__module__ = "nowhere_to_be_found"
    assert hints_of(without_module) == {"size": int, "other": Any}
    assert hints_of(lambda size: size) == hints_of(len) == {}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("x", "x"),
        (1, "1"),
        (1.0, "1"),
        (1.5, "1.5"),
        (True, "True"),
        (None, None),
        (float("nan"), None),
        ([], None),
    ],
)
def test_scalar_text(value, text):
    assert scalar_text(value) == text
