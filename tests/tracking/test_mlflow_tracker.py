"""Tracking on a real SQLite store, a real server, and places where nobody answers."""

import contextlib
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continual.tracking.mlflow_tracker import MLflowTracker, flat, local_uri, metric_key, shown
from continual.tracking.patience import impatient, within
from continual.tracking.tracker import NullTracker, open_tracker

PARAMS = {"seed": 0, "stream": {"name": "pheme", "max_train": None}, "long": "x" * 2000}


@pytest.fixture(autouse=True)
def no_server_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a local store; its name is one that is easily mangled in an address."""
    folder = tmp_path_factory.mktemp("runs ü #1")
    tracker = MLflowTracker(folder)
    tracker.start("first", {}, "")
    tracker.finish("finished")
    assert tracker.notes == []
    return folder


@pytest.fixture
def own_store(store: Path, tmp_path: Path) -> Path:
    """A store of one's own; to copy one is several times quicker than to let MLflow make its tables."""
    shutil.copy(store / "mlflow.db", tmp_path)
    return tmp_path


def _client(store: Path):
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=local_uri(store))


def _values(store: Path, run_id: str, key: str) -> list[tuple[int, float]]:
    return [(metric.step, metric.value) for metric in _client(store).get_metric_history(run_id, key)]


def _artifacts(store: Path, run_id: str) -> dict[str, str]:
    folder = store / "mlflow-artifacts" / run_id / "artifacts"
    return {str(it.relative_to(folder)): it.read_text() for it in folder.rglob("*") if it.is_file()}


def test_a_whole_run_in_the_local_store(store: Path, tmp_path: Path) -> None:
    (tmp_path / "pool" / "a-v1").mkdir(parents=True)
    (tmp_path / "pool" / "a-v1" / "prompt.json").write_text("{}")
    (tmp_path / "summary.json").write_text("[]")
    tracker = open_tracker(store, experiment="test")
    run_id = tracker.start("my run", PARAMS, "seed: 0\n", {"method": "panda"})
    assert run_id == tracker.run_id
    for step in range(1, 2501):
        tracker.step_metrics("task/ä", "student", step, {"loss": 1 / step, "nothing": None})
    tracker.task_metrics(1, {"aware/average": 0.75, "aware/fwt": None, "aware/bwt": float("nan")})
    tracker.artifacts([tmp_path / "summary.json", tmp_path / "pool", tmp_path / "absent.html"])
    tracker.finish("finished")
    assert tracker.notes == []

    run = _client(store).get_run(run_id)
    assert (run.info.run_name, run.info.status) == ("my run", "FINISHED")
    assert run.data.tags["method"] == "panda"
    assert run.data.params["stream.name"] == "pheme"
    assert run.data.params["stream.max_train"] == "None"
    assert len(run.data.params["long"]) == 500
    losses = _values(store, run_id, "task_ä/student/loss")
    assert [step for step, _ in losses] == list(range(1, 2501))
    assert losses[3] == (4, 0.25)
    assert _values(store, run_id, "aware/average") == [(1, 0.75)]
    assert set(run.data.metrics) == {"task_ä/student/loss", "aware/average"}
    assert _artifacts(store, run_id) == {
        "config.yaml": "seed: 0\n",
        "summary.json": "[]",
        "pool/a-v1/prompt.json": "{}",
    }
    assert sorted(it.name for it in store.iterdir()) == [".mlflow.lock", "mlflow-artifacts", "mlflow.db"]


def test_a_resumed_run_is_the_same_run(store: Path) -> None:
    first = open_tracker(store, experiment="test")
    run_id = first.start("resumed", {"a": 1}, "a: 1\n")
    first.task_metrics(1, {"aware/average": 0.5})
    first.finish("interrupted")
    assert _client(store).get_run(run_id).info.status == "KILLED"

    second = open_tracker(store, experiment="test", run_id=run_id)
    assert second.start("resumed", {"a": 2, "b": 3}, "a: 1\n") == run_id
    assert _client(store).get_run(run_id).info.status == "RUNNING"
    second.task_metrics(2, {"aware/average": 0.75})
    second.finish("finished")
    assert second.notes == []
    run = _client(store).get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"a": "1", "b": "3"}, "what was said first stays"
    assert _values(store, run_id, "aware/average") == [(1, 0.5), (2, 0.75)]


