"""Tables of performance: what is shown of rows, of groups, and of what was not measured."""

import json

import pytest

from benchmarks import common
from benchmarks.measure import Row, Spread
from benchmarks.speed import PROMPT, SAVING
from benchmarks.tables import methods, performance, results


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for module in (common, results):
        monkeypatch.setattr(module, "RESULTS", tmp_path)
    return tmp_path


def of(*values: float, what: str = "a row", **more) -> Row:
    return Row.of(Spread.of(values), what, **more)


def test_a_row_shows_spread_number_and_verdict(folder):
    missed = of(1.0, 2.0, 3.0, against="before", goal="at least 4", met=False)
    common.save_group("speed", "step", [missed, of(5.0, what="once")], 12.3)
    lines = performance.table("speed").splitlines()
    assert "| a row | before | at least 4 | 2 times | 1 – 3 | 3 | **missed** | – |" in lines
    assert "| once | – | – | 5 times | – | 1 | – | – |" in lines
    assert lines[-1].endswith("(12 s in all).")


def test_a_group_whose_total_time_was_not_kept_says_so(folder):
    path = common.save_group("speed", "step", [of(1.0)], 1.0)
    value = json.loads(path.read_text())
    value["groups"]["step"]["seconds"] = None
    path.write_text(json.dumps(value))
    assert "total time not kept" in performance.table("speed")


def test_savings_and_kinds_of_prompts_have_tables_of_their_own(folder):
    rows = [of(2.0, 3.0, 4.0, what=f"{SAVING}no padding", against="padded"), of(1.5, what=f"{PROMPT}late")]
    common.save_group("speed", "savings", [*rows, of(9.0, what="other")], 1.0)
    assert "no padding" not in performance.table("speed")
    assert "| no padding | padded | 3 times | 2 – 4 | 3 |" in performance.savings()
    assert "late" in performance.prompts()
    assert "late" not in performance.savings()


def test_shares_are_shown_with_the_rest_last(folder):
    shares = {"rest": 0.5, "GELU": 0.3, "matrix products": 0.2}
    common.save_group("speed", "step", [of(1.0, what="a step", details={"shares": shares})], 1.0)
    assert "| a step | 30% | 20% | 50% |" in performance.profile()


def test_recalls(folder):
    found = {
        "recall": 8,
        "same": [5, 3],
        "score of the first": [0.5, 0.25],
        "best score": [0.5, 0.75],
        "seconds": Spread.of([0.1, 0.2, 0.3]).to_json(),
    }
    common.save_group("speed", "sources", [of(1.0, details={"recalls": [found]})], 1.0)
    assert "| 8 | 0.200 (0.100 – 0.300) | 5, 3 | 0.50 / 0.50, 0.25 / 0.75 |" in performance.recalls()


def test_what_was_not_measured_is_said(folder):
    tables = (performance.savings, performance.prompts, performance.profile, performance.recalls)
    assert {table() for table in tables} == {results.NOT_YET}
    assert performance.gpu() == performance.NO_GPU
    common.save_group("gpu", "gpu", [of(0.5, what="forward")], 1.0)
    assert "forward" in performance.gpu()


def measured(*routed: float, told: float = 0.9) -> dict:
    """A row of the comparison whose runs with the seeds 0, 1, ... are as accurate as given, the task not told."""
    mean = {"aware": told, "routed": sum(routed) / len(routed), "trained_parameters": 10, "seconds": 60.0}
    runs = {str(seed): {"routed": value} for seed, value in enumerate(routed)}
    return {"mean": mean | {"seeds": len(routed)}, "runs": runs}


def test_the_best_of_a_pool_meets_the_best_baseline_and_joint(folder):
    rows = {"spot": measured(0.8, 0.9), "scratch": measured(0.7, 0.7), "naive": measured(0.6, 0.8)}
    rows |= {"replay": measured(0.65, 0.65), "joint": measured(0.87, 0.87), "per_task": measured(0.99, 0.99)}
    common.save("methods", {"streams": {"pheme": rows, "cl5": {}, "fewshot16": {}}})
    line = methods.winner().splitlines()[-1]
    assert line.startswith("| `pheme` | `spot` 0.850 | `naive` 0.700 | +0.150 (")
    assert line.endswith("| 0.870 | `per_task` 0.990 | in the mean | **no** |")  # the interval has zero in it


def test_a_verdict_is_on_the_best_and_on_one_method_everywhere(folder):
    one = {"spot": measured(0.8, 0.82), "panda": measured(0.7, 0.71), "naive": measured(0.6, 0.61)}
    other = {"spot": measured(0.5, 0.5), "panda": measured(0.55, 0.56), "naive": measured(0.52, 0.53)}
    streams = {"pheme": one | {"joint": measured(0.8, 0.8)}, "cl5": other | {"joint": measured(0.5, 0.5)}}
    common.save("methods", {"streams": streams})
    lines = methods.winner().splitlines()
    assert "one method everywhere, `spot`" in lines[0]
    assert lines[2].endswith("| yes | yes |")
    assert lines[3].endswith("| yes; everywhere: **no** | yes |")


def test_the_overview_shows_what_is_not_measured_yet_as_a_dash(folder):
    streams = {"pheme": {"spot": measured(0.8, 0.9)}, "cl5": {"spot": measured(0.5)}, "fewshot16": {}}
    common.save("methods", {"streams": streams})
    lines = methods.overview().splitlines()
    assert "| `spot` | 0.900 | 0.850 | 0.900 | 0.500 | – | – | 10 | – |" in lines  # minutes of all streams or none
    assert lines[-1] == "Not finished: some rows have 1 of 3 seeds, a dash has none yet."
