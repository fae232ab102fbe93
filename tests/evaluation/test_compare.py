"""Runs side by side."""

import csv
import io
import json

import pytest
from made_up_runs import make_summary

from continual.evaluation.compare import MEASURES, cell_text, compare, to_csv, to_markdown
from continual.evaluation.summary import Summary


def _run(seed: int, average: float, method: str = "panda", **changes) -> Summary:
    summary = make_summary(("a", "b"), seed=seed, run=f"{method}-{seed}", method=method, **changes)
    summary.aware.average = average
    return summary


@pytest.fixture
def six() -> list[Summary]:
    panda = [_run(seed, average) for seed, average in enumerate([0.80, 0.90, 0.70])]
    return [*panda, *(_run(seed, it, "scratch") for seed, it in enumerate([0.70, 0.75, 0.65]))]


def test_one_row_for_each_run(six: list[Summary]) -> None:
    rows = compare(reversed(six)).runs
    assert [row["run"] for row in rows] == [
        "panda-0",
        "panda-1",
        "panda-2",
        "scratch-0",
        "scratch-1",
        "scratch-2",
    ]
    assert rows[0]["average"] == 0.80
    assert rows[0]["tasks"] == 2
    assert set(MEASURES) < rows[0].keys()


def test_means_over_seeds_by_hand(six: list[Summary]) -> None:
    panda, scratch = compare(six).groups
    assert (panda["method"], panda["n"], panda["seeds"]) == ("panda", 3, [0, 1, 2])
    assert panda["average"] == pytest.approx(0.8)
    assert panda["average_high"] - panda["average"] == pytest.approx(4.302653 * 0.1 / 3**0.5, abs=1e-6)
    assert scratch["average"] == pytest.approx(0.7)
    assert panda["forgetting"] == 0.0


def test_paired_tests(six: list[Summary]) -> None:
    (test,) = compare(six).tests
    assert test["first"] == "pheme · panda · sentence-transformers/all-MiniLM-L6-v2 · late"
    assert test["seeds"] == [0, 1, 2]
    assert test["difference"] == pytest.approx(0.1)
    assert test["p_sign_flip"] == 0.25
    assert test["p_t"] == pytest.approx(0.0742, abs=1e-4)


def test_only_shared_seeds_are_paired_and_only_within_a_stream() -> None:
    runs = [_run(0, 0.8), _run(1, 0.9), _run(1, 0.7, "scratch"), _run(2, 0.7, "scratch")]
    assert compare(runs).tests == []
    elsewhere = [_run(seed, 0.5, "scratch", stream="coaid") for seed in (0, 1)]
    assert compare([*runs[:2], *elsewhere]).tests == []


def test_tuning_and_backbone_separate_groups() -> None:
    comparison = compare([_run(0, 0.8), _run(0, 0.8, tuning=None), _run(0, 0.8, backbone="other")])
    assert len(comparison.groups) == 3
    assert not comparison.notes


def test_an_unfinished_run_is_listed_but_enters_no_mean() -> None:
    comparison = compare([_run(0, 0.8), _run(1, 0.2, learned=1)])
    assert [row["finished"] for row in comparison.runs] == [True, False]
    assert comparison.groups[0]["n"] == 1
    assert comparison.notes == ["panda-1 is not finished and enters no mean."]


def test_a_mean_is_over_all_runs_or_none() -> None:
    group = compare([_run(0, 0.8), _run(1, 0.9, peak_memory_mb=None)]).groups[0]
    assert group["peak_memory_mb"] is None
    assert group["average"] == pytest.approx(0.85)


def test_doubtful_groups_are_pointed_out() -> None:
    first, second = _run(0, 0.8), _run(0, 0.9)
    other = make_summary(("a", "c"), seed=1)
    notes = compare([first, second, other]).notes
    assert any("more than one run with seed 0" in note for note in notes)
    assert any("different sets of tasks" in note for note in notes)


def test_nothing_to_compare() -> None:
    assert compare([]).to_dict() == {"runs": [], "groups": [], "tests": [], "notes": []}
    assert to_csv([]) == "\n"


def test_markdown(six: list[Summary]) -> None:
    groups = compare(six).groups
    assert to_markdown(groups, ["method", "n", "average", "forgetting"]) == (
        "| method | n | average | forgetting |\n"
        "| --- | ---: | ---: | ---: |\n"
        "| panda | 3 | 0.800 ± 0.248 | 0.000 ± 0.000 |\n"
        "| scratch | 3 | 0.700 ± 0.124 | 0.000 ± 0.000 |\n"
    )
    header = to_markdown(groups).splitlines()[0]
    assert "average |" in header
    assert "_low" not in header


def test_markdown_escapes_what_would_break_a_table() -> None:
    assert to_markdown([{"run": "a|b\nc\\"}]) == "| run |\n| --- |\n| a\\|b c\\\\ |\n"


def test_csv_keeps_full_precision(six: list[Summary]) -> None:
    six[0].aware.average = 1 / 3
    six[0].routed = None
    comparison = compare(six)
    rows = list(csv.DictReader(io.StringIO(to_csv(comparison.runs))))
    assert len(rows) == 6
    assert float(rows[0]["average"]) == 1 / 3
    assert rows[0]["routed_average"] == ""
    assert next(csv.DictReader(io.StringIO(to_csv(comparison.groups))))["seeds"] == "0 1 2"


def test_json(six: list[Summary]) -> None:
    comparison = compare(six)
    assert json.loads(json.dumps(comparison.to_dict(), allow_nan=False)) == comparison.to_dict()


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ({"x": None}, "–"),
        ({}, "–"),
        ({"x": True}, "yes"),
        ({"x": [0, 1]}, "0, 1"),
        ({"x": "late"}, "late"),
        ({"x": 7298}, "7298"),
        ({"x": 1234.56}, "1,234.6"),
        ({"x": 0.5, "x_low": None, "x_high": None}, "0.500"),
        ({"x": 0.5, "x_low": 0.4, "x_high": 0.6}, "0.500 ± 0.100"),
    ],
)
def test_cells(row: dict, text: str) -> None:
    assert cell_text(row, "x") == text
