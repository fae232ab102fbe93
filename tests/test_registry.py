"""The registry, the construction of registered things from config sections, and seeds."""

import doctest
import importlib
import json
import subprocess
import sys
import types

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continual.backbone import BACKBONES
from continual.baselines import BASELINES
from continual.construction import coerced, construct
from continual.errors import ConfigError
from continual.evaluation.metric import Metric
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
    assert things.names() == list(things) == [entry.name for entry in things.values()] == ["thing", "missing"]
    assert "thing" in things
    assert "nothing" not in things
    assert things.entry("thing").paper == "Nobody 2020"
    assert things.load("thing") is Thing
    assert len(things) == 2
    assert things["thing"] is things.entry("thing")
    assert things.get("nothing") is None
    with pytest.raises(ConfigError, match=r"no thing named \['thing'\]"):
        things.load(["thing"])


def test_a_name_is_taken_once(things):
    sentence = rf"thing 'thing' is registered already, as {__name__}:Thing, and cannot be math:pi as well; choose"
    with pytest.raises(ConfigError, match=sentence):
        things.add("thing", "math:pi", "")
    with pytest.raises(ConfigError, match="registered already"):
        things.register("thing")(lambda: None)


def test_the_same_thing_may_come_again_and_the_newer_one_counts(things):
    """As from a cell of a notebook that is run a second time."""

    def cell(answer):
        @things.register("mine", help="of my own")
        class Mine:
            value = answer

        return Mine

    cell(1)
    newer = cell(2)
    assert things.load("mine") is newer
    things.add("thing", f"{__name__}:Thing", "for tests")
    assert things.names() == ["thing", "missing", "mine"]


def test_a_package_may_offer_in_one_module_what_it_defines_in_another(things):
    things.add("pi", "numbers_of_mine:Pi")
    things.add("pi", "numbers_of_mine.circles:Pi")
    with pytest.raises(ConfigError, match="registered already"):
        things.add("pi", "numbers_of_others:Pi")


def test_things_are_registered_themselves_and_helped_by_their_docstrings(things):
    @things.register("half", paper="Nobody 2021")
    def half(number: int) -> float:
        """Half of a number.

        And more.
        """
        return number / 2

    assert things.load("half")(3) == 1.5
    entry = things.entry("half")
    assert (entry.help, entry.paper) == ("Half of a number", "Nobody 2021")
    assert entry.target == f"{__name__}:{half.__qualname__}"


@pytest.mark.parametrize("target", ["no colon", "module:", ":attribute", 7])
def test_what_is_no_target_is_refused(things, target):
    with pytest.raises(ConfigError, match=r"expected a class, a function, or where it lives, as 'package\.module:attr"):
        things.add("odd", target, "")


def test_what_cannot_be_imported_is_one_sentence(things, tmp_path, monkeypatch):
    with pytest.raises(ConfigError) as caught:
        things.load("missing")
    assert str(caught.value) == (
        "The thing 'missing' is registered as no.such.module:Thing, but the module 'no.such.module' cannot be imported "
        "(ModuleNotFoundError: No module named 'no'); correct the name or the module, or install what is missing."
    )
    (tmp_path / "broken_part.py").write_text("import math\nmath.no_such_thing()\n")
    (tmp_path / "unclosed_part.py").write_text("numbers = [1,\n")
    monkeypatch.syspath_prepend(tmp_path)
    things.add("broken", "broken_part:Thing")
    with pytest.raises(ConfigError, match=r"no attribute 'no_such_thing', .*broken_part\.py, line 2\); correct"):
        things.load("broken")
    things.add("unclosed", "unclosed_part:Thing")
    with pytest.raises(ConfigError, match=r"SyntaxError: '\[' was never closed, .*unclosed_part\.py, line 1\)"):
        things.load("unclosed")
    things.add("renamed", "math:tau_squared")
    with pytest.raises(ConfigError, match=r"registered as math:tau_squared, but there is no such thing in that module"):
        things.load("renamed")


def test_one_of_your_own_is_told_how_it_becomes_known():
    with pytest.raises(ConfigError, match=r"one of your own is known once what registers it is imported"):
        METHODS.load("zzz")
    with pytest.raises(ConfigError) as caught:
        METHODS.load("pnada")
    assert str(caught.value).endswith("olora.")


