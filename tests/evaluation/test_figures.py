"""The figures of the report: colours, numbers, ticks, curves, arcs."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_runs import EVENTS, make_summary

from continual.evaluation.figures import axes, curves, headline, heatmap, palette, sources, tables
from continual.evaluation.figures.numbers import count, decimals, duration, unit_of
from continual.evaluation.summary import Confusion, Source, TaskRecord

PERCENT = unit_of("accuracy")


@pytest.mark.parametrize("dark", [False, True])
def test_every_number_on_the_scale_can_be_read(dark: bool) -> None:
    fills = palette.fills(dark)
    assert len(set(fills)) == palette.STEPS
    for fill in fills:
        assert palette.contrast(fill, palette.readable_ink(fill)) >= 4.5  # WCAG 2, level AA for text


@pytest.mark.parametrize("dark", [False, True])
def test_lightness_alone_orders_the_scale(dark: bool) -> None:
    distance = [palette.contrast(fill, "#000000") for fill in palette.fills(dark)]
    assert distance == sorted(distance, reverse=not dark)


def test_contrast_as_wcag_defines_it() -> None:
    assert palette.contrast("#000000", "#ffffff") == pytest.approx(21)
    assert palette.contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize(
    ("value", "low", "high", "lowest", "step"),
    [
        (0, 0, 1, 0, 0), (1, 0, 1, 0, 20), (0.5, 0, 1, 0, 10), (-3, 0, 1, 0, 0), (9, 0, 1, 0, 20),
        (1, 1, 1, 0, 10), (0, 0, 1, 8, 8),
    ],
)  # fmt: skip
def test_steps(value: float, low: float, high: float, lowest: int, step: int) -> None:
    assert palette.step_of(value, low, high, lowest) == step


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"), (0, "0.00 s"), (0.416, "0.42 s"), (12.34, "12.3 s"), (99.96, "1 min 40 s"),
        (492, "8 min 12 s"), (3599.6, "1 h 0 min"), (7500, "2 h 5 min"),
    ],
)  # fmt: skip
def test_durations(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_numbers() -> None:
    assert PERCENT.score(0.88149) == "88.1"
    assert PERCENT.full(0.88149) == "88.1 %"
    assert PERCENT.full(None) == PERCENT.change(None) == "–"
    assert PERCENT.change(0.0123) == "+1.2"
    assert PERCENT.change(-0.0123) == "−1.2"
    assert PERCENT.change(-0.0001) == PERCENT.change(0.0) == "0.0"
    assert unit_of("chrf").full(0.5432) == "54.3"
    assert unit_of("perplexity").full(54.32) == "54.3"
    assert (count(12345.6), count(None), decimals(-0.004), decimals(54321.0)) == (
        "12,346",
        "–",
        "0.00",
        "54,321",
    )


@given(st.floats(-1e4, 1e4), st.floats(0.1, 10), st.integers(1, 12))
def test_ticks_are_few_even_and_inside(low: float, share: float, most: int) -> None:
    width = share * max(abs(low), 0.01)  # `spread` never gives a narrower range
    ticks = axes.nice_ticks(low, low + width, most)
    assert 1 <= len(ticks) <= most
    slack = 1e-6 * max(1.0, abs(low), width)
    assert all(low - slack <= tick <= low + width + slack for tick in ticks)
    steps = [second - first for first, second in pairwise(ticks)]
    assert all(math.isclose(step, steps[0], rel_tol=1e-6) for step in steps)


def test_ticks_by_hand() -> None:
    assert axes.nice_ticks(0.0, 100.0, 5) == [0, 25, 50, 75, 100]
    assert axes.nice_ticks(83.2, 94.1, 5) == [85, 87.5, 90, 92.5]
    assert axes.whole_ticks(1, 15, 8) == [1, 3, 5, 7, 9, 11, 13, 15]
    assert axes.whole_ticks(1, 1, 8) == [1]


@given(st.lists(st.floats(0, 1)))
def test_axes_hold_all_values_and_never_collapse(values: list[float]) -> None:
    low, high = axes.spread(values)
    assert low < high
    assert all(low <= value <= high for value in values)


def test_a_line_is_interrupted_where_nothing_is_known() -> None:
    assert axes.path_of([(0, 1), (1, 2), (2, None), (3, 4)]) == "M0 1L1 2M3 4"
    assert axes.path_of([]) == ""


def test_frame_maps_the_corners() -> None:
    frame = axes.Frame(100, 50, (0, 10), (0, 1), left=20, right=10, top=5, bottom=15)
    assert (frame.across(0), frame.across(10), frame.up(0), frame.up(1)) == (20, 90, 35, 5)


def test_average_so_far() -> None:
    rows = [[0.5, 0.5], [0.8, 0.6], [0.6, None]]
    chart = curves.average_chart({"aware": rows}, ["a", "b"], PERCENT)
    assert [dot.tip for dot in chart.lines[0].dots] == ["After 1 learned (a), task told: 80.0 %"]
    assert curves.average_chart({"aware": [[None], [None]]}, ["a"], PERCENT) is None


def test_a_task_is_drawn_from_its_own_step_on() -> None:
    rows = [[0.5, 0.5, 0.5], [0.8, 0.6, 0.5], [0.7, 0.9, 0.5], [None] * 3]
    panels = curves.task_panels({"aware": rows}, ["a", "b", "c"], PERCENT)
    assert [panel.title for panel in panels] == ["a", "b"]
    assert [len(panel.charts[0].lines[0].dots) for panel in panels] == [2, 1]
    assert panels[0].facts == [("learned at", "80.0"), ("now", "70.0")]


@pytest.mark.parametrize(
    ("stage", "role"),
    [("probe", "probe"), ("teacher-2", "teacher"), ("student", "student"), ("train", "student")],
)
def test_roles(stage: str, role: str) -> None:
    assert curves.role(stage) == role


def test_score_map_tells_learned_from_unlearned() -> None:
    rows = [[0.5, 0.5], [0.8, 0.6], [None, 0.9]]
    drawn = heatmap.score_map("x", ["a", "b"], rows, PERCENT, (0.5, 0.9))
    assert [[cell.kind for cell in row.cells] for row in drawn.rows] == [
        ["ahead", "ahead"],
        ["diagonal", "ahead"],
        ["missing", "diagonal"],
    ]
    assert [row.total for row in drawn.rows] == ["", "80.0", "–"]
    assert drawn.rows[2].cells[1].step == palette.STEPS - 1
    assert drawn.rows[1].cells[0].tip == "a, after learning 1: a: 80.0 % (just learned)"


def test_rows_without_a_score_are_not_drawn() -> None:
    rows = [[None, None], [0.8, None], [None, None]]
    drawn = heatmap.score_map("x", ["a", "b"], rows, PERCENT, (0, 1))
    assert [row.number for row in drawn.rows] == [1]


def test_colour_domain() -> None:
    assert heatmap.domain([[[0.52, None]], [[0.91]], None]) == (0.5, 0.95)
    assert heatmap.domain([]) == (0.0, 1.0)
    assert heatmap.domain([[[0.5]]]) == pytest.approx((0.45, 0.55))


def test_routing_shares_do_not_round_to_lies() -> None:
    drawn = heatmap.routing_map(Confusion(["a", "b"], ["a-v1", "b-v1"], [[999, 1], [0, 0]]))
    assert [cell.text for cell in drawn.rows[0].cells] == [">99", "<1"]
    assert [cell.text for cell in drawn.rows[1].cells] == ["·", "·"]
    assert drawn.rows[0].total == "1,000"


def test_sources_form_a_graph() -> None:
    records = [
        TaskRecord("a", "a-v1"),
        TaskRecord("b", "b-v1", sources=[Source("a-v1", 0.9), Source("old-v3", 0.2)]),
        TaskRecord("c", None),
    ]
    graph = sources.source_graph(records)
    assert [(node.prompt, node.number) for node in graph.nodes] == [
        ("old-v3", None),
        ("a-v1", 1),
        ("b-v1", 2),
    ]
    assert [(arc.source, arc.target, arc.score) for arc in graph.arcs] == [(0, 2, "0.20"), (1, 2, "0.90")]
    assert graph.arcs[0].weight < graph.arcs[1].weight
    assert graph.arcs[0].path.startswith("M100 28C")
    assert graph.labelled


def test_a_source_without_a_score_is_drawn_too() -> None:
    records = [TaskRecord("a", "a-v1"), TaskRecord("b", "b-v1", sources=[Source("a-v1", None)])]
    assert sources.source_graph(records).arcs[0].score == "–"


def test_a_crowded_graph_has_no_labels_on_its_arcs() -> None:
    graph = sources.source_graph(make_summary(tuple(f"t{index}" for index in range(15))).per_task)
    assert not graph.labelled
    assert all(0 <= arc.left <= 100 and 0 <= arc.top <= graph.height for arc in graph.arcs)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"learned": 0}, "No task has been learned yet."),
        ({"learned": 1}, "1 of 7 tasks learned in 4 min 22 s. The average accuracy is"),
        ({}, "7 tasks learned in 4 min 22 s."),
        ({}, "Nothing was forgotten."),
        ({"tasks": ("a",)}, "1 task learned"),
    ],
)
def test_lead(changes: dict, words: str) -> None:
    assert words in headline.lead(make_summary(**changes))


@pytest.mark.parametrize(
    ("forgetting", "words"),
    [(0.021, "Earlier tasks lost 2.1 points on average."), (-0.021, "Earlier tasks gained 2.1 points")],
)
def test_forgetting_in_words(forgetting: float, words: str) -> None:
    summary = make_summary()
    summary.aware.forgetting = forgetting
    assert words in headline.lead(summary)


def test_headline_numbers() -> None:
    assert [tile.label for tile in headline.tiles(make_summary())] == [
        "Accuracy, task told", "Accuracy, task not told", "Forgetting, task told", "Routing accuracy",
    ]  # fmt: skip
    assert len(headline.tiles(make_summary(routed=False))) == 2
    rows = headline.metric_rows(make_summary())
    assert [row.name for row in rows][-2:] == ["macro_f1", "unknown_rate"]


def test_task_rows() -> None:
    summary = make_summary()
    row = tables.task_rows(summary)[6]
    assert (row.number, row.task, row.prompt) == (7, EVENTS[6], "putinmissing-v1")
    assert row.learned == row.now
    assert " to " in row.interval
    assert row.metrics == ["panda", "on", "e_avg"]
    columns = zip(*(candidate.scores for candidate in row.candidates), strict=True)
    assert [sum(best for _, best in column) for column in columns] == [1, 1, 0]
    assert sum(candidate.used for candidate in row.candidates) == 2


def test_time_bars_fill_the_longest() -> None:
    bars = tables.time_bars(make_summary())
    assert max(bar.train + bar.evaluate for bar in bars) == pytest.approx(100, abs=0.02)
    assert tables.time_bars(make_summary(learned=0)) == []


def test_config_rows() -> None:
    config = {"seed": 1, "a": {"b": {"c": None, "d": [1, 2]}, "e": True, "f": {}}, "name": "x"}
    assert tables.config_rows(config) == [
        ("", [("seed", "1"), ("name", "x")]),
        ("a", [("b.c", "none"), ("b.d", "1, 2"), ("e", "yes"), ("f", "none")]),
    ]
