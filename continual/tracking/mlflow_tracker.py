"""Reports a run to MLflow: by default a SQLite file beside the runs, or any tracking server."""

import math
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from continual.tracking.patience import impatient, within
from continual.tracking.tracker import Status, Tracker

if TYPE_CHECKING:
    from mlflow import MlflowClient

_Result = TypeVar("_Result")

REQUEST_SECONDS = 5
"""Longest time for one request; it is repeated once."""
LOCAL_SECONDS = 120
"""Longest time for one call to a local file store, whose first use creates some forty tables."""
UPLOAD_SECONDS = 300
"""Longest time for sending all artifacts."""
FLUSH_SECONDS = 10
"""Step metrics are sent at most this often, unless there are many."""

# MLflow refuses more in one request.
_METRICS_PER_BATCH = 1000
_PARAMS_PER_BATCH = 100
# Servers before MLflow 2.8 refuse longer values; the whole config is an artifact anyway.
_LONGEST_VALUE = 500
_LONGEST_KEY_PART = 80

_STATUS = {"finished": "FINISHED", "interrupted": "KILLED", "failed": "FAILED"}


class MLflowTracker(Tracker):
    """One MLflow run. Made by `open_tracker`.

    Every call to MLflow goes through `_call`, which bounds its time and turns the first failure into a note
    and silence.
    """

    def __init__(
        self,
        directory: Path,
        uri: str | None = None,
        experiment: str = "continual",
        run_id: str | None = None,
        request_seconds: int = REQUEST_SECONDS,
    ):
        super().__init__()
        self.run_id = run_id
        self.uri = uri or local_uri(directory)
        self._directory = directory.absolute()
        self._is_default = uri is None
        self._experiment = experiment
        self._request_seconds = request_seconds
        self._client: MlflowClient | None = None
        self._pending: list[Any] = []
        self._flushed = time.monotonic()
        self._silent = False

    def start(
        self,
        run_name: str,
        params: Mapping[str, Any],
        config_yaml: str,
        tags: Mapping[str, str] | None = None,
    ) -> str | None:
        """See `Tracker.start`."""
        # A store that is out of reach today may be back when the run is resumed: its id is kept.
        self.run_id = self._call(lambda: self._open(run_name, dict(tags or {}))) or self.run_id
        self._call(lambda: self._describe(params, config_yaml))
        return self.run_id

    def step_metrics(self, task: str, stage: str, step: int, metrics: Mapping[str, float | None]) -> None:
        """See `Tracker.step_metrics`."""
        self._collect({metric_key(task, stage, name): value for name, value in metrics.items()}, step)
        late = time.monotonic() - self._flushed > FLUSH_SECONDS
        if late or len(self._pending) >= _METRICS_PER_BATCH:
            self._flush()

    def task_metrics(self, index: int, metrics: Mapping[str, float | None]) -> None:
        """See `Tracker.task_metrics`."""
        self._collect({metric_key(*name.split("/")): value for name, value in metrics.items()}, index)
        self._flush()

    def artifacts(self, paths: Iterable[Path]) -> None:
        """See `Tracker.artifacts`."""
        # A small request first: a server that hangs is noticed in seconds, before the long wait for uploads.
        self._call(lambda: self._active().get_run(self.run_id))
        self._flush()
        self._call(lambda: self._upload([path for path in paths if path.exists()]), UPLOAD_SECONDS)

    def finish(self, status: Status) -> None:
        """See `Tracker.finish`."""
        self._flush()
        self._call(lambda: self._active().set_terminated(self.run_id, _STATUS[status]))
        self._silent = True

    def _call(self, action: Callable[[], _Result], seconds: float | None = None) -> _Result | None:
        if self._silent:
            return None
        patience = LOCAL_SECONDS if self.uri.startswith(("sqlite:", "file:")) else 3 * self._request_seconds
        request_seconds = self._request_seconds if seconds is None else 6 * self._request_seconds
        try:
            if self._client is None:
                import_mlflow()
            with impatient(request_seconds):
                return within(seconds or patience, action)
        # Anything may go wrong in a store that is not ours, and none of it may cost the user the run.
        except Exception as error:
            self._silent = True
            self._pending.clear()
            self.notes.append(
                f"MLflow tracking stopped because {shown(self.uri)} could not be used ({_reason(error)}); "
                "the run folder is complete without it."
            )
            return None

    def _active(self) -> "MlflowClient":
        if self._client is None:
            raise RuntimeError("the tracker was not started")
        return self._client

    def _open(self, run_name: str, tags: dict[str, str]) -> str:
        from mlflow.exceptions import MlflowException

        self._client, experiment_id = self._connect()
        if self.run_id is not None:
            try:
                self._client.update_run(self.run_id, status="RUNNING")
                return self.run_id
            except MlflowException as error:
                if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                    raise  # else: never known there, or deleted
                self.notes.append(
                    f"MLflow run {self.run_id} is gone from {shown(self.uri)}; what follows is in a new one."
                )
        return self._client.create_run(experiment_id, tags=tags, run_name=run_name).info.run_id

    def _connect(self) -> tuple["MlflowClient", str]:
        """A client, and the id of the experiment, which is made on first use."""
        from mlflow import MlflowClient

        if not self._is_default:
            client = MlflowClient(tracking_uri=self.uri)
            return client, _experiment_id(client, self._experiment, None)
        if set(str(self._directory)) & set("?%"):
            # Releases of SQLAlchemy disagree on how to write them, and a wrong guess is another file.
            raise ValueError("the address of a database cannot hold the ? or % of this path")
        from filelock import FileLock

        self._directory.mkdir(parents=True, exist_ok=True)
        # Two runs that begin at once must not both create the tables.
        with FileLock(self._directory / ".mlflow.lock", timeout=LOCAL_SECONDS):
            client = MlflowClient(tracking_uri=self.uri)
            artifacts = (self._directory / "mlflow-artifacts").as_uri()
            return client, _experiment_id(client, self._experiment, artifacts)

    def _describe(self, params: Mapping[str, Any], config_yaml: str) -> None:
        from mlflow.entities import Param

        client = self._active()
        # MLflow refuses to change a parameter, so a resumed run adds only what is new.
        known = client.get_run(self.run_id).data.params
        fresh = [Param(key, value) for key, value in flat(params).items() if key not in known]
        for start in range(0, len(fresh), _PARAMS_PER_BATCH):
            client.log_batch(self.run_id, params=fresh[start : start + _PARAMS_PER_BATCH])
        client.log_text(self.run_id, config_yaml, "config.yaml")

    def _collect(self, metrics: Mapping[str, float | None], step: int) -> None:
        if self._silent or self._client is None:
            return
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._pending += [
            Metric(key, float(value), now, step)
            for key, value in metrics.items()
            if value is not None and math.isfinite(value)
        ]

    def _flush(self) -> None:
        self._flushed = time.monotonic()
        while self._pending:
            batch, self._pending = self._pending[:_METRICS_PER_BATCH], self._pending[_METRICS_PER_BATCH:]
            self._call(lambda batch=batch: self._active().log_batch(self.run_id, metrics=batch))

    def _upload(self, paths: list[Path]) -> None:
        client = self._active()
        for path in paths:
            if path.is_dir():
                client.log_artifacts(self.run_id, str(path), artifact_path=path.name)
            else:
                client.log_artifact(self.run_id, str(path))


