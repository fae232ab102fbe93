"""Runs side by side."""

import csv
import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from made_up_runs import make_summary

from continual.cli.sweep import _conclude
from continual.errors import ConfigError, Interrupted, RunError
from continual.evaluation import compare as comparing
from continual.evaluation.compare import MEASURES, Comparison, worth_showing
from continual.evaluation.figures.costs import cost_drawing
from continual.evaluation.formats import cell_text, for_people, to_csv, to_markdown
from continual.evaluation.groups import Measured, load_measured, setting_text, short_keys
from continual.evaluation.summary import Seconds, Summary
from continual.sweep import Outcome, Sweep


def compare(summaries: Iterable[Summary], reference: str | None = None) -> Comparison:
    """Compares runs of which nothing but their summaries is known."""
    return comparing.compare([Measured(summary) for summary in summaries], reference)


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


def test_what_a_group_does_not_have_is_not_in_its_name() -> None:
    groups = compare([_run(0, 0.8), _run(0, 0.7, "naive", tuning=None)]).groups
    assert [row["name"] for row in groups] == ["naive", "panda, late"]


def test_an_unfinished_run_is_listed_but_enters_no_mean() -> None:
    comparison = compare([_run(0, 0.8), _run(1, 0.2, learned=1)])
    assert [row["finished"] for row in comparison.runs] == [True, False]
    assert comparison.groups[0]["n"] == 1
    assert comparison.notes[0] == "panda-1 is not finished and enters no mean."


def test_groups_without_interval_or_test_are_named() -> None:
    (note,) = compare([_run(0, 0.8), _run(0, 0.7, "scratch")]).notes
    assert note.startswith("Of panda and scratch there is one seed only")
    runs = [_run(seed, 0.8 + seed / 100, method) for seed in (0, 1) for method in ("panda", "spot")]
    assert compare(runs).notes == []


def test_an_interval_of_no_width_is_pointed_out() -> None:
    (note,) = compare([_run(0, 0.8), _run(1, 0.8)]).notes
    assert note.endswith(
        "has the same average with every seed, so its interval of no width is no certainty; test on more texts."
    )


def test_pairs_that_share_too_few_seeds_and_other_sets_of_seeds_are_named() -> None:
    runs = [
        *(_run(seed, 0.8 + seed / 100) for seed in (0, 1)),
        *(_run(seed, 0.7 + seed / 100, "scratch") for seed in (1, 2)),
    ]
    seeds, pair = compare(runs).notes
    assert seeds.startswith("On pheme, groups have different seeds (0, 1: panda; 1, 2: scratch)")
    assert "share fewer than two seeds and are not tested: panda and scratch" in pair
    (seeds,) = compare([*runs, _run(0, 0.6, "scratch")]).notes
    assert "0, 1, 2: scratch" in seeds


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
    assert compare([]).to_dict() == {"runs": [], "groups": [], "tests": [], "notes": [], "extra": []}
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
        ({"x": 22_713_216}, "22,713,216"),
        ({"x": 7298, "x_low": 7298.0, "x_high": 7298.0}, "7298"),
        ({"x": -1e-17}, "0.000"),
        ({"x": 1234.56}, "1,234.6"),
        ({"x": 0.5, "x_low": None, "x_high": None}, "0.500"),
        ({"x": 0.5, "x_low": 0.4, "x_high": 0.6}, "0.500 ± 0.100"),
    ],
)
def test_cells(row: dict, text: str) -> None:
    assert cell_text(row, "x") == text


def _settings(seed: int, method: str = "panda", **changes: Any) -> dict[str, Any]:
    """The config of a run, changed by dotted names."""
    settings: dict[str, Any] = {
        "stream": {"kind": "table", "name": "pheme", "split_seed": seed, "order": "listed"},
        "method": {"name": method} | ({"weight": 0.5} if method == "panda" else {}),
        "tuning": {"name": "late", "length": 16},
        "training": {"learning_rate": 0.01, "epochs": 8},
        "seed": seed,
        "threads": 1 + seed,
        "tracking": {"enabled": seed > 0},
    }
    for key, value in changes.items():
        section, _, name = key.partition("__")
        settings[section] = {**settings[section], name: value}
    return settings


def _measured(seed: int, average: float, method: str = "panda", **changes: Any) -> Measured:
    summary = _run(seed, average, method)
    summary.run = f"{summary.run}-{changes}"
    return Measured(summary, _settings(seed, method, **changes))


