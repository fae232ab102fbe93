"""A stance stream from its configuration to the printed table: its own metric is in all results."""

import csv
import json

import numpy as np
import pytest
from command_line import call
from run_samples import write_config

from continual.assessment import Assessor
from continual.config import from_file
from continual.evaluation.report import render_report
from continual.evaluation.summary import load_summary
from continual.evaluation.task_metrics import stance_f1
from continual.learner import Learner
from continual.progress import Progress
from continual.run import Run
from streams import build_stream

TASKS = ["bicycle-lanes", "free-parking-downtown"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory, tiny_folder):
    root = tmp_path_factory.mktemp("stance")
    stream = {"kind": "stance_simulated", "name": "stance", "tasks": TASKS, "train": 60, "dev": 20, "test": 30}
    config = from_file(
        write_config(root / "stance.yaml", tiny_folder("bert"), stream=stream, method={"name": "scratch"})
    )
    run = Run.create(root / "run", config)
    run.execute(Progress())
    return run


def test_the_score_is_that_of_the_stored_prompts(finished, tiny_encoder):
    summary = load_summary(finished.folder)
    learner = Learner(finished.folder / "pool", tiny_encoder("bert"), finished.config.learner)
    for record in summary.per_task:
        task = build_stream(finished.config.stream, finished.config.seed).task(record.task)
        answers = learner.predict(list(task.test["text"]), list(task.test["text_pair"]), task.name)
        predicted = np.array([task.labels.index(answer.label) for answer in answers])
        assert record.metric == "stance_f1"
        assert record.score == pytest.approx(stance_f1(np.array(task.test["label"]), predicted, 3))
        assert Assessor(learner).routed(task).evaluation.score == pytest.approx(record.routed_score)
    assert summary.aware.own_metric == pytest.approx(np.mean([record.score for record in summary.per_task]))
    assert summary.routed.own_metric == pytest.approx(np.mean([record.routed_score for record in summary.per_task]))


def test_a_table_is_labelled_at_once(finished, tmp_path):
    task = build_stream(finished.config.stream, finished.config.seed).task(TASKS[0])
    rows = [{"opinion": row["text"], "target": row["text_pair"]} for row in task.test][:5]
    (tmp_path / "some.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with open(tmp_path / "some.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, ["opinion", "target"])
        writer.writeheader()
        writer.writerows(rows)
    columns = ("--text-column", "opinion", "--pair-column", "target")
    words = [row["opinion"] for row in rows]
    pairs = [word for row in rows for word in ("--pair", row["target"])]
    own = call("predict", str(finished.folder), *words, *pairs, "--format", "json")
    assert own[0] == 0
    assert len(json.loads(own[1])) == 5
    for name in ("some.jsonl", "some.csv"):
        assert (
            call("predict", str(finished.folder), "--file", str(tmp_path / name), *columns, "--format", "json") == own
        )


def test_it_is_shown(finished, capsys):
    from continual.cli.summary import _print_own_metrics

    summary = json.loads((finished.folder / "summary.json").read_text())
    _print_own_metrics(summary)
    printed = capsys.readouterr().out
    assert f"{summary['aware']['own_metric']:.3f}" in printed
    assert "stance_f1" in printed
    assert "F1 of favor and against" in render_report(summary, {})
