"""The search of the comparison: one knob after the other, widened at the edge."""

import pytest

from benchmarks.methods.contestants import CONTESTANTS
from benchmarks.search import Knob, chosen, is_done, search

RATE = Knob("rate", (0.01, 0.03, 0.1), lower=(0.003, 0.001), higher=(0.3,))
WEIGHT = Knob("weight", (1.0, 10.0), higher=(100.0,), start=1.0)


@pytest.mark.parametrize(
    ("peak", "tried"),
    [(0.03, [0.01, 0.03, 0.1]), (0.1, [0.01, 0.03, 0.1, 0.3]), (0.001, [0.001, 0.003, 0.01, 0.03, 0.1])],
)
def test_a_knob_is_widened_while_its_best_value_is_at_the_edge(peak, tried):
    (found,) = search([RATE], lambda settings: -abs(settings[0][1] - peak))
    assert (list(found.scores), found.chosen) == (tried, peak)


def test_equal_scores_choose_the_lowest_value():
    (found,) = search([Knob("rate", (1.0, 2.0, 3.0))], lambda settings: float(settings[0][1] > 1))
    assert found.chosen == 2.0


def test_knobs_are_searched_in_turn_with_later_ones_at_their_start():
    asked = []

    def score(settings):
        asked.append(settings)
        return -abs(dict(settings)["rate"] - 0.03) - abs(dict(settings)["weight"] - 100.0)

    found = search([RATE, WEIGHT], score)
    assert chosen(found) == (("rate", 0.03), ("weight", 100.0))
    assert asked[:3] == [(("rate", value), ("weight", 1.0)) for value in RATE.values]
    assert asked[3:] == [(("rate", 0.03), ("weight", value)) for value in (1.0, 10.0, 100.0)]


def test_a_search_with_a_failure_is_not_done():
    found = search([RATE, WEIGHT], lambda settings: None if settings[0][1] == 0.1 else 0.5)
    assert not is_done(found)
    assert len(found) == 1
    assert found[0].scores == {0.01: 0.5, 0.03: 0.5}


@pytest.mark.parametrize("name", CONTESTANTS)
def test_spaces_are_in_order_and_hold_their_start(name):
    knobs = CONTESTANTS[name].knobs
    for knob in knobs:
        space = [*reversed(knob.lower), *knob.values, *knob.higher]
        assert space == sorted(set(space))
    assert all(knob.start in knob.values for knob in knobs[1:])