def import_mlflow() -> None:
    """Imports MLflow (about a second) without its usage statistics.

    On import MLflow starts a thread that reports usage to its makers. Whoever wants that sets
    MLFLOW_DISABLE_TELEMETRY=false.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    import mlflow  # noqa: F401


def local_uri(directory: Path) -> str:
    """The tracking URI of the SQLite store in `directory`."""
    return f"sqlite:///{directory.absolute() / 'mlflow.db'}"


def shown(text: str) -> str:
    """A tracking URI, or a text with one in it, without user names, passwords and queries."""
    without_user = re.sub(r"//[^/@\s]*@", "//", text)
    # The path of a SQLite file may hold a question mark; it has no secrets.
    return re.sub(r"(?<!sqlite:)(//[^\s?]*)\?\S*", r"\1", without_user)


def metric_key(*parts: str) -> str:
    """The parts of a metric's name joined by slashes, in the characters that MLflow allows."""
    return "/".join(map(_part, parts))


def flat(params: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings as MLflow parameters: dotted keys and short texts."""
    return {
        key: value if len(value) <= _LONGEST_VALUE else value[: _LONGEST_VALUE - 1] + "…"
        for key, value in _leaves(params, prefix)
    }


def _leaves(value: Any, prefix: str) -> Iterator[tuple[str, str]]:
    if not isinstance(value, Mapping):
        yield prefix, str(value)
        return
    for key, item in value.items():
        yield from _leaves(item, f"{prefix}.{_part(str(key))}" if prefix else _part(str(key)))


def _part(name: str) -> str:
    """One part of a key, in the characters that MLflow allows; it also refuses what looks like a path."""
    clean = re.sub(r"[^\w.\- ]", "_", name)[:_LONGEST_KEY_PART]
    return clean if clean.strip(". ") else clean.replace(".", "_") or "_"


def _experiment_id(client: "MlflowClient", name: str, artifacts: str | None) -> str:
    found = client.get_experiment_by_name(name)
    return found.experiment_id if found else client.create_experiment(name, artifact_location=artifacts)


def _reason(error: BaseException) -> str:
    """What went wrong at the bottom of it, in a few words.

    MLflow, SQLAlchemy and requests each wrap the error of the layer below into one of their own.
    """
    while (below := error.__cause__ or error.__context__) is not None:
        error = below
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    line = shown(next(iter(str(error).strip().splitlines()), type(error).__name__)).rstrip(".")
    return line if len(line) <= 160 else line[:159] + "…"
