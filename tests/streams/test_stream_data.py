"""The real data: counts that are published with them, and the time it takes to read them."""

import time
from collections import Counter

import pytest
from stream_files import CONFIGS, resolved

from streams.catalog import build_source, build_stream
from streams.splits import text_key
from streams.task import SPLITS

pytestmark = pytest.mark.data

PHEME = {
    "charliehebdo": (1234, 458),
    "ferguson": (859, 284),
    "germanwings-crash": (231, 238),
    "ottawashooting": (420, 470),
    "sydneysiege": (699, 522),
    "gurlitt": (77, 61),
    "putinmissing": (112, 126),
    "prince-toronto": (4, 229),
    "ebola-essien": (0, 14),
}


def config(name, data_folder, **changes):
    return {**resolved(next(path for path in CONFIGS if path.stem == name), data_folder), **changes}


def counts(task):
    return Counter(example.label for split in SPLITS for example in task.examples(split))


def test_pheme_has_its_published_counts(data_folder):
    stream = build_stream(config("pheme", data_folder))
    assert stream.names == tuple(list(PHEME)[:7])
    for task in stream:
        found = counts(task)
        assert (found["non-rumour"], found["rumour"]) == PHEME[task.name]
        texts = {split: {text_key(text) for text in task.split(split)["text"]} for split in SPLITS}
        distinct = sum(map(len, texts.values()))
        assert distinct == sum(found.values()) - task.info["repeated_rows"]
        assert len(texts["test"]) == pytest.approx(0.25 * distinct, abs=1)
        assert len(texts["dev"]) == pytest.approx(0.10 * distinct, abs=1)


def test_pheme_is_read_in_under_a_second(data_folder):
    import datasets  # noqa: F401 - its import is not what is measured
    import pyarrow.compute  # noqa: F401

    start = time.perf_counter()
    for _ in build_stream(config("pheme", data_folder)):
        pass
    assert time.perf_counter() - start < 1.0


def test_quotes_in_pheme_are_standard_and_in_coaid_literal(data_folder):
    pheme = build_source({"kind": "pheme", "path": str(data_folder / "rumor" / "pheme.tsv.gz")})
    texts = " ".join(pheme.load("charliehebdo").train["text"])
    assert '""' not in texts
    assert '"' in texts
    coaid = build_source({"kind": "coaid", "path": str(data_folder / "rumor" / "coaid.tsv.gz")})
    assert coaid.load("05-01-2020").info["reading"] == {"quoting": "literal"}


def test_coaid_has_its_published_counts(data_folder):
    stream = build_stream(config("coaid", data_folder))
    assert [counts(task) for task in stream] == [
        {"fake": 590, "real": 1721},
        {"fake": 266, "real": 1167},
        {"fake": 56, "real": 919},
        {"fake": 31, "real": 907},
    ]


def test_twitter_keeps_its_published_test_split(data_folder):
    stream = build_stream(config("twitter1516", data_folder))
    assert [(task.name, len(task.test), task.info["splits"]["overlapping_rows_dropped"]) for task in stream] == [
        ("twitter15", 336, 52),
        ("twitter16", 184, 33),
    ]


def test_fewshot_draws_differ_and_are_whole(data_folder):
    draws = [build_stream(config("fewshot16", data_folder, draw=draw)).task("agnews") for draw in (0, 1, 2)]
    assert all((len(task.train), len(task.dev), len(task.test)) == (64, 64, 400) for task in draws)
    assert len({task.train["text"][0] for task in draws}) == 3
    stream = build_stream(config("fewshot16", data_folder))
    assert stream.names == ("dbpedia", "amazon", "yahoo", "agnews")


def test_the_translation_domains_have_their_published_splits(data_folder):
    stream = build_stream(config("mt6", data_folder, max_train=None, max_dev=None, max_test=None))
    assert {task.name: (len(task.train), len(task.dev), len(task.test)) for task in stream} == {
        "captions_multi30k": (28985, 1014, 1000),
        "opus_koran": (17785, 2000, 2000),
        "packages_ddtp": (36086, 1401, 2077),
        "everyday_tatoeba": (39998, 500, 1000),
        "docs_libreoffice": (31061, 953, 1720),
        "game_wesnoth": (15313, 500, 1000),
    }
    assert all(task.info["dropped"]["empty"] == 0 for task in map(stream.task, stream.names))
    koran = stream.task("opus_koran").info
    assert koran["splits"]["overlapping_rows_dropped"] == 42
    assert koran["splits"]["dev_rows_shared_with_test"] == 6
    assert koran["dropped"]["too_long"] == 62


def test_translation_domains_are_capped_the_same_way_for_both_directions(data_folder):
    for name, sizes in (("mt6", (10_000, 500, 1_000)), ("mt_small", (500, 100, 100))):
        there, back = (build_stream(config(name, data_folder, direction=way)) for way in ("en-de", "de-en"))
        assert len(there) == 6
        one, other = (stream.task("game_wesnoth") for stream in (there, back))
        assert tuple(len(one.split(split)) for split in SPLITS) == sizes
        assert list(one.train["text"]) == list(other.train["target"])


def test_the_long_streams_are_capped(data_folder):
    for name in ("cl5", "cl10"):
        for task in build_stream(config(name, data_folder)):
            assert len(task.train) <= 2000
            assert len(task.dev) <= 500
            assert len(task.test) <= 1000
