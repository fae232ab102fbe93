"""Every transferability metric against numbers worked by hand, and the ranking made from them."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from continual.errors import ConfigError
from continual.registry import Registry
from continual.transfer import TRANSFERABILITY, metrics, probe
from continual.transfer.metrics import Signature
from continual.transfer.ranking import rank


def signature(
    tokens=((1.0, 0.0),), shift=(1.0, 0.0), state=(1.0, 0.0), neurons=(1, 0), keys=((1.0, 0.0),)
) -> Signature:
    return Signature(
        torch.tensor(tokens),
        torch.tensor(shift),
        torch.tensor(state),
        torch.tensor(neurons, dtype=torch.uint8),
        torch.tensor(keys),
    )


HAND = [
    # (1, 2) . (2, 1) = 4, both of length sqrt 5.
    (metrics.panda, {"shift": (1.0, 2.0)}, {"shift": (2.0, 1.0)}, 4 / 5),
    (metrics.panda, {"shift": (1.0, 2.0)}, {"shift": (-3.0, -6.0)}, -1.0),
    (metrics.panda, {"shift": (1.0, 0.0)}, {"shift": (0.0, 5.0)}, 0.0),
    (metrics.panda, {"shift": (0.0, 0.0)}, {"shift": (1.0, 1.0)}, 0.0),
    (metrics.panda, {"shift": (1.0, 1.0)}, {"shift": (0.0, 0.0)}, 0.0),
    (metrics.panda, {"shift": (3e-9, 4e-9)}, {"shift": (3e-9, 0.0)}, 3 / 5),
    # (3, 4) . (4, 3) = 24, both of length 5.
    (metrics.panda_state, {"state": (3.0, 4.0)}, {"state": (4.0, 3.0)}, 24 / 25),
    # A = {0, 1, 2}, B = {1, 2, 3, 4}: 2 / sqrt(3 * 4).
    (metrics.activated_neurons, {"neurons": (1, 1, 1, 0, 0)}, {"neurons": (0, 1, 1, 1, 1)}, 2 / math.sqrt(12)),
    (metrics.activated_neurons, {"neurons": (1, 0, 1)}, {"neurons": (1, 0, 1)}, 1.0),
    (metrics.activated_neurons, {"neurons": (1, 0, 0)}, {"neurons": (0, 1, 1)}, 0.0),
    (metrics.activated_neurons, {"neurons": (0, 0, 0)}, {"neurons": (0, 1, 1)}, 0.0),
    (metrics.activated_neurons, {"neurons": (1, 0)}, {"neurons": (1, 0, 0)}, math.nan),
    (metrics.activated_neurons, {"neurons": ()}, {"neurons": ()}, math.nan),
    # Cosines of (1, 0), (0, 2) with (3, 4): 3/5, 4/5.
    (metrics.e_avg, {"tokens": ((1.0, 0.0), (0.0, 2.0))}, {"tokens": ((3.0, 4.0),)}, (3 / 5 + 4 / 5) / 2),
    # All four pairs, not only those of equal place: 1, 0, 0, 1.
    (metrics.e_avg, {"tokens": ((1.0, 0.0), (0.0, 1.0))}, {"tokens": ((1.0, 0.0), (0.0, 1.0))}, 1 / 2),
    # (1, 0, 0, 1) . (1, 0, 1, 0) = 1, both of length sqrt 2: order matters.
    (metrics.e_concat, {"tokens": ((1.0, 0.0), (0.0, 1.0))}, {"tokens": ((1.0, 0.0), (1.0, 0.0))}, 1 / 2),
    (metrics.e_concat, {"tokens": ((1.0, 0.0),)}, {"tokens": ((1.0, 0.0), (1.0, 0.0))}, math.nan),
    # Prompts of tunings that have no vectors to compare.
    (metrics.e_avg, {"tokens": ()}, {"tokens": ()}, math.nan),
    (metrics.e_concat, {"tokens": ()}, {"tokens": ()}, math.nan),
    # Target keys (1, 0), (0, 1); source keys (0.6, 0.8), (0.8, -0.6): best 0.8 and 0.8.
    (
        metrics.key_cosine,
        {"keys": ((0.6, 0.8), (0.8, -0.6))},
        {"keys": ((1.0, 0.0), (0.0, 1.0))},
        (0.8 + 0.8) / 2,
    ),
    # It is the target that must be covered: source (1, 0); target (1, 0), (0, 1): (1 + 0) / 2; and the other way 1.
    (metrics.key_cosine, {"keys": ((1.0, 0.0),)}, {"keys": ((1.0, 0.0), (0.0, 1.0))}, 1 / 2),
    (metrics.key_cosine, {"keys": ((1.0, 0.0), (0.0, 1.0))}, {"keys": ((1.0, 0.0),)}, 1.0),
]


@pytest.mark.parametrize(("metric", "source", "target", "expected"), HAND)
def test_metrics_by_hand(metric, source, target, expected):
    found = metric(signature(**source), signature(**target))
    assert isinstance(found, float)
    assert found == pytest.approx(expected, abs=1e-6, nan_ok=True)


@pytest.mark.parametrize("entry", TRANSFERABILITY.values(), ids=lambda entry: entry.name)
def test_every_registered_metric_is_explained_and_worked_by_hand(entry):
    assert entry.help
    assert entry.load() in {case[0] for case in HAND}


numbers = st.floats(-5, 5, width=32)
vectors = st.tuples(numbers, numbers, numbers)


def unit(rows) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.tensor(rows) + torch.tensor([9.0, 0.0, 0.0]), dim=1)


@st.composite
def signatures(draw) -> Signature:
    rows = draw(st.lists(vectors, min_size=2, max_size=2))
    on = torch.tensor(draw(st.lists(st.integers(0, 1), min_size=4, max_size=4)), dtype=torch.uint8)
    return Signature(torch.tensor(rows), torch.tensor(draw(vectors)), torch.tensor(draw(vectors)), on, unit(rows))


@pytest.mark.parametrize("entry", TRANSFERABILITY.values(), ids=lambda entry: entry.name)
@given(source=signatures(), target=signatures())
def test_metrics_are_between_minus_1_and_1_and_never_crash(entry, source, target):
    metric = entry.load()
    assert -1 - 1e-5 <= metric(source, target) <= 1 + 1e-5
    if entry.name != "key_cosine":
        assert metric(source, target) == pytest.approx(metric(target, source), abs=1e-5)
    if entry.name != "e_avg" and source.neurons.any() and source.shift.norm() > 1e-3 and source.state.norm() > 1e-3:
        assert metric(source, source) == pytest.approx(1.0, abs=1e-4) or not source.tokens.any()


# ---------------------------------------------------------------- ranking


def test_sources_are_ranked_best_first_with_all_their_scores():
    target = signature(shift=(1.0, 0.0))
    sources = [
        ("bad", signature(shift=(-1.0, 0.0))),
        ("good", signature(shift=(2.0, 0.0))),
        ("fair", signature(shift=(1.0, 1.0), tokens=((0.0, 1.0), (1.0, 0.0)))),
    ]
    ranked = rank(iter(sources), target, "panda")
    assert [item.prompt for item in ranked] == ["good", "fair", "bad"]
    assert [item.score for item in ranked] == pytest.approx([1.0, math.sqrt(0.5), -1.0])
    for item in ranked:
        assert list(item.scores) == TRANSFERABILITY.names()
        assert item.scores["panda"] == item.score
    assert ranked[1].scores["e_concat"] is None
    assert ranked[1].scores["e_avg"] == pytest.approx(0.5)


def test_what_the_metric_cannot_score_comes_last():
    target = signature(tokens=((1.0, 0.0),))
    long = signature(tokens=((1.0, 0.0), (1.0, 0.0)))
    opposite = signature(tokens=((-1.0, 0.0),))
    ranked = rank([("long", long), ("opposite", opposite)], target, "e_concat")
    assert [item.prompt for item in ranked] == ["opposite", "long"]
    assert ranked[1].score == -math.inf
    assert ranked[1].scores["e_concat"] is None


def test_ties_keep_the_order_in_which_texts_were_recalled():
    names = ["c", "a", "b"]
    ranked = rank([(name, signature()) for name in names], signature(), "panda")
    assert [item.prompt for item in ranked] == names


def test_no_sources_make_an_empty_ranking():
    assert rank([], signature(), "on") == []


def test_an_unknown_metric_is_refused_with_a_suggestion():
    with pytest.raises(ConfigError, match=r"no transferability metric named 'pandas' \(did you mean 'panda'\?\)"):
        rank([("a", signature())], signature(), "pandas")


def test_a_metric_of_ones_own():
    mine = Registry("transferability metric")
    mine.add("state", "continual.transfer.metrics:panda_state", "")
    (only,) = rank([("a", signature())], signature(), "state", mine)
    assert dict(only.scores) == {"state": 1.0}


# ---------------------------------------------------------------- the probe


def test_the_probe_has_not_changed():
    """Stored signatures are comparable only as long as these sentences stay the same."""
    assert len(set(probe.PROBE_TEXTS)) == 64
    assert probe.probe_version() == "cbd9157034b0"
