"""One check that every method and every baseline must pass, as whole runs."""

import json
from pathlib import Path

import pytest
from command_line import call
from cue_tasks import TASKS, Cues
from run_samples import Stops, needs, numbers, write_config

from continual.baselines import BASELINES
from continual.config import from_file
from continual.errors import Interrupted
from continual.evaluation.summary import load_summary
from continual.learner import Learner
from continual.methods import METHODS
from continual.pool import PromptPool
from continual.progress import Progress
from continual.run import Run
from streams import build_stream

each = pytest.mark.parametrize("name", [*METHODS.names(), *BASELINES.names()])
TRAINING = {"epochs": 7, "min_steps": 0, "batch_size": 6, "dropout": 0.0, "average": 0.0, "learning_rate": 0.02}


@pytest.fixture(scope="module")
def cues(tmp_path_factory) -> Path:
    """Tasks that every method can learn on a model that knows nothing, as files: three cue words tell the label."""
    folder, source = tmp_path_factory.mktemp("cues"), Cues()
    for name in source.task_names:
        task = source.load(name)
        for split in ("train", "dev", "test"):
            rows = [{"text": row["text"], "label": task.labels[row["label"]]} for row in getattr(task, split)]
            path = folder / name / f"{split}.jsonl"
            path.parent.mkdir(exist_ok=True)
            path.write_text("\n".join(map(json.dumps, rows)))
    return folder


@pytest.fixture(scope="module")
def config_of(tiny_folder, cues):
    """Writes the config of a run of a method, with more options of the method where they are given."""

    def written(folder: Path, name: str, **method: object) -> Path:
        stream = {"kind": "folders", "path": str(cues), "order": list(TASKS)}
        wanted = {"stream": stream, "training": TRAINING} | needs(name)
        wanted["method"] |= method
        return write_config(folder / f"{name}.yaml", tiny_folder("bert"), **wanted)

    return written


@pytest.fixture(scope="module")
def whole(config_of, tmp_path_factory):
    """Gives the folder of an undisturbed run of a method, made at first use."""
    kept = {}

    def of(name: str) -> Path:
        if name not in kept:
            folder = tmp_path_factory.mktemp(name)
            Run.create(folder / "run", from_file(config_of(folder, name))).execute(Progress())
            kept[name] = folder / "run"
        return kept[name]

    return of


def is_measured(name: str, row: int, column: int, tasks: int) -> bool:
    """Whether a cell of the matrix holds a score: earlier tasks and the next; `joint` learns all tasks at the last."""
    return row == 0 or (column <= row and (name != "joint" or row == tasks))


@each
def test_it_learns(whole, name):
    summary = load_summary(whole(name))
    assert summary.finished
    matrix = summary.aware.matrix
    if name == "joint":
        assert summary.aware.average >= sum(matrix[0]) / len(matrix[0]) + 0.1
    else:
        assert matrix[1][0] >= matrix[0][0] + 0.1
    assert all(task.train_seconds > 0 for task in summary.per_task)


@each
def test_every_task_is_scored_after_each_told_and_not_told(whole, name):
    summary = load_summary(whole(name))
    for table in (summary.aware, summary.routed):
        assert len(table.matrix) == len(summary.tasks) + 1
        for row, scores in enumerate(table.matrix):
            assert [score is not None and 0 <= score <= 1 for score in scores] == [
                is_measured(name, row, column, len(scores)) for column in range(len(scores))
            ]
    shares = summary.routed.routing_accuracy
    assert shares is None or 0 <= shares <= 1


@each
def test_interrupted_and_resumed_it_ends_with_the_same_numbers(whole, config_of, tmp_path, name):
    run = Run.create(tmp_path / "run", from_file(config_of(tmp_path, name)))
    stops = Stops(tasks=1) if name == "linear_probe" else Stops(steps=13)  # a probe is fitted at once
    with pytest.raises(Interrupted):
        run.execute(stops)
    for _ in range(2):  # the second time nothing is left to do
        Run(run.folder).execute(Progress())
        assert numbers(run.folder) == numbers(whole(name))


@pytest.mark.parametrize("name", METHODS.names())
def test_what_is_stored_answers_as_it_was_scored(whole, tiny_encoder, name):
    """Opened anew, the pool gives the very answers of the last row, told and not told."""
    config, summary = from_file(whole(name) / "config.yaml"), load_summary(whole(name))
    learner = Learner(PromptPool(whole(name) / "pool"), tiny_encoder("bert"), config.learner)
    stream = build_stream(config.stream, config.learner.seed)
    for place, task in enumerate(stream):
        for told, table in ((task.name, summary.aware), (None, summary.routed)):
            pairs = list(task.test["text_pair"]) if METHODS.load(name).pairs else None
            given = learner.predict(list(task.test["text"]), pairs, task=told)
            labels = [task.labels[label] for label in task.test["label"]]
            hits = sum(one.label == label for one, label in zip(given, labels, strict=True))
            assert hits / len(labels) == pytest.approx(table.matrix[-1][place])


@pytest.mark.parametrize("name", BASELINES.names())
def test_a_baseline_leaves_its_numbers_and_no_weights(whole, name):
    assert not list(whole(name).rglob("*.safetensors"))
    assert load_summary(whole(name)).tuning is None


@each
def test_an_unknown_option_is_refused_in_one_sentence(config_of, tmp_path, name):
    config = config_of(tmp_path, name, nonsense=1)
    code, _, err = call("run", str(config), "--runs-dir", str(tmp_path / "runs"))
    assert code == 2
    assert "method.nonsense" in err
    assert err.count("\n") == 1
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").iterdir())
