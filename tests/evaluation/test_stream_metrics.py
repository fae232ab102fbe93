"""Stream metrics against matrices worked by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from continual.errors import ConfigError
from continual.evaluation.catalog import list_metrics
from continual.evaluation.matrix import ScoreMatrix
from continual.evaluation.stream_metrics import STREAM_METRICS, intransigence, stream_scores

NO = None

# Task a: best in the middle (0.90 after two tasks), then falls to 0.70. Task b rises after it was learned.
MIDDLE = [
    [0.50, 0.40, 0.30],
    [0.80, 0.50, 0.35],
    [0.90, 0.60, 0.50],
    [0.70, 0.80, 0.65],
]
GOLDEN = {
    "max in the middle": (
        MIDDLE,
        {
            "average": (0.70 + 0.80 + 0.65) / 3,
            "learning": (0.80 + 0.60 + 0.65) / 3,
            "anytime": (0.80 + (0.90 + 0.60) / 2 + (0.70 + 0.80 + 0.65) / 3) / 3,
            "forgetting": ((0.90 - 0.70) + (0.60 - 0.80)) / 2,
            "bwt": ((0.70 - 0.80) + (0.80 - 0.60)) / 2,
            "fwt": ((0.50 - 0.40) + (0.50 - 0.30)) / 2,
        },
    ),
    # Both earlier tasks end higher than ever before, so forgetting is below zero.
    "negative forgetting": (
        [[0.5, 0.5, 0.5], [0.6, 0.5, 0.5], [0.7, 0.6, 0.5], [0.8, 0.9, 0.6]],
        {
            "average": 2.3 / 3,
            "learning": 0.6,
            "anytime": (0.6 + 0.65 + 2.3 / 3) / 3,
            "forgetting": ((0.7 - 0.8) + (0.6 - 0.9)) / 2,
            "bwt": ((0.8 - 0.6) + (0.9 - 0.6)) / 2,
            "fwt": 0.0,
        },
    ),
    # What a pool of fixed prompts gives: columns stay as they are.
    "nothing forgotten": (
        [[0.5, 0.25], [0.75, 0.5], [0.75, 1.0]],
        {"average": 0.875, "learning": 0.875, "anytime": 0.8125, "forgetting": 0.0, "bwt": 0.0, "fwt": 0.25},
    ),
    "one task": (
        [[0.5], [0.9]],
        {"average": 0.9, "learning": 0.9, "anytime": 0.9, "forgetting": NO, "bwt": NO, "fwt": NO},
    ),
    "no task": (
        [[]],
        {"average": NO, "learning": NO, "anytime": NO, "forgetting": NO, "bwt": NO, "fwt": NO},
    ),
    "nothing learned yet": (
        [[0.5, 0.5], [NO, NO], [NO, NO]],
        {"average": NO, "learning": NO, "anytime": NO, "forgetting": NO, "bwt": NO, "fwt": NO},
    ),
    # Two of three tasks are learned: T is 2, the third column is not looked at.
    "unfinished": (
        [[0.5, 0.4, 0.3], [0.8, 0.5, NO], [0.6, 0.7, 0.4], [NO, NO, NO]],
        {
            "average": 0.65,
            "learning": 0.75,
            "anytime": (0.8 + 0.65) / 2,
            "forgetting": 0.8 - 0.6,
            "bwt": 0.6 - 0.8,
            "fwt": 0.5 - 0.4,
        },
    ),
    # Only learned tasks are evaluated, as most programs do: all but forward transfer is known.
    "lower triangle": (
        [[NO, NO], [0.8, NO], [0.6, 0.7]],
        {"average": 0.65, "learning": 0.75, "anytime": 0.725, "forgetting": 0.2, "bwt": -0.2, "fwt": NO},
    ),
    # The middle row is missing: the best score of a is unknown, the end is not.
    "hole": (
        [[NO] * 3, [0.8, NO, NO], [NO, 0.6, NO], [0.7, 0.5, 0.9]],
        {
            "average": 0.7,
            "learning": (0.8 + 0.6 + 0.9) / 3,
            "anytime": NO,
            "forgetting": NO,
            "bwt": ((0.7 - 0.8) + (0.5 - 0.6)) / 2,
            "fwt": NO,
        },
    ),
    "last row has a hole": (
        [[0.5, 0.5], [0.8, 0.5], [NO, 0.7]],
        {"average": NO, "learning": 0.75, "anytime": NO, "forgetting": NO, "bwt": NO, "fwt": 0.0},
    ),
}


def _matrix(rows: list) -> ScoreMatrix:
    return ScoreMatrix.from_json([f"task{index}" for index in range(len(rows) - 1)], rows)


@pytest.mark.parametrize("metric", ["average", "learning", "anytime", "forgetting", "bwt", "fwt"])
@pytest.mark.parametrize("case", GOLDEN)
def test_golden(case: str, metric: str) -> None:
    rows, expected = GOLDEN[case]
    value = STREAM_METRICS[metric].function(_matrix(rows))
    if expected[metric] is None:
        assert value is None
    else:
        assert value == pytest.approx(expected[metric], abs=1e-12)
    assert stream_scores(_matrix(rows))[metric] == value


def test_fixed_columns_forget_exactly_nothing() -> None:
    # 0.1 + 0.2 style rounding must not turn "exactly 0" into 1e-17.
    rows = [[NO] * 3, [0.1, NO, NO], [0.1, 0.7, NO], [0.1, 0.7, 0.3]]
    scores = stream_scores(_matrix(rows))
    assert scores["forgetting"] == 0.0
    assert scores["bwt"] == 0.0


@pytest.mark.parametrize(
    ("joint", "expected"),
    [
        ([0.9, 0.7, 0.6], (0.9 - 0.8 + 0.7 - 0.6 + 0.6 - 0.65) / 3),
        ({"task0": 0.9, "task1": 0.7, "task2": 0.6}, (0.1 + 0.1 - 0.05) / 3),
        ({"task0": 0.9}, None),
        (None, None),
    ],
)
def test_intransigence(joint, expected: float | None) -> None:
    value = intransigence(_matrix(MIDDLE), joint)
    assert value == (None if expected is None else pytest.approx(expected, abs=1e-12))


def test_intransigence_refuses_too_few_scores() -> None:
    with pytest.raises(ValueError, match="each of 3 tasks, found 2"):
        intransigence(_matrix(MIDDLE), [0.9, 0.8])


@given(st.integers(2, 6).flatmap(lambda size: st.lists(st.floats(0, 1), min_size=size, max_size=size)))
def test_prompts_that_never_change_forget_nothing(scores: list[float]) -> None:
    size = len(scores)
    rows = [[scores[task] if task < row else NO for task in range(size)] for row in range(size + 1)]
    values = stream_scores(_matrix(rows))
    assert values["forgetting"] == values["bwt"] == 0.0
    assert values["average"] == values["learning"] == pytest.approx(np.mean(scores))


@given(
    st.integers(2, 5).flatmap(
        lambda size: st.lists(
            st.lists(st.floats(0, 1), min_size=size, max_size=size), min_size=size + 1, max_size=size + 1
        )
    )
)
def test_forgetting_is_never_less_than_the_loss_since_learning(rows: list[list[float]]) -> None:
    values = stream_scores(_matrix(rows))
    assert values["forgetting"] >= -values["bwt"] - 1e-12


def test_the_listing_explains_every_metric() -> None:
    rows = list_metrics()
    assert [row["name"] for row in rows] == [
        "accuracy", "macro_f1", "stance_f1", "bleu", "chrf", "confusion",
        "average", "learning", "anytime", "forgetting", "bwt", "fwt", "intransigence",
    ]  # fmt: skip
    for row in rows:
        assert row["help"]
        assert row["formula"]
        assert "\n" not in row["help"] + row["formula"]
        assert row["better"] in ("higher", "lower", "neither")


def test_a_wrong_name_gets_a_suggestion() -> None:
    assert STREAM_METRICS.entry("forgetting").better == "lower"
    with pytest.raises(ConfigError, match=r"no metric named 'forgeting' \(did you mean 'forgetting'\?\)"):
        STREAM_METRICS.entry("forgeting")


def test_a_name_is_taken_once() -> None:
    with pytest.raises(ConfigError, match="'average' is registered already"):
        STREAM_METRICS.register("average", help="x", formula="x", better="higher")(len)