# ---------------------------------------------------------------- what installed packages offer


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Puts a package with entry points where Python finds it."""

    def put(name: str, group: str, points: dict[str, str], **modules: str) -> None:
        about = tmp_path / f"{name}-0.3.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.3\n")
        lines = "".join(f"{key} = {value}\n" for key, value in points.items())
        (about / "entry_points.txt").write_text(f"[{group}]\n{lines}")
        for module, text in modules.items():
            (tmp_path / f"{module}.py").write_text(text)

    monkeypatch.syspath_prepend(tmp_path)
    return put


def test_entry_points_are_read_when_a_name_is_unknown_or_names_are_listed(install):
    things = Registry("thing", "tests.things")
    things.add("own", f"{__name__}:Thing", "of this program")
    install("offering", "tests.things", {"offered": "offering_module:Offered"}, offering_module="class Offered: ...")
    things.load("own")
    assert not things._looked
    assert things.load("offered").__module__ == "offering_module"
    assert things.names() == ["own", "offered"]
    assert things.entry("offered").help == "of the package offering 0.3"
    assert things.entry("own").help == "of this program"


def test_what_a_module_says_of_itself_completes_its_entry_point(install):
    """The module registers itself as well, in another file of its package, with more words."""
    code = (
        "from unittest.mock import sentinel\nfrom tests_things import REGISTRY\n"
        "@REGISTRY.register('whole', help='the whole of it', formula='1')\ndef whole(): return 1\n"
    )
    registry = Registry("metric", "tests.wholes", entry=Metric, complete=True)
    module = types.ModuleType("tests_things")
    module.REGISTRY = registry
    install("whole-metrics", "tests.wholes", {"whole": "wholes:whole"}, wholes=code)
    sys.modules["tests_things"] = module
    try:
        assert [(it.name, it.help, it.formula, it.function()) for it in registry.values()] == [
            ("whole", "the whole of it", "1", 1)
        ]
    finally:
        del sys.modules["tests_things"]


def test_a_package_cannot_take_a_name_that_is_there(install):
    things = Registry("thing", "tests.taken")
    things.add("own", f"{__name__}:Thing", "of this program")
    install("taker", "tests.taken", {"own": "taker_module:Other"})
    assert things.load("own") is Thing
    for _ in range(2):  # it is told again, and not only the first time
        with pytest.raises(ConfigError) as caught:
            things.names()
        assert str(caught.value) == (
            f"The thing 'own' of the package taker 0.3 is taker_module:Other, but {__name__}:Thing has that name "
            "already; uninstall one of them."
        )


def test_every_registry_that_users_extend_has_a_group_of_its_own():
    from continual.evaluation.stream_metrics import STREAM_METRICS
    from continual.evaluation.task_metrics import TASK_METRICS
    from continual.evaluation.text_metrics import TEXT_METRICS
    from continual.growth import EXPANSIONS
    from continual.growth.carrying import CARRIERS
    from continual.students import STUDENTS
    from streams.catalog import KINDS

    registries = [METHODS, BASELINES, TUNINGS, BACKBONES, TRANSFERABILITY, EXPANSIONS, CARRIERS, STUDENTS, KINDS]
    registries += [STREAM_METRICS, TASK_METRICS, TEXT_METRICS]
    groups = [registry.group for registry in registries]
    assert all(group.startswith("continual.") for group in groups)
    assert len(set(groups)) == len(groups)


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
    for entry in registry.values():
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
        ({"size": 1, "name": None}, "part.name is None, expected text; correct it."),
        ({"size": 1, "path": ["a"]}, "part.path is ['a'], expected text or null; correct it."),
    ],
)
def test_bad_options_are_refused(things, options, message):
    with pytest.raises(ConfigError) as caught:
        construct(things, "thing", options, "part", free=None)
    assert message in str(caught.value)


def test_what_has_no_type_is_left_to_the_target(things):
    assert coerced([1, "two"], list, "x") == [1, "two"]
    assert coerced({"a": 1}, dict[str, int], "x") == {"a": 1}
    assert construct(things, "thing", {"size": 1, "free": ["any", {"thing": 1}]}, "part").options["free"]
    with pytest.raises(ConfigError, match="x is 'anything', expected a list of text; correct it"):
        coerced("anything", tuple[str, ...], "x")


LATE = """
from __future__ import annotations
import dataclasses
from typing import TYPE_CHECKING, Literal
if TYPE_CHECKING:
    from continual.backbone.encoder import Encoder

@dataclasses.dataclass
class Shape:
    sides: int
    lengths: list[float] = dataclasses.field(default_factory=list)

class Late:
    def __init__(
        self, count: int, rate: float = 1, kind: Literal["fast", "slow"] = "fast", names: tuple[str, ...] = (),
        shape: Shape | None = None, form: Shape = Shape(3), encoder: Encoder | None = None, **more: int,
    ) -> None:
        self.options = {key: value for key, value in locals().items() if key != "self"}
"""


@pytest.fixture
def late(tmp_path, monkeypatch) -> Registry:
    """What a module registers whose annotations are texts."""
    (tmp_path / "late_part.py").write_text(LATE)
    monkeypatch.syspath_prepend(tmp_path)
    registry = Registry("thing")
    registry.add("late", "late_part:Late")
    yield registry
    sys.modules.pop("late_part", None)


def test_annotations_that_are_texts_are_checked_too(late):
    options = {"count": 2, "rate": 1, "names": ["a", 7], "form": {"sides": 4, "lengths": [1, 2]}, "further": "x"}
    made = construct(late, "late", options | {"encoder": "what is for type checkers alone"}, "part").options
    assert (made["count"], made["names"], made["more"]) == (2, ("a", "7"), {"further": "x"})
    assert type(made["rate"]) is float
    assert (made["form"].sides, made["form"].lengths) == (4, [1.0, 2.0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": "three"}, "part.count is 'three', expected a whole number; correct it."),
        ({"count": 1, "kind": "mid"}, "part.kind is 'mid', expected 'fast' or 'slow'; correct it."),
        ({"count": 1, "names": "abc"}, "part.names is 'abc', expected a list of text; correct it."),
        ({"count": 1, "form": {"sides": "x"}}, "part.form.sides is 'x', expected a whole number; correct it."),
        ({"count": 1, "form": {"side": 1}}, "There is no setting 'part.form.side' (did you mean 'sides'?)"),
        ({"count": 1, "form": {}}, "part.form needs part.form.sides; add part.form.sides=VALUE."),
        ({"count": 1, "form": 4}, "part.form is 4, expected settings such as part.form.sides=VALUE."),
    ],
)
def test_and_refused(late, options, message):
    with pytest.raises(ConfigError) as caught:
        construct(late, "late", options, "part")
    assert message in str(caught.value)


def test_a_class_has_the_name_that_it_is_registered_by(things):
    @things.register("nameless")
    class Nameless:
        name = ""

    with pytest.raises(ConfigError, match=r"Nameless, whose own name is ''; set name = 'nameless' in it"):
        construct(things, "nameless", {}, "part")


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


@pytest.mark.parametrize("module", ["continual", "streams.registry", "continual.seeding"])
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
