"""The figure of a comparison: accuracy against trained parameters and time."""

import re
import struct
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import pytest
from made_up_runs import make_summary

from continual.errors import ConfigError, RunError
from continual.evaluation.compare import Comparison, compare
from continual.evaluation.comparison_page import draw
from continual.evaluation.figures import palette
from continual.evaluation.figures.costs import cost_drawing, score_limits
from continual.evaluation.figures.labels import Box, place_labels
from continual.evaluation.figures.scales import COSTS, scale_over, short_count, short_time
from continual.evaluation.figures.shapes import DARK, INKS, LIGHT, text_width, to_svg
from continual.evaluation.groups import Measured
from continual.evaluation.summary import Seconds

PARAMETERS, TIME = COSTS
BOX = Box(50, 20, 500, 240)
_SVG = "{http://www.w3.org/2000/svg}"


def comparison(methods: Sequence[str] = ("panda", "scratch"), seeds: int = 3, **changes) -> Comparison:
    runs = [
        make_summary(("a", "b"), seed=seed, run=f"{method}-{seed}", method=method, **changes)
        for method in methods
        for seed in range(seeds)
    ]
    return compare([Measured(run) for run in runs], methods[0])


@pytest.mark.parametrize(("colours", "page"), [(LIGHT, INKS["card"]), (DARK, "#161e2a")])
def test_the_colours_can_be_read_as_text(colours: Sequence[str], page: str) -> None:
    assert len(set(colours)) == len(LIGHT)
    assert min(palette.contrast(colour, page) for colour in colours) >= 4.5


def test_equal_costs_are_drawn_at_one_place_and_other_costs_where_the_axis_says() -> None:
    runs = [
        make_summary(("a", "b"), seed=seed, run=f"{name}{seed}", method=name, trainable_parameters_per_task=size)
        for name, size in [*((f"tuned-{number}", 22_000_000) for number in range(8)), ("a", 22_000), ("b", 220_000)]
        for seed in (0, 1)
    ]
    drawing = cost_drawing(compare([Measured(run) for run in runs]).groups)
    points = [disc for disc in drawing.discs if disc.x < drawing.width / 2 and "task told" in disc.tip]
    tuned, (a, b) = points[2:], points[:2]
    assert len({disc.x for disc in tuned}) == 1
    assert tuned[0].x - b.x == pytest.approx(2 * (b.x - a.x), abs=0.3)


def test_a_panel_is_as_high_as_its_names_in_one_column() -> None:
    few, many = (cost_drawing(comparison([f"m{number}" for number in range(n)]).groups) for n in (8, 30))
    assert many.height > few.height + 300


def test_names_in_the_figure_say_what_differs_within_a_stream_and_stay_inside() -> None:
    long = "a_method_with_a_name_that_nobody_would_want_to_read"
    runs = [
        Measured(
            make_summary(("a", "b"), run=f"{stream}{rate}{ending}", stream=stream, method=f"{long}_{ending}"),
            {"training": {"rate": rate if stream == "pheme" else 7}, "stream": {"name": stream}},
        )
        for stream in ("pheme", "coaid")
        for rate in (1, 2)
        for ending in ("x", "y")
    ]
    drawing = cost_drawing(compare(runs).groups)
    labels = [words for words in drawing.words if words.style == "label"]
    assert all("pheme" not in words.text and "coaid" not in words.text for words in labels)
    assert {words.text[-2:] for words in labels if "rate" in words.text} == {"=1", "=2"}
    assert {words.text[-2:] for words in labels if "rate" not in words.text} == {"_x", "_y"}
    for words in labels:
        width = text_width(words.text, "label")
        left = words.x if words.anchor == "start" else words.x - width
        column = left // (drawing.width / 2)
        assert column == (left + width) // (drawing.width / 2), words.text
        assert left + width <= (column + 1) * drawing.width / 2 - 20


def boxes(points: Sequence[tuple[float, float]], names: Sequence[str]) -> list[Box]:
    labels = place_labels(points, names, [], BOX)
    found = []
    for name, label in zip(names, labels, strict=True):
        width = text_width(name, "label")
        left = label.x if label.anchor == "start" else label.x - width
        found.append(Box(left, label.y - 6, left + width, label.y + 6))
    return found


def test_names_of_a_crowd_cover_neither_each_other_nor_points_and_stay_inside() -> None:
    points = [(200.0 + 11 * index, 120.0 + index % 3) for index in range(8)]
    found = boxes(points, [f"method {index}" for index in range(8)])
    assert sum(first.overlap(second) for first, second in combinations(found, 2)) == 0
    assert sum(box.overlap(Box(x - 5, y - 5, x + 5, y + 5)) for box in found for x, y in points) == 0
    assert all(box.overlap(BOX) == pytest.approx((box.right - box.left) * 12) for box in found)


def test_a_name_stands_beside_its_point_where_there_is_room() -> None:
    (left,) = place_labels([(480.0, 100.0)], ["a long name of a method"], [], BOX)
    (right,) = place_labels([(100.0, 100.0)], ["panda"], [], BOX)
    assert (left.anchor, left.y, left.leader) == ("end", 100.0, False)
    assert (right.anchor, right.x, right.y, right.leader) == ("start", 109.0, 100.0, False)


