"""The report as a document: complete, escaped, self-contained."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_runs import CONFIG, EVENTS, make_summary

from continual.evaluation.report import render_report

_VOID = {"meta", "link", "br", "input", "path", "circle"}


class _Document(HTMLParser):
    """Checks that elements are closed in order; collects texts, ids and attributes."""

    def __init__(self, html: str):
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.texts: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.feed(html)
        self.close()
        assert not self.open, f"left open: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("script", "style"):
            self.texts.append(data)


RUNS = {
    "seven tasks": make_summary(),
    "one task": make_summary(("only",)),
    "fifteen long names": make_summary(tuple(f"{'long-' * 12}{index}" for index in range(15))),
    "unfinished": make_summary(learned=3, notes=["The tracking server was away."]),
    "nothing learned": make_summary(learned=0),
    "no routing": make_summary(routed=False),
    "other metric": make_summary(metric="chrf"),
}


@pytest.mark.parametrize("name", RUNS)
def test_is_well_formed_and_loads_nothing(name: str) -> None:
    html = render_report(RUNS[name].to_dict(), CONFIG)
    document = _Document(html)
    assert len(set(document.ids)) == len(document.ids)
    links = {value[1:] for _, key, value in document.attributes if key == "href" and value.startswith("#")}
    assert links <= set(document.ids)
    assert "http" not in re.sub(r'http-equiv="Content-Security-Policy"', "", html)
    assert not re.search(r"url\(|@import|\bsrc\s*=|//[a-z]+\.", html)
    assert "default-src &#39;none&#39;" in html or "default-src 'none'" in html
    assert "undefined" not in html.replace("=== undefined", "")
    assert not re.search(r"\b(None|nan|inf)\b", " ".join(document.texts))


def test_shows_what_the_run_has_to_say() -> None:
    summary = make_summary(notes=["The tracking server was away."])
    text = " ".join(_Document(render_report(summary.to_dict(), CONFIG)).texts)
    for words in (
        *EVENTS, "panda", "Nothing was forgotten.", "The tracking server was away.", "weight.kind", "metric",
        "2.13.0", "teacher-1", "341", "7,298", "1,240", "before any task", "Wilson interval",
    ):  # fmt: skip
        assert words in text


@pytest.mark.parametrize(
    ("changes", "present", "absent"),
    [
        ({}, ["sources", "routing", "tasks", "training"], []),
        ({"routed": False}, ["sources", "tasks"], ["routing"]),
        ({"learned": 0}, ["results", "matrix"], ["routing", "sources", "tasks", "training"]),
    ],
)
def test_sections_follow_the_data(changes: dict, present: list[str], absent: list[str]) -> None:
    ids = _Document(render_report(make_summary(**changes).to_dict(), CONFIG)).ids
    assert set(present) <= set(ids)
    assert not set(absent) & set(ids)


def test_an_unfinished_run_says_so() -> None:
    text = " ".join(_Document(render_report(make_summary(learned=3).to_dict(), {})).texts)
    assert "This run is not finished." in text
    assert "continual resume pheme-panda-0" in text
    html = render_report(make_summary(learned=3).to_dict(), {}, Path("runs/pheme-panda-0"))
    assert "<code>continual resume runs/pheme-panda-0</code>" in html
    assert "3 of 7" in text
    assert "The config of this run was not recorded." in text


EVIL = "</script><img src=x onerror=alert(1)>&\"'{{ 7*7 }}"


def test_every_string_is_escaped() -> None:
    summary = make_summary((EVIL, "b", EVIL + "2"), run=EVIL, stream=EVIL, method=EVIL, backbone=EVIL, notes=[EVIL])
    summary.tuning, summary.versions = EVIL, {EVIL: EVIL}
    for record in summary.per_task:
        for stage in record.stages:
            stage.name = EVIL
        for candidate in record.candidates:
            candidate.scores = {EVIL: 0.5}
    html = render_report(summary.to_dict(), {EVIL: EVIL, "group": {EVIL: [EVIL]}})
    document = _Document(html)
    assert not [tag for tag, _, _ in document.attributes if tag == "img"]
    assert html.count("<script") == html.count("</script") == 1
    assert "49" not in " ".join(document.texts).replace("7*7", "").split()


@settings(max_examples=25, deadline=None)
@given(st.text(), st.text())
def test_any_name_gives_a_file_in_utf_8(name: str, other: str) -> None:
    summary = make_summary(("a" + name, "b"), run=name)
    html = render_report(summary.to_dict(), {other: name})
    assert not re.search("[\x00-\x08\x0e-\x1f]", html)
    _Document(html.encode("utf-8").decode("utf-8"))


def test_half_a_surrogate_pair_is_replaced() -> None:
    assert "a\ufffdb" in render_report(make_summary(run="a\ud800b").to_dict(), {})


def test_nulls_everywhere() -> None:
    value = make_summary(learned=3).to_dict()
    for side in ("aware", "routed"):
        for key in value[side]:
            if key not in ("matrix", "extra"):
                value[side][key] = None
    for record in value["per_task"]:
        for key in record:
            if key != "task" and not isinstance(record[key], list):
                record[key] = None
    for key in ("train", "evaluate", "total"):
        value["seconds"][key] = None
    for key in ("examples_per_second", "trainable_parameters_per_task", "peak_memory_mb", "tuning"):
        value[key] = None
    text = " ".join(_Document(render_report(value, {"a": None})).texts)
    assert not re.search(r"\bNone\b", text)


def test_a_summary_of_another_shape_is_refused() -> None:
    value = make_summary().to_dict()
    value["aware"]["matrix"] = [[1]]
    with pytest.raises(ValueError, match=r"aware.matrix should have 8 rows"):
        render_report(value, {})
