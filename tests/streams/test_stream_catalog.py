"""Sources and streams from plain mappings, the public names, and the configurations of the project."""

import doctest
import importlib
import subprocess
import sys

import pytest
from stream_files import CONFIGS, resolved

from streams.catalog import KINDS, build_source, build_stream, describe_stream, source_class
from streams.errors import StreamError
from streams.source import TaskSource


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_a_source_whose_options_have_help(kind):
    cls = source_class(kind)
    assert cls.__doc__
    source = build_source({"kind": kind})
    assert source.name == kind
    assert isinstance(source, cls)
    assert all(option.help for option in describe_stream(kind))
    names = [option.name for option in describe_stream(kind)]
    assert len(set(names)) == len(names)
    assert {"kind", "name", "order", "max_train", "split_seed", "tasks"} <= set(names)


def test_the_protocol_is_fulfilled():
    assert isinstance(build_source({"kind": "simulated"}), TaskSource)


def test_a_stream_takes_its_seed_for_the_splits_unless_told_otherwise():
    config = {"kind": "simulated", "train": 10, "order": "shuffle"}
    stream = build_stream(config, seed=7)
    assert (stream.seed, stream.source.split_seed) == (7, 7)
    assert build_stream({**config, "split_seed": 1}, seed=7).source.split_seed == 1


def test_caps_and_order_reach_the_manager():
    stream = build_stream(
        {
            "kind": "simulated",
            "name": "mine",
            "order": ["office"],
            "max_train": 9,
            "max_dev": 8,
            "max_test": 7,
        }
    )
    assert (stream.name, stream.names, stream.caps) == (
        "mine",
        ("office",),
        {"train": 9, "dev": 8, "test": 7},
    )


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({}, "needs the key 'kind'; choose one of simulated, table"),
        ({"kind": "tabel"}, r"no kind of stream named 'tabel' \(did you mean 'table'\?\)"),
        ({"kind": "table", "txt": "x"}, r"Stream 'table' has an unknown key 'txt' \(did you mean 'text'\?\)"),
        (
            {"kind": "table", "name": "n", "max_trian": 1},
            r"Stream 'n' has an unknown key 'max_trian' \(did you mean 'max_train'",
        ),
        (
            {"kind": "table", "max_train": "many"},
            "needs a whole number or null for the key 'max_train', but found 'many'",
        ),
        ({"kind": "simulated", "order": "sorted"}, "'listed' or 'shuffle' or a list of text"),
        ({"kind": "simulated", "order": ["attic"]}, "unknown task 'attic'"),
        ({"kind": "coaid", "documents": ["blogs"]}, "a list of 'news' or 'claim'"),
        ({"kind": "translation", "direction": "german"}, "the direction 'german'; expected two language codes"),
        ({"kind": "translation", "header": "en"}, "a list of text or null for the key 'header'"),
        ({"kind": "pheme", "path": "/nowhere/pheme.tsv"}, "the folder /nowhere is missing or empty"),
    ],
)
def test_bad_configurations_end_in_one_sentence(config, words):
    with pytest.raises(StreamError, match=words) as error:
        build_stream(config)
    assert "\n" not in str(error.value)


def test_a_source_refuses_keys_of_the_stream():
    with pytest.raises(StreamError, match="unknown key 'max_train'"):
        build_source({"kind": "simulated", "max_train": 3})


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_configurations_name_known_keys_and_explain_themselves(path):
    text = path.read_text()
    assert text.startswith("# ")
    config = resolved(path)
    assert config["name"] == path.stem
    assert config["description"]
    assert "split_seed: ${seed}" in text
    known = {option.name for option in describe_stream(config["kind"])}
    assert set(config) <= known
    own = {"kind", "description", "order", "max_train", "max_dev", "max_test"}
    assert (
        build_source({key: value for key, value in config.items() if key == "kind" or key not in own}).name == path.stem
    )


def test_all_streams_of_the_readme_are_there():
    expected = (
        "quickstart simulated pheme twitter1516 coaid cl5 cl10 fewshot16 table folders hub "
        "stance_semeval stance_simulated mixed mt6 mt_small translation translation_table translation_hub "
        "simulated_translation"
    )
    assert {path.stem for path in CONFIGS} == set(expected.split())


def test_quickstart_is_small_and_has_every_kind_of_similarity():
    stream = build_stream(resolved(next(path for path in CONFIGS if path.stem == "quickstart")))
    assert len(stream) == 6
    assert {round(value, 1) for value in stream.source.similarity.flatten()} == {
        -1.0,
        -0.8,
        0.0,
        0.5,
        0.8,
        1.0,
    }


def test_importing_loads_nothing_heavy():
    code = (
        "import sys, streams, streams.catalog;"
        "[streams.catalog.source_class(kind) for kind in ('pheme', 'translation', 'simulated_translation')];"
        "heavy = {'datasets', 'pandas', 'pyarrow', 'numpy', 'torch', 'continual'};"
        "print(heavy & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert result.stdout.strip() == "set()"


@pytest.mark.parametrize(
    "module",
    ["streams", "streams.catalog", "streams.manager", "streams.stance", "streams.joined", "streams.splits"],
)
def test_examples_in_docstrings_hold(module):
    outcome = doctest.testmod(importlib.import_module(module))
    assert outcome.attempted > 0
    assert outcome.failed == 0
