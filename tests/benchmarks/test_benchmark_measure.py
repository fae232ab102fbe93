"""What the benchmarks compute beside measuring: spreads, operations, shares of time, stamps."""

import json

import pytest
import torch

from benchmarks import common
from benchmarks.measure import Row, Spread, alternately
from benchmarks.operations import Shape
from benchmarks.shares import shares


def test_a_ratio_is_taken_turn_by_turn():
    ratio = Spread.of([2.0, 8.0, 3.0]).over(Spread.of([1.0, 2.0, 3.0]))
    assert ratio.values == (2.0, 4.0, 1.0)
    assert (ratio.median, ratio.low, ratio.high) == (2.0, 1.0, 4.0)


def test_a_budget_ends_the_turns_but_not_the_first():
    found = alternately({"one": list, "two": dict}, repeats=50, budget=0.0)
    assert [len(spread.values) for spread in found.values()] == [1, 1]


def test_a_row_tells_its_spread_and_number():
    row = Row.of(Spread.of([1.0, 2.0, 4.0]), "a", met=True)
    assert (row.measured, row.low, row.high, row.n, row.verdict) == (2.0, 1.0, 4.0, 3, "met")
    assert row.spread == "1 – 4"
    assert Row("a", "", "", 1.0, None).spread == "–"
    assert Row.of(Spread.of([4.2]), "a", n="1 seed").spread == "–"
    assert Row.of(Spread.of([4.2, 5.0]), "a", n="1,000 queries").spread == "4.2 – 5"
    assert Row("a", "", "", 1.0, None).verdict == "–"
    assert Row(**json.loads(json.dumps(row.to_json()))) == row


def test_operations_by_hand():
    # One layer, width 2, inner 8, one text of 3 tokens, a prefix of 1: q, k, v, o 4 * 3*2*2 = 48; feed-forward
    # 2 * 3*2*8 = 96; attention 2 * 3 * (3 + 1) * 2 = 48; each multiplication counts twice.
    assert Shape(2, 8, 1).forward([3], layers=1) == 2 * (48 + 96 + 48)
    # Backward through the lowest layer: the output matrix 12, feed-forward 96, half of attention 24.
    assert Shape(2, 8, 1).step([3], layers=1) == 2 * (48 + 96 + 48) + 2 * (12 + 96 + 24)
    # A layer above it: all four matrices, feed-forward, attention twice.
    assert Shape(2, 8, 1).step([3], layers=2) == 4 * 192 + 2 * (48 + 96 + 96) + 2 * 132


def test_shares_add_up_and_name_the_work():
    left = torch.randn(400, 400)
    found = shares(lambda: left @ left)
    assert sum(found.values()) == pytest.approx(1)
    assert next(iter(found)) == "matrix products"


def test_a_group_has_a_stamp_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(common, "RESULTS", tmp_path)
    common.save_group("speed", "start", [Row("a", "", "", 1.0, None)], 2.0)
    before = json.loads((tmp_path / "speed.json").read_text())["groups"]["start"]
    common.save_group("speed", "step", [Row("b", "", "", 1.0, None)], 3.0, about="b")
    after = json.loads((tmp_path / "speed.json").read_text())
    assert after["groups"]["start"] == before
    assert before["seconds"] == 2.0
    assert set(before) == {"measured", "machine", "versions", "seconds", "rows"}
    assert after["about"] == "b"
