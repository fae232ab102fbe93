"""The registry, the construction of registered things from config sections, and seeds."""

import doctest
import importlib
import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continual.backbone import BACKBONES
from continual.baselines import BASELINES
from continual.construction import coerced, construct
from continual.errors import ConfigError
from continual.methods import METHODS
from continual.registry import Registry, suggestion
from continual.seeding import seed_of
from continual.transfer import TRANSFERABILITY
from continual.tuning import TUNINGS


class Thing:
    """Something with every kind of option."""

    def __init__(
        self, size: int, rate: float = 0.5, name: str = "x", fast: bool = True, path: str | None = None, free=None
    ):
        self.options = {"size": size, "rate": rate, "name": name, "fast": fast, "path": path, "free": free}


@pytest.fixture
def things() -> Registry:
    registry = Registry("thing")
    registry.add("thing", f"{__name__}:Thing", "for tests", "Nobody 2020")
    registry.add("missing", "no.such.module:Thing", "cannot be imported")
    return registry


# ---------------------------------------------------------------- the registry


def test_entries_are_listed_in_order_without_being_imported(things):
    assert things.names() == [entry.name for entry in things] == ["thing", "missing"]
    assert "thing" in things
    assert "nothing" not in things
    assert things.entry("thing").paper == "Nobody 2020"
    assert things.load("thing") is Thing
    with pytest.raises(ModuleNotFoundError):
        things.load("missing")


def test_a_name_is_taken_once(things):
    with pytest.raises(ConfigError, match=r"thing 'thing' is registered already"):
        things.add("thing", "math:pi", "")


@pytest.mark.parametrize(
    ("registry", "wrong", "right"),
    [
        (METHODS, "pandas", "panda"),
        (METHODS, "scrach", "scratch"),
        (BACKBONES, "miniml", "minilm"),
        (TUNINGS, "depp", "deep"),
        (TRANSFERABILITY, "key_cosin", "key_cosine"),
    ],
)
def test_unknown_names_are_refused_with_the_closest_one(registry, wrong, right):
    with pytest.raises(ConfigError) as caught:
        registry.load(wrong)
    message = str(caught.value)
    assert f"There is no {registry.kind} named {wrong!r} (did you mean {right!r}?); known: " in message
    assert all(name in message for name in registry.names())


def test_nothing_is_suggested_for_a_word_like_no_other():
    assert suggestion("zzz", ["panda", "spot"]) == ""
    assert suggestion("pnada", ["panda", "spot"]) == " (did you mean 'panda'?)"
    assert suggestion("anything", []) == ""


@pytest.mark.parametrize(
    "registry", [METHODS, BASELINES, BACKBONES, TUNINGS, TRANSFERABILITY], ids=lambda registry: registry.kind
)
def test_everything_that_is_registered_can_be_loaded_and_is_explained(registry):
    for entry in registry:
        assert callable(entry.load())
        assert entry.load().__doc__
        assert 10 < len(entry.help) < 120
        assert not entry.help.endswith(".")


# ---------------------------------------------------------------- construction


def test_options_and_given_arguments_reach_the_target(things):
    thing = construct(things, "thing", {"size": 3, "rate": 1, "path": None}, "thing", free="given")
    assert thing.options == {"size": 3, "rate": 1.0, "name": "x", "fast": True, "path": None, "free": "given"}
    assert isinstance(thing.options["rate"], float)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"size": 1, "raet": 2},
            "The thing 'thing' has no option part.raet (did you mean 'rate'?); its options are: size",
        ),
        ({"size": 1, "free": 2}, "has no option part.free"),  # given by the program, not the user's
        ({}, "The thing 'thing' needs part.size; add part.size=VALUE."),
        ({"size": "big"}, "part.size is 'big', expected a whole number; correct it."),
        ({"size": 1.0}, "part.size is 1.0, expected a whole number; correct it."),
        ({"size": True}, "part.size is True, expected a whole number; correct it."),
        ({"size": None}, "part.size is None, expected a whole number; correct it."),
        ({"size": 1, "rate": "high"}, "part.rate is 'high', expected a number; correct it."),
        ({"size": 1, "rate": False}, "part.rate is False, expected a number; correct it."),
        ({"size": 1, "fast": "yes"}, "part.fast is 'yes', expected true or false; correct it."),
        ({"size": 1, "fast": 1}, "part.fast is 1, expected true or false; correct it."),
        ({"size": 1, "name": 5}, "part.name is 5, expected a text; correct it."),
        ({"size": 1, "path": 5}, "part.path is 5, expected a text or null; correct it."),
    ],
)
def test_bad_options_are_refused(things, options, message):
    with pytest.raises(ConfigError) as caught:
        construct(things, "thing", options, "part", free=None)
    assert message in str(caught.value)


def test_what_has_no_plain_type_is_left_to_the_target():
    assert coerced([1, "two"], list, "x") == [1, "two"]
    assert coerced({"a": 1}, dict[str, int], "x") == {"a": 1}
    assert coerced("anything", tuple[str, ...], "x") == "anything"


# ---------------------------------------------------------------- seeds


def test_seeds_are_the_same_on_every_machine():
    assert seed_of(0) == 0x5FECEB66FFC86F  # the first 7 bytes of SHA-256("0")
    assert (
        seed_of(0, "gurlitt", "student") == 0xA2FEB0E6544D96
    )  # of SHA-256("0", "gurlitt" and "student" with 0x1f between)


@given(st.integers(), st.lists(st.text(), max_size=3))
def test_seeds_fit_any_generator(seed, names):
    assert 0 <= seed_of(seed, *names) < 2**56


def test_seeds_differ_by_seed_name_and_place_of_the_name():
    seeds = [
        seed_of(0, "a", "b"),
        seed_of(1, "a", "b"),
        seed_of(0, "b", "a"),
        seed_of(0, "ab"),
        seed_of(0, "a"),
        seed_of(0, "a", "b", ""),
    ]
    assert len(set(seeds)) == len(seeds)


def test_names_may_hold_half_a_surrogate_pair():
    assert seed_of(0, "\ud800") != seed_of(0, "\ud801")


# ---------------------------------------------------------------- examples in docstrings


@pytest.mark.parametrize("module", ["continual", "continual.registry", "continual.seeding"])
def test_examples_in_docstrings_run(module):
    result = doctest.testmod(importlib.import_module(module))
    assert result.attempted
    assert not result.failed


# ---------------------------------------------------------------- nothing heavy


def test_the_registries_import_nothing_heavy():
    """`continual ls` and `continual --help` answer before torch would have been imported."""
    program = (
        "import sys, json, continual, streams, continual.construction, continual.backbone, continual.tuning, "
        "continual.transfer, continual.methods, continual.baselines, continual.participant, continual.pool, "
        "continual.evaluation, continual.tracking; "
        "print(json.dumps([name for name in sys.modules if '.' not in name]))"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    heavy = {
        "torch",
        "transformers",
        "datasets",
        "pandas",
        "numpy",
        "mlflow",
        "matplotlib",
        "sklearn",
        "faiss",
        "scipy",
    }
    assert not heavy & set(json.loads(found.stdout))