@pytest.mark.parametrize("gone", ["never known", "deleted"])
def test_a_run_that_is_gone_is_begun_anew(store: Path, gone: str) -> None:
    lost = "0" * 32
    if gone == "deleted":
        earlier = open_tracker(store, experiment="test")
        lost = earlier.start("lost", {}, "")
        _client(store).delete_run(lost)
    tracker = open_tracker(store, experiment="test", run_id=lost)
    run_id = tracker.start("found", {}, "")
    assert run_id not in (None, lost)
    assert len(tracker.notes) == 1
    assert f"MLflow run {lost} is gone" in tracker.notes[0]
    tracker.finish("failed")
    assert _client(store).get_run(run_id).info.status == "FAILED"


@pytest.mark.slow
def test_two_runs_may_begin_in_an_empty_folder_at_once(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from continual.tracking.tracker import open_tracker\n"
        "tracker = open_tracker(Path(sys.argv[1]))\n"
        "tracker.start('r', {}, ''); tracker.task_metrics(1, {'x': 1.0}); tracker.finish('finished')\n"
        "sys.exit('; '.join(tracker.notes) or 0)"
    )
    both = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) for _ in range(2)]
    assert [process.wait(120) for process in both] == [0, 0]
    runs = sqlite3.connect(tmp_path / "mlflow.db").execute("select status from runs").fetchall()
    assert runs == [("FINISHED",), ("FINISHED",)]


def _whole_run(tracker: MLflowTracker) -> float:
    """Seconds that a run loses by its tracker."""
    began = time.monotonic()
    tracker.start("r", PARAMS, "x: 1\n")
    for step in range(2000):
        tracker.step_metrics("t", "student", step, {"loss": 0.5})
    tracker.task_metrics(1, {"aware/average": 0.5})
    tracker.artifacts([Path(__file__)])
    tracker.finish("finished")
    return time.monotonic() - began


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("http://127.0.0.1:9", r"http://127.0.0.1:9 could not be used (connection refused)"),
        ("http://me:secret@127.0.0.1:9/path?token=secret", "http://127.0.0.1:9/path could not be used"),
        ("http://server.invalid", "http://server.invalid could not be used"),
        ("sqlite:////proc/absent/mlflow.db", "sqlite:////proc/absent/mlflow.db could not be used"),
        ("nonsense://somewhere", "nonsense://somewhere could not be used"),
        ("postgresql://me:secret@127.0.0.1:9/db", "postgresql://127.0.0.1:9/db could not be used"),
    ],
)
def test_a_store_out_of_reach_costs_nothing_but_a_note(tmp_path: Path, uri: str, reason: str) -> None:
    before = dict(os.environ)
    tracker = MLflowTracker(tmp_path, uri, run_id="kept", request_seconds=2)
    assert _whole_run(tracker) < 15
    assert len(tracker.notes) == 1
    assert reason in tracker.notes[0]
    assert "secret" not in tracker.notes[0]
    assert tracker.notes[0].endswith("the run folder is complete without it.")
    assert tracker.run_id == "kept", "the store may be back when the run is resumed"
    changed = {name for name in before.keys() | os.environ.keys() if before.get(name) != os.environ.get(name)}
    assert changed <= {"MLFLOW_DISABLE_TELEMETRY"}
    assert not list(tmp_path.iterdir())