@pytest.mark.parametrize(
    ("values", "cost", "ticks", "is_log"),
    [
        ([7298], PARAMETERS, ["7,298"], False),
        ([7298, 22_000_000], PARAMETERS, ["10 k", "100 k", "1 M", "10 M"], True),
        ([7000, 9000], PARAMETERS, ["7 k", "8 k", "9 k"], False),
        ([100, 140], TIME, ["100 s", "120 s", "140 s"], False),
        ([174, 372], TIME, ["3 min", "4 min", "5 min", "6 min", "7 min"], False),
        ([10, 600], TIME, ["10 s", "1 min", "10 min"], True),
        ([0.5, 90_000], TIME, ["0.1 s", "1 s", "10 s", "1 min", "10 min", "1 h", "10 h"], True),
        ([], TIME, [], False),
    ],
)
def test_axes_have_few_round_numbers(values: list[float], cost, ticks: list[str], is_log: bool) -> None:
    scale = scale_over(values, cost)
    assert scale.is_log == is_log
    assert [text for _, text in scale.ticks] == ticks
    low, high = scale.limits
    assert all(low < scale.place(value) < high for value in values)


def test_short_numbers() -> None:
    assert [short_count(it) for it in (512, 7298, 20_000, 1_500_000, 2e9)] == ["512", "7,298", "20 k", "1.5 M", "2 G"]
    assert [short_time(it) for it in (0.5, 30, 60, 90, 7200)] == ["0.5 s", "30 s", "1 min", "1.5 min", "2 h"]


def test_wide_intervals_do_not_squeeze_the_means() -> None:
    row = {"metric": "accuracy", "average": 0.80, "average_low": 0.2, "average_high": 1.4}
    other = {"metric": "accuracy", "average": 0.82, "average_low": 0.81, "average_high": 0.83}
    low, high = score_limits([row, other], ["average"])
    assert 0.7 < low < 0.75
    assert 0.87 < high < 0.9
    low, high = score_limits([{**other, "average_low": None, "average_high": None}], ["average"])
    assert low < 0.82 < high


def test_every_group_is_a_named_point_in_every_panel() -> None:
    drawing = cost_drawing(comparison(("panda", "scratch", "spot")).groups)
    assert len(drawing.discs) == 3 * 2 * 2
    for name in ("panda", "scratch", "spot"):
        assert sum(words.text == name for words in drawing.words) == 4
        assert len({words.colour for words in drawing.words if words.text == name}) == 1
    assert any("Means over 3 seeds" in words.text for words in drawing.words)


def test_what_was_not_measured_is_left_out() -> None:
    told_only = cost_drawing(comparison(routed=False).groups)
    assert len(told_only.discs) == 2 * 2
    without_time = cost_drawing(comparison(seconds=Seconds()).groups)
    assert len(without_time.discs) == 2 * 2
    assert sum(words.text == "not measured" for words in without_time.words) == 2
    untrained = cost_drawing(comparison(trainable_parameters_per_task=0).groups)
    assert len(untrained.discs) == 2 * 2
    assert cost_drawing([]) is None


def test_streams_have_panels_of_their_own() -> None:
    runs = [make_summary(("a", "b"), stream=stream, run=stream) for stream in ("pheme", "coaid")]
    drawing = cost_drawing(compare([Measured(run) for run in runs]).groups)
    assert len(drawing.discs) == 2 * 4
    headings = [words.text for words in drawing.words if words.style == "heading"]
    assert headings == ["coaid", "pheme"]
    assert any("One seed" in words.text for words in drawing.words)


def test_svg_is_sound_and_escapes_names() -> None:
    evil = '<script>"&'
    text = to_svg(cost_drawing(comparison((evil, "scratch")).groups))
    root = ElementTree.fromstring(text)
    names = [node.text for node in root.iter(f"{_SVG}text")]
    assert names.count(evil) == 4
    tips = [node.text for node in root.iter(f"{_SVG}title")]
    assert len(tips) == 8
    assert re.search(r"scratch, task told: \d+\.\d % ± \d+\.\d %, time to train: 3 min 32 s", "\n".join(tips))


def test_a_file_of_each_kind(tmp_path: Path) -> None:
    result = comparison()
    for name in ("figure.svg", "figure.png", "figure.HTML"):
        draw(result, tmp_path / name)
    png = (tmp_path / "figure.png").read_bytes()
    assert png.startswith(b"\x89PNG")
    assert struct.unpack(">II", png[16:24]) == (2080, 1344)
    page = (tmp_path / "figure.HTML").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert page.count("<svg") == 1
    assert not re.search(r"(?:src|href)=[\"']?(?:https?:)?//", page)
    assert "p over tasks" in page


def test_what_cannot_be_drawn_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ends in \.pdf, expected \.svg, \.png, \.html"):
        draw(comparison(), tmp_path / "figure.pdf")
    with pytest.raises(RunError, match="nothing to draw"):
        draw(compare([]), tmp_path / "figure.svg")
    assert list(tmp_path.iterdir()) == []