def _names(runs: Iterable[Measured]) -> list[str]:
    return [row["name"] for row in comparing.compare(runs).groups]


def test_seeds_threads_and_tracking_are_no_settings() -> None:
    (group,) = comparing.compare([_measured(seed, 0.8) for seed in range(3)]).groups
    assert (group["n"], group["settings"], group["name"]) == (3, {}, "panda")


def test_any_setting_that_differs_makes_groups() -> None:
    runs = [_measured(seed, 0.8, training__learning_rate=rate) for rate in (0.01, 0.003) for seed in (0, 1)]
    groups = comparing.compare(runs).groups
    assert sorted(row["name"] for row in groups) == ["learning_rate=0.003", "learning_rate=0.01"]
    assert {json.dumps(row["settings"]) for row in groups} == {
        '{"training.learning_rate": 0.01}',
        '{"training.learning_rate": 0.003}',
    }
    assert groups[0]["label"].endswith("late · training.learning_rate=0.003")


def test_options_of_a_method_are_compared_only_among_its_runs() -> None:
    runs = [_measured(0, 0.8), _measured(0, 0.8, method__weight=1.0), _measured(0, 0.7, "scratch")]
    assert sorted(_names(runs)) == ["panda, weight=0.5", "panda, weight=1.0", "scratch"]


def test_a_split_that_follows_the_seed_is_no_setting_and_one_that_does_not_is() -> None:
    follows = [_measured(seed, 0.8) for seed in (1, 2)]
    fixed = [_measured(seed, 0.8, stream__split_seed=7) for seed in (1, 2)]
    assert _names(fixed) == ["panda"]
    assert sorted(_names([*follows, *fixed])) == ["split_seed=7", "split_seed=as seed"]
    zero = [_measured(seed, 0.8, stream__split_seed=0) for seed in (0, 1, 2)]
    assert comparing.compare(zero).groups[0]["seeds"] == [0, 1, 2]


def test_streams_are_not_told_apart_by_what_only_differs_between_them() -> None:
    elsewhere = _measured(0, 0.8, training__epochs=2, stream__name="coaid")
    elsewhere.summary.stream = "coaid"
    assert _names([_measured(0, 0.8), elsewhere]) == ["coaid", "pheme"]


def test_a_run_without_its_config_is_told_apart_where_settings_matter() -> None:
    bare = Measured(_run(2, 0.8))
    assert len(_names([_measured(0, 0.8), bare])) == 1
    assert _names([_measured(0, 0.8), _measured(1, 0.8, training__epochs=2), bare])[-1] == "epochs=null"


def test_configs_are_read_beside_the_summaries(tmp_path: Path) -> None:
    _run(0, 0.8).write(tmp_path)
    assert load_measured(tmp_path).settings is None
    (tmp_path / "config.yaml").write_text("training: {learning_rate: 1.0e-05}\n")
    assert load_measured(tmp_path).settings == load_measured(tmp_path / "summary.json").settings
    assert load_measured(tmp_path).settings == {"training": {"learning_rate": 1e-5}}
    (tmp_path / "config.yaml").write_text("a: [")
    with pytest.raises(RunError, match=r"config\.yaml cannot be read"):
        load_measured(tmp_path)


def test_settings_in_tables() -> None:
    runs = [_measured(seed, 0.8, training__average=value) for value in (0.5, 0.9) for seed in (0, 1)]
    groups = comparing.compare(runs).groups
    # `average` is a measure, so the setting keeps its whole name.
    assert to_markdown(groups, ["training.average", "average"]).splitlines()[2] == "| 0.5 | 0.800 ± 0.000 |"
    assert short_keys(["a.b", "c.b", "c.d"]) == {"a.b": "a.b", "c.b": "c.b", "c.d": "d"}
    assert [setting_text(it) for it in (None, True, [1, "a"], 0.01, "x")] == ["null", "true", '[1, "a"]', "0.01", "x"]


def test_a_reference_is_the_second_of_every_pair(six: list[Summary]) -> None:
    six += [_run(seed, it, "spot") for seed, it in enumerate([0.71, 0.77, 0.66])]
    tests = compare(six, "scratch").tests
    assert [(row["first"].split(" · ")[1], row["second"].split(" · ")[1]) for row in tests] == [
        ("panda", "scratch"),
        ("spot", "scratch"),
    ]
    assert tests[1]["difference"] == pytest.approx((0.01 + 0.02 + 0.01) / 3)