def test_a_server_that_accepts_but_never_answers(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        tracker = MLflowTracker(tmp_path, uri, request_seconds=1)
        assert _whole_run(tracker) < 10
    assert len(tracker.notes) == 1
    assert "could not be used" in tracker.notes[0]


def test_a_store_that_breaks_during_the_run(own_store: Path) -> None:
    tracker = open_tracker(own_store)
    tracker.start("r", {}, "")
    database = sqlite3.connect(own_store / "mlflow.db")
    database.execute("drop table metrics")
    database.commit()
    tracker.task_metrics(1, {"x": 1.0})
    tracker.task_metrics(2, {"x": 1.0})
    tracker.finish("finished")
    assert len(tracker.notes) == 1
    assert "no such table: metrics" in tracker.notes[0]


@pytest.mark.parametrize("name", ["50%20", "what?"])
def test_a_folder_that_no_address_can_hold(tmp_path: Path, name: str) -> None:
    tracker = open_tracker(tmp_path / name)
    assert tracker.start("r", {}, "") is None
    assert "cannot hold the ? or % of this path" in tracker.notes[0]
    assert not list(tmp_path.iterdir())


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen]]:
    """The address and the process of a real tracking server on this machine."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{tmp_path}/server.db"]
    command += ["--artifacts-destination", str(tmp_path / "files")]
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    with open(tmp_path / "server.log", "wb") as log:
        process = subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield _answering(f"http://127.0.0.1:{port}", process), process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.wait()


def _answering(uri: str, process: subprocess.Popen) -> str:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(f"{uri}/health", timeout=2)
            return uri
        except OSError:
            time.sleep(0.5)
    pytest.fail("the tracking server did not start")


@pytest.mark.slow
def test_a_real_server_and_its_death(
    served: tuple[str, subprocess.Popen], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    server, process = served
    (tmp_path / "pool" / "a-v1").mkdir(parents=True)
    (tmp_path / "pool" / "a-v1" / "prompt.json").write_text("{}")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    tracker = open_tracker(tmp_path / "unused")
    run_id = tracker.start("served", PARAMS, "x: 1\n")
    for step in range(1500):
        tracker.step_metrics("t", "student", step, {"loss": 0.5})
    tracker.artifacts([tmp_path / "pool"])
    client = MlflowClient(tracking_uri=server)
    assert len(client.get_metric_history(run_id, "t/student/loss")) == 1500
    assert [it.path for it in client.list_artifacts(run_id, "pool/a-v1")] == ["pool/a-v1/prompt.json"]
    resumed = open_tracker(tmp_path / "unused", run_id=run_id)
    assert resumed.start("served", PARAMS, "x: 1\n") == run_id
    resumed.finish("finished")
    assert client.get_run(run_id).info.status == "FINISHED"
    assert tracker.notes == resumed.notes == []
    assert not (tmp_path / "unused").exists()

    lost = MLflowTracker(tmp_path, server, request_seconds=2)
    lost.start("orphan", {}, "")
    assert lost.run_id is not None
    os.killpg(process.pid, 9)
    began = time.monotonic()
    lost.task_metrics(1, {"x": 1.0})
    lost.artifacts([tmp_path / "pool"])
    lost.finish("finished")
    assert time.monotonic() - began < 10
    assert len(lost.notes) == 1


def test_tracking_off(tmp_path: Path) -> None:
    tracker = open_tracker(tmp_path, enabled=False)
    assert isinstance(tracker, NullTracker)
    assert tracker.start("r", PARAMS, "x: 1\n") is None
    tracker.step_metrics("t", "s", 1, {"loss": 1.0})
    tracker.task_metrics(1, {"x": 1.0})
    tracker.artifacts([Path(__file__)])
    tracker.finish("finished")
    assert (tracker.run_id, tracker.notes, list(tmp_path.iterdir())) == (None, [], [])


def test_mlflow_is_imported_late_and_without_its_telemetry(own_store: Path) -> None:
    code = (
        "import sys, threading; from pathlib import Path\n"
        "from continual.tracking.tracker import open_tracker\n"
        "tracker = open_tracker(Path(sys.argv[1]))\n"
        "assert 'mlflow' not in sys.modules\n"
        "tracker.start('r', {}, ''); tracker.finish('finished')\n"
        "from mlflow.telemetry import get_telemetry_client\n"
        "assert get_telemetry_client() is None\n"
        "assert threading.enumerate() == [threading.main_thread()], threading.enumerate()\n"
    )
    hidden = ("CI", "PYTEST_CURRENT_TEST", "GITHUB_ACTIONS", "MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    done = subprocess.run(
        [sys.executable, "-c", code, str(own_store)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout + done.stderr == "", "MLflow has nothing to say to the user"


@given(st.dictionaries(st.text(), st.text() | st.none() | st.dictionaries(st.text(), st.integers())))
def test_any_settings_become_parameters_that_mlflow_takes(params: dict) -> None:
    from mlflow.utils.validation import _validate_param

    for key, value in flat(params).items():
        _validate_param(key, value)


@given(st.text(), st.text(), st.text())
def test_any_name_becomes_a_metric_that_mlflow_takes(task: str, stage: str, name: str) -> None:
    from mlflow.utils.validation import _validate_metric_name

    _validate_metric_name(metric_key(task, stage, name))


def test_shown_hides_secrets() -> None:
    assert shown("https://me:pw@host:1/x?token=1 and more") == "https://host:1/x and more"
    assert shown("sqlite:////tmp/a b#c/mlflow.db") == "sqlite:////tmp/a b#c/mlflow.db"


def test_within() -> None:
    assert within(5, lambda: 3) == 3
    with pytest.raises(ZeroDivisionError):
        within(5, lambda: 1 / 0)
    began = time.monotonic()
    with pytest.raises(TimeoutError, match=r"no answer within 0.1 s"):
        within(0.1, lambda: time.sleep(2))
    assert time.monotonic() - began < 1


def test_impatience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    with impatient(5):
        assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "5"
        assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "1"
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "77"
    assert "MLFLOW_HTTP_REQUEST_MAX_RETRIES" not in os.environ
