"""What follows from a grid, worked by hand."""

import pytest
from made_up_grids import make_measured, outcome

from continual.evaluation.typed import from_json, to_json
from continual.grid.findings import Findings, findings
from continual.grid.records import Own, Pair

# Target x: own .6; sources a, b, c. Target a is a source too and has no transfer from itself.
FIRST = {("a", "x"): 0.3, ("b", "x"): 0.5, ("c", "x"): 0.4, ("b", "a"): 0.5, ("c", "a"): 0.5}
TRANSFER = {("a", "x"): 0.5, ("b", "x"): 0.7, ("c", "x"): 0.3, ("b", "a"): 0.7, ("c", "a"): 0.7}
PANDA = {("a", "x"): 0.6, ("b", "x"): 0.7, ("c", "x"): 0.62, ("b", "a"): 0.8, ("c", "a"): 0.8}
SCORES = {("a", "x"): 0.1, ("b", "x"): 0.9, ("c", "x"): 0.2, ("b", "a"): 0.3, ("c", "a"): 0.4}
OWN = {"a": 0.8, "b": 0.9, "c": 0.9, "x": 0.6}


def small(seed=0, shift=0.0):
    own = [Own(task, seed, outcome(0.4, dev, dev - 0.1)) for task, dev in OWN.items()]
    pairs = [
        Pair(
            *names,
            seed,
            {"panda": SCORES[names], "on": None},
            outcome(FIRST[names], TRANSFER[names] + shift),
            outcome(0.0, PANDA[names] + shift),
            True,
        )
        for names in FIRST
    ]
    return own, pairs


def measured(*parts, **changes):
    own, pairs = ([item for part in parts for item in part[kind]] for kind in (0, 1))
    seeds = tuple(dict.fromkeys(item.seed for item in own))
    return make_measured(("a", "b", "c"), ("x", "a"), seeds, own=own, pairs=pairs, **changes)


def test_tables_and_scratch():
    found = findings(measured(small()))
    assert found.scratch["x"] == pytest.approx({"first": 0.4, "dev": 0.6, "test": 0.5})
    assert found.tables["transfer_first"] == [[0.3, None], [0.5, 0.5], [0.4, 0.5]]
    assert found.tables["panda"] == [[0.1, None], [0.9, 0.3], [0.2, 0.4]]
    assert found.tables["on"] == [[None, None]] * 3


def test_spearman_for_each_target():
    found = findings(measured(small())).spearman
    # x: scores .1 .9 .2 and first epochs .3 .5 .4 have the same order. a: two sources with equal first epochs.
    assert found["panda"].targets == {"x": pytest.approx(1.0), "a": None}
    assert found["panda"].mean == pytest.approx(1.0)
    assert found["panda"].seeds == [pytest.approx(1.0)]
    assert found["on"].mean is None


def test_orderings():
    order = findings(measured(small())).orderings["dev"]
    # Means over the sources, then over the targets x and a.
    assert order.scratch == pytest.approx((0.6 + 0.8) / 2)
    assert order.transfer == pytest.approx((0.5 + 0.7) / 2)
    assert order.panda == pytest.approx((0.64 + 0.8) / 2)
    assert order.transfer_gain.mean == pytest.approx(-0.1)
    assert order.panda_gain.mean == pytest.approx(0.02)
    assert order.panda_over_transfer.mean == pytest.approx(0.12)
    assert (order.panda_gain.low, order.panda_gain.high) == (None, None)
    # Gains of the sources: a -.1; b (.1 - .1) / 2; c (-.3 - .1) / 2.
    assert (order.transfer_spread.low, order.transfer_spread.high) == pytest.approx((-0.2, 0.0))
    assert order.transfer_spread.deviation == pytest.approx(0.1)
    # Of PANDA: a 0; b (.1 + 0) / 2; c (.02 + 0) / 2.
    assert (order.panda_spread.low, order.panda_spread.high) == pytest.approx((0.0, 0.05))
    assert list(order.holds.values()) == [None] * 4  # one seed decides nothing


def test_orderings_that_do_not_hold():
    order = findings(measured(small(0, shift=0.2), small(1, shift=0.2))).orderings
    assert list(order["dev"].holds.values()) == [False, True, True, True]
    both = []
    for seed in (0, 1):
        own, pairs = small(seed)
        swap = [Pair(it.source, it.target, it.seed, it.scores, it.panda, it.transfer, it.distilled) for it in pairs]
        both.append((own, swap))
    order = findings(measured(*both)).orderings
    assert list(order["dev"].holds.values()) == [False, False, False, False]


def test_seeds_are_averaged_and_give_an_interval():
    found = findings(measured(small(0), small(1, shift=0.1)))
    assert found.tables["transfer_dev"][0][0] == pytest.approx(0.55)
    gain = found.orderings["dev"].transfer_gain
    assert gain.mean == pytest.approx(-0.05)
    assert gain.low < gain.mean < gain.high
    assert len(found.spearman["panda"].seeds) == 2


def test_an_interval_with_zero_in_it_decides_nothing():
    order = findings(measured(small(0), small(1, shift=0.1))).orderings["dev"]
    assert order.transfer_gain.low < 0 < order.transfer_gain.high  # gains of -.1 and 0
    assert order.holds["Vanilla transfer below scratch"] is None
    order = findings(measured(small(0), small(1))).orderings["dev"]  # twice the same
    assert list(order.holds.values()) == [True] * 4
    assert order.spread_difference.mean == pytest.approx(order.panda_spread.deviation - 0.1)


def test_only_what_is_asked_for_counts():
    both = measured(small(0), small(1, shift=0.1))
    both.seeds = [0]
    assert to_json(findings(both)) == to_json(findings(measured(small(0))))


def test_one_source_has_no_spread():
    grid = measured(small())
    grid.sources = ["b"]
    order = findings(grid).orderings["dev"]
    assert order.transfer_spread.deviation is None
    assert order.holds["PANDA depends less on the source"] is None


def test_an_empty_grid_and_json():
    empty = make_measured(("a",), ("x",), own=[], pairs=[])
    assert findings(empty) == Findings({}, {name: [[None]] for name in findings(empty).tables}, {}, {})
    found = findings(measured(small()))
    assert from_json(Findings, to_json(found)) == found