def test_a_reference_is_taken_under_the_same_other_settings() -> None:
    runs = [
        _measured(seed, base, method, training__epochs=epochs)
        for method, base in (("panda", 0.8), ("scratch", 0.7))
        for epochs in (4, 8)
        for seed in (0, 1)
    ]
    tests = comparing.compare(runs, "scratch").tests
    assert [(row["first"][-1], row["second"][-1]) for row in tests] == [("4", "4"), ("8", "8")]
    tests = comparing.compare(runs, "epochs=4").tests
    assert [(row["first"].split(" · ")[1], row["second"].split(" · ")[1]) for row in tests] == [
        ("panda", "panda"),
        ("scratch", "scratch"),
    ]
    whole = comparing.compare(runs, "scratch,training.epochs=4").tests
    assert len(whole) == 3
    assert comparing.compare(runs, "scratch, epochs=4").tests == whole


@pytest.mark.parametrize(
    ("reference", "expected"),
    [("scrtch", r"did you mean 'scratch'.*known: panda; scratch"), ("epochs=4", "There is no group"), ("", "no group")],
)
def test_an_unknown_reference_is_refused(six: list[Summary], reference: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        compare(six, reference)


def test_a_sweep_that_lacks_its_reference_shows_its_results_all_the_same(tmp_path: Path, capsys) -> None:
    sweep = Sweep.plan(tmp_path / "s", "simulated", ["method=scratch,naive"])
    first, second = sweep.cells
    _run(0, 0.8, first.settings["method"]).write(sweep.folder / first.name)
    (sweep.folder / first.name / "matrix.csv").touch()
    with pytest.raises(SystemExit) as failed:
        _conclude(sweep, [Outcome(first.name, "known"), Outcome(second.name, "failed")], "naive", "table")
    assert failed.value.code == 2
    shown = capsys.readouterr()
    assert "0.800" in shown.out
    assert "error: There is no group 'naive' to compare with" in shown.err
    with pytest.raises(Interrupted, match="Go on with"):
        _conclude(sweep, [Outcome(first.name, "known"), Outcome(second.name, "stopped")], "naive", "table")


def test_an_ambiguous_reference_is_refused_and_a_lonely_group_is_noted() -> None:
    weights = [_measured(seed, 0.8, method__weight=weight) for weight in (0.5, 1.0) for seed in (0, 1)]
    scratch = [_measured(seed, 0.7, "scratch") for seed in (0, 1)]
    with pytest.raises(ConfigError, match=r"more than one group .*weight=0\.5.*weight=1\.0"):
        comparing.compare([*weights, *scratch], "panda")
    lonely = [_measured(seed, 0.7, "scratch", training__epochs=2) for seed in (0, 1)]
    several = [_measured(seed, 0.8, training__epochs=epochs) for epochs in (4, 8) for seed in (0, 1)]
    comparison = comparing.compare([*several, *lonely], "panda")
    assert comparison.tests == []
    assert any("has no counterpart" in note for note in comparison.notes)


def _with_finals(seed: int, method: str, finals: Mapping[str, float], routed: Mapping[str, float]) -> Summary:
    summary = _run(seed, sum(finals.values()) / len(finals), method)
    summary.aware.matrix[-1] = list(finals.values())
    summary.routed.matrix[-1] = list(routed.values())
    summary.routed.average = sum(routed.values()) / len(routed)
    return summary


def test_differences_by_task_by_hand() -> None:
    """Task a: +.1 and +.3, so .2; task b: -.1 and +.1, so 0. Of the 4 ways to sign (.2, 0) all are as far from 0."""
    routed = {"a": 0.5, "b": 0.5}
    runs = [
        _with_finals(0, "panda", {"a": 0.8, "b": 0.6}, routed),
        _with_finals(1, "panda", {"a": 0.9, "b": 0.8}, routed),
        _with_finals(0, "scratch", {"a": 0.7, "b": 0.7}, {"a": 0.4, "b": 0.4}),
        _with_finals(1, "scratch", {"a": 0.6, "b": 0.7}, {"a": 0.4, "b": 0.4}),
    ]
    (test,) = compare(runs, "scratch").tests
    assert [(row["task"], row["difference"]) for row in test["per_task"]] == [
        ("a", pytest.approx(0.2)),
        ("b", pytest.approx(0.0)),
    ]
    # t for one degree of freedom is 12.706; the differences of a deviate by .1 from their mean.
    assert test["per_task"][0]["high"] == pytest.approx(0.2 + 12.7062 * 0.1, abs=1e-4)
    assert (test["tasks"], test["p_tasks"]) == (2, 1.0)
    assert test["difference"] == pytest.approx(0.1)
    assert test["routed_difference"] == pytest.approx(0.1)
    assert (test["p_sign_flip"], test["routed_p_sign_flip"], test["routed_p_tasks"]) == (1.0, 0.5, 0.5)


def test_runs_on_other_tasks_are_not_paired_and_the_note_says_so() -> None:
    others = [make_summary(("b", "c"), seed=seed, run=f"x{seed}", method="scratch") for seed in (0, 1)]
    runs = [_run(0, 0.8), _run(1, 0.8), *others]
    found = compare(runs)
    assert found.tests == []
    assert "different sets of tasks (panda on a, b; scratch on b, c)" in found.notes[0]
    found = compare(runs, "scratch")
    assert found.tests == []
    assert any("no counterpart" in note for note in found.notes)
    same = [make_summary(("b", "a"), seed=seed, run=f"y{seed}", method="spot") for seed in (0, 1)]
    (test,) = compare([*runs, *same], "spot").tests
    assert (test["first"].split(" · ")[1], test["tasks"]) == ("panda", 2)


def test_both_tests_are_about_one_difference() -> None:
    runs = [make_summary(("a", "b"), seed=seed, method=method) for method in ("panda", "scratch") for seed in (0, 1, 2)]
    for run, gain in zip(runs[:3], (0.02, 0.03, 0.04), strict=True):
        run.aware = make_summary(("a", "b"), seed=run.seed).aware
        run.aware.matrix[-1] = [value - gain for value in run.aware.matrix[-1]]
        run.aware.average = sum(run.aware.matrix[-1]) / 2
    (test,) = compare(runs).tests
    assert test["difference"] == pytest.approx(-0.03)
    assert sum(row["difference"] for row in test["per_task"]) / 2 == pytest.approx(test["difference"])
    mixed = [make_summary((*"ab", "cd"[run.seed % 2]), seed=run.seed, method=run.method) for run in runs]
    (test,) = compare(mixed).tests
    assert (test["tasks"], test["p_tasks"], test["seeds"]) == (2, None, [0, 1, 2])


def test_what_is_not_measured_untold_is_left_open() -> None:
    runs = [_run(seed, 0.8, method, routed=False) for method in ("panda", "scratch") for seed in (0, 1)]
    (test,) = compare(runs).tests
    assert (test["routed_difference"], test["routed_p_sign_flip"], test["routed_p_tasks"]) == (None, None, None)
    assert test["difference"] == 0


def test_routed_measures_stand_beside_the_others(six: list[Summary]) -> None:
    row = compare(six).groups[0]
    for name in ("average", "forgetting", "bwt", "fwt", "macro_f1"):
        assert row[name] is not None
        assert row[f"routed_{name}"] is not None
    assert row["trainable_parameters_per_task"] == 7298
    assert row["train_seconds"] == pytest.approx(212.4)


def test_a_column_of_one_kind_of_task_is_shown_where_a_row_has_it() -> None:
    columns = ["average", "macro_f1", "chrf", "routed_chrf"]
    assert worth_showing(columns, [{"macro_f1": 0.5, "chrf": None}]) == ["average", "macro_f1"]
    assert worth_showing(columns, [{"chrf": None}, {"chrf": 0.4, "routed_chrf": 0.3}]) == [
        "average",
        "chrf",
        "routed_chrf",
    ]


def test_bleu_and_chrf_are_shown_from_0_to_100_and_kept_from_0_to_1() -> None:
    def translating(seed: int, average: float, method: str) -> Summary:
        run = _run(seed, average, method)
        run.metric, run.aware.macro_f1, run.aware.chrf = "bleu", None, 0.5
        return run

    found = compare([translating(seed, 0.25 + seed / 100, name) for name in ("panda", "scratch") for seed in (0, 1)])
    group, shown = found.groups[0], for_people(found.groups)[0]
    assert (group["average"], group["chrf"], group["n"]) == (pytest.approx(0.255), 0.5, 2)
    assert (shown["average"], shown["chrf"], shown["n"]) == (pytest.approx(25.5), 50.0, 2)
    assert shown["average_high"] == pytest.approx(100 * group["average_high"])
    assert shown["total_seconds"] == group["total_seconds"]
    (test,) = for_people(found.tests, {row["label"]: row["metric"] for row in found.groups})
    assert test["difference"] == 0.0
    assert test["p_sign_flip"] == 1.0


def test_shares_are_shown_as_they_are(six: list[Summary]) -> None:
    groups = compare(six).groups
    assert for_people(groups) == groups


def test_a_metric_of_the_tasks_own_is_shown_where_it_says_something_else() -> None:
    columns = ("average", "own_metric", "routed_own_metric")
    same = {"average": 0.5, "own_metric": 0.5, "routed_average": 0.4, "routed_own_metric": 0.4}
    assert worth_showing(columns, [same]) == ["average"]
    assert worth_showing(columns, [same, same | {"routed_own_metric": 0.3}]) == ["average", "routed_own_metric"]


def test_counts_of_parameters_are_whole() -> None:
    row = {"trainable_parameters_per_task": 32342.0}
    row |= {"trainable_parameters_per_task_low": 32316.6, "trainable_parameters_per_task_high": 32367.4}
    assert cell_text(row, "trainable_parameters_per_task") == "32,342 ± 25"


def _learning(seed: int, method: str, diagonal: tuple[float, float], **changes: Any) -> Summary:
    """A run whose two tasks were just learned, or are jointly known, with these scores."""
    run = make_summary(("a", "b"), seed=seed, run=f"{method}-{seed}", method=method, **changes)
    run.aware.matrix = [[0.5, 0.5], [diagonal[0], 0.5], [diagonal[0] - 0.1, diagonal[1]]]
    if method == "joint":
        run.aware.matrix = [[0.5, 0.5], [None, None], list(diagonal)]
    return run


def test_intransigence_is_the_lag_behind_joint_training_on_the_same_tasks_and_seeds() -> None:
    runs = [_learning(seed, "panda", (0.8, 0.7)) for seed in (0, 1)]
    joint = [_learning(seed, "joint", (0.9, 0.8 + seed / 10)) for seed in (0, 1)]
    assert "intransigence" not in compare(runs).groups[0]
    bound, panda = compare([*runs, *joint]).groups
    assert bound["intransigence"] is None
    assert panda["intransigence"] == pytest.approx(((0.1 + 0.1) / 2 + (0.1 + 0.2) / 2) / 2)
    assert worth_showing(["intransigence"], [bound, panda]) == ["intransigence"]
    assert worth_showing(["intransigence"], compare(runs).groups) == []
    for others in (joint[:1], [_learning(seed, "joint", (0.9, 0.9), stream="coaid") for seed in (0, 1)]):
        assert all("intransigence" not in row for row in compare([*runs, *others]).groups)


def test_processor_seconds_stand_in_the_place_of_wall_seconds_where_all_runs_have_them() -> None:
    measured = [_run(seed, 0.8, seconds=Seconds(10, 1, 20, 15.0 + seed)) for seed in (0, 1)]
    columns = ["total_seconds", "cpu_seconds"]
    assert compare(measured).groups[0]["cpu_seconds"] == 15.5
    assert worth_showing(columns, compare(measured).groups) == ["cpu_seconds"]
    old = _run(0, 0.7, "scratch", seconds=Seconds(10, 1, 20))
    assert worth_showing(columns, compare([*measured, old]).groups) == ["total_seconds"]
    assert "processor time" in " ".join(words.text for words in cost_drawing(compare(measured).groups).words)
    assert "time to train" in " ".join(words.text for words in cost_drawing(compare([*measured, old]).groups).words)


def test_metrics_registered_from_outside_are_compared_as_well(six: list[Summary]) -> None:
    for summary in six[:3]:
        summary.aware.extra["worst"] = 0.5
    panda, scratch = compare(six).groups
    assert (panda["worst"], panda["routed_worst"], scratch["worst"]) == (0.5, None, None)
    assert compare(six).extra == ["worst", "routed_worst"]
    assert "worst" in to_markdown([panda])
