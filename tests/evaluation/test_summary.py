"""summary.json: written, read, refused."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
from made_up_runs import make_summary
from registries import restored

from continual.errors import RunError
from continual.evaluation.figures.headline import metric_rows
from continual.evaluation.matrix import ScoreMatrix
from continual.evaluation.stream_metrics import STREAM_METRICS
from continual.evaluation.summary import RoutedScores, Scores, Summary, load_summary


@pytest.mark.parametrize("learned", [0, 1, 3, 7])
@pytest.mark.parametrize("routed", [True, False])
def test_comes_back_as_it_was_written(tmp_path: Path, learned: int, routed: bool) -> None:
    summary = make_summary(learned=learned, routed=routed)
    path = summary.write(tmp_path)
    assert path == tmp_path / "summary.json"
    assert load_summary(tmp_path) == load_summary(str(path)) == summary
    json.loads(path.read_text(), parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))


def test_holds_the_documented_keys() -> None:
    value = make_summary().to_dict()
    documented = (
        "run stream method backbone seed tasks metric aware routed per_task seconds examples_per_second "
        "trainable_parameters_per_task peak_memory_mb finished versions notes signatures tokens_per_second"
    )
    assert set(documented.split()) <= value.keys()
    scores = set(
        [
            "matrix",
            "average",
            "learning",
            "anytime",
            "forgetting",
            "bwt",
            "fwt",
            "macro_f1",
            "macro_f1_matrix",
            "own_metric",
            "chrf",
            "chrf_matrix",
            "extra",
        ]
    )
    assert scores == value["aware"].keys()
    assert scores | {"routing_accuracy", "confusion", "unknown_rate"} == value["routed"].keys()
    assert {"tasks", "prompts", "counts"} == value["routed"]["confusion"].keys()
    assert {"train", "evaluate", "total", "cpu"} == value["seconds"].keys()
    record = (
        "task prompt train_examples dev_examples test_examples steps seconds sources macro_f1 dev_accuracy "
        "candidates stages train_seconds evaluate_seconds metric score routed_score chrf samples"
    )
    assert set(record.split()) == value["per_task"][3].keys()
    assert {"name", "steps", "seconds", "best_epoch", "curve"} == value["per_task"][3]["stages"][0].keys()


def test_scores_follow_from_the_matrices() -> None:
    accuracy = ScoreMatrix.from_json(["a", "b"], [[0.5, 0.5], [0.8, 0.6], [0.7, 0.9]])
    f1 = ScoreMatrix.from_json(["a", "b"], [[None, None], [None, None], [0.6, 0.7]])
    scores = Scores.measured(accuracy, f1)
    assert scores.average == pytest.approx(0.8)
    assert scores.macro_f1 == pytest.approx(0.65)
    assert scores.forgetting == pytest.approx(0.1)
    assert scores.macro_f1_matrix == [[None, None], [None, None], [0.6, 0.7]]
    routed = RoutedScores.measured(accuracy, routing_accuracy=0.9)
    assert (routed.macro_f1, routed.macro_f1_matrix, routed.routing_accuracy) == (None, None, 0.9)


def test_numbers_of_numpy_and_diverged_losses_can_be_written(tmp_path: Path) -> None:
    summary = make_summary(peak_memory_mb=np.float32(0.5), finished=np.bool_(True))
    summary.seed = np.int64(3)
    summary.per_task[0].stages[0].curve[0].train_loss = float("inf")
    summary.write(tmp_path)
    again = load_summary(tmp_path)
    assert (again.seed, again.peak_memory_mb, again.finished) == (3, 0.5, True)
    assert again.per_task[0].stages[0].curve[0].train_loss is None


def test_keys_of_a_newer_version_are_ignored_and_absent_ones_have_defaults() -> None:
    value = make_summary().to_dict()
    value["later"] = {"anything": 1}
    value["per_task"][0]["later"] = 2
    for name in ("notes", "versions", "per_task", "tuning", "routed"):
        del value[name]
    summary = Summary.from_dict(value)
    assert (summary.notes, summary.per_task, summary.routed, summary.tuning) == ([], [], None, None)


def _change(value: dict, place: str, new: object) -> dict:
    value = copy.deepcopy(value)
    *parents, last = [int(part) if part.isdigit() else part for part in place.split(".")]
    inside = value
    for part in parents:
        inside = inside[part]
    inside[last] = new
    return value


@pytest.mark.parametrize(
    ("place", "new", "words"),
    [
        ("run", 3, r"run should be a text, found 3"),
        ("seed", True, r"seed should be a whole number, found True"),
        ("finished", 1, r"finished should be true or false, found 1"),
        ("tasks", "a", r"tasks should be a list, found 'a'"),
        ("tasks.1", "charliehebdo", r"tasks should be unique"),
        ("aware", None, r"aware should be an object, found None"),
        ("aware.average", "high", r"aware.average should be a number, found 'high'"),
        ("aware.matrix.2.1", False, r"aware.matrix\[2\]\[1\] should be a number, found False"),
        ("aware.matrix.2", [0.5], r"aware.matrix\[2\] should have 7 numbers, found 1"),
        ("aware.matrix", [], r"aware.matrix should have 8 rows, found 0"),
        ("routed.macro_f1_matrix", [], r"routed.macro_f1_matrix should have 8 rows"),
        ("routed.confusion.counts.0", [1], r"routed.confusion.counts\[0\] should have 7 numbers"),
        ("per_task.2.steps", "x" * 90, r"per_task\[2\].steps should be a whole number, found 'x{56}\.\.\."),
        ("per_task.2.candidates.0.scores.panda", [], r"scores.panda should be a number, found \[\]"),
        ("versions", [], r"versions should be an object"),
    ],
)
def test_says_which_value_is_wrong(tmp_path: Path, place: str, new: object, words: str) -> None:
    (tmp_path / "summary.json").write_text(json.dumps(_change(make_summary().to_dict(), place, new)))
    with pytest.raises(RunError, match=words):
        load_summary(tmp_path)


def test_says_which_value_is_missing(tmp_path: Path) -> None:
    value = make_summary().to_dict()
    del value["aware"]["matrix"]
    (tmp_path / "summary.json").write_text(json.dumps(value))
    with pytest.raises(RunError, match=r"aware.matrix is missing; delete the file and run `continual resume"):
        load_summary(tmp_path)


def test_a_misshapen_summary_is_not_written(tmp_path: Path) -> None:
    summary = make_summary()
    summary.aware.matrix.pop()
    with pytest.raises(ValueError, match=r"aware.matrix should have 8 rows, found 7"):
        summary.write(tmp_path)
    assert not list(tmp_path.iterdir())


def test_helps_whoever_gives_the_wrong_folder(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="There is no run at"):
        load_summary(tmp_path / "absent")
    with pytest.raises(RunError, match="continual resume"):
        load_summary(tmp_path)
    make_summary().write(tmp_path / "runs" / "mine")
    with pytest.raises(RunError, match=r"holds runs; give one of them, such as .*runs/mine"):
        load_summary(tmp_path / "runs")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b"null"])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "summary.json").write_bytes(content)
    with pytest.raises(RunError, match=r"summary.json is not the summary of a run: .*; delete the file"):
        load_summary(tmp_path)


def test_summaries_from_before_processor_seconds_are_read() -> None:
    value = make_summary().to_dict()
    del value["seconds"]["cpu"]
    assert Summary.from_dict(value).seconds.cpu is None


def test_a_metric_registered_from_outside_has_its_place_on_disk_and_in_the_report(tmp_path) -> None:
    with restored(STREAM_METRICS):
        help, formula = "the task that is done worst", "min_j R[T][j]"
        STREAM_METRICS.add("worst", lambda it: it.block[-1].min().item(), help, formula=formula, better="higher")
        summary = make_summary()
    assert summary.aware.extra == {"worst": min(summary.aware.matrix[-1])}
    assert load_summary(summary.write(tmp_path)) == summary
    # A report is made anew where the metric is not at hand.
    row = next(row for row in metric_rows(load_summary(tmp_path)) if row.name == "worst")
    assert (row.aware, row.formula) == (f"{min(summary.aware.matrix[-1]):.4g}", "")
