"""The grid of a sweep: what is written on the command line, and the cells and names that come of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continual.errors import ConfigError
from continual.sweep.grid import Axis, cell_name, combinations, parse_axes


@pytest.mark.parametrize(
    ("override", "values"),
    [
        ("seed=0", ("0",)),
        ("seed=0,1,2", ("0", "1", "2")),
        ("seed=range(0,3)", ("0", "1", "2")),
        ("method=panda,scratch", ("panda", "scratch")),
        ("stream.order=[kitchen,office]", ("[kitchen,office]",)),
        ("stream.order=[a,b],[b,a]", ("[a,b]", "[b,a]")),
        ("training.learning_rate=1e-2,0.003", ("0.01", "0.003")),
        ("tracking.enabled=true,false", ("true", "false")),
        ("stream.path=data/reviews.csv", ("data/reviews.csv",)),
        ("stream.path='a,b.csv'", ("'a,b.csv'",)),
        ("threads=null", ("null",)),
        ("+method.extra=1,2", ("1", "2")),
        ("seed=1,1,2", ("1", "2")),
    ],
)
def test_values_are_read(override: str, values: tuple[str, ...]) -> None:
    assert parse_axes([override]) == [Axis(override.partition("=")[0], values)]


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["seed"], "write it as seed=VALUE or seed=A,B"),
        (["seed=[1"], "cannot be read"),
        (["seed=interval(0,1)"], "cannot be read"),
        (["method=scratch,"], "more values (mismatched input '<EOF>'); write method=A,B"),
        (["seed=range(3,0)"], "'seed=range(3,0)' holds no value at all; write seed=A,B"),
        (["seed=0", "seed=1"], "write all its values as seed=A,B"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_sentence(overrides: list[str], expected: str) -> None:
    with pytest.raises(ConfigError, match=r"\.$") as raised:
        parse_axes(overrides)
    assert expected in str(raised.value)
    assert "\n" not in str(raised.value)


def test_every_combination_once_and_the_last_setting_changes_fastest() -> None:
    cells = list(combinations(parse_axes(["method=panda,scratch", "training.epochs=1", "seed=0,1"])))
    assert [cell["method"] + cell["seed"] for cell in cells] == ["panda0", "panda1", "scratch0", "scratch1"]
    assert {cell["training.epochs"] for cell in cells} == {"1"}
    assert list(combinations([])) == [{}]


def test_names_say_what_varies() -> None:
    cell = {"method": "panda", "training.epochs": "1", "seed": "0"}
    assert cell_name(cell, ["method", "seed"]) == "method=panda,seed=0"
    assert cell_name(cell, []) == "method=panda,training.epochs=1,seed=0"
    assert cell_name({}, []) == "defaults"
    assert cell_name({"stream.order": "[a,b]"}, ["stream.order"]) == "stream.order=[a,b]"


@given(st.lists(st.text(min_size=1, max_size=300), min_size=2, max_size=5, unique=True))
def test_names_are_unique_and_fit_for_a_folder(values: list[str]) -> None:
    names = [cell_name({"key": value}, ["key"]) for value in values]
    assert len(set(names)) == len(names)
    for name in names:
        assert "/" not in name
        assert "\0" not in name
        assert not name.startswith(".")
        assert len(name.encode()) < 200
