"""What a run tells the outside world while it goes on."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

Status = Literal["finished", "interrupted", "failed"]


class Tracker(ABC):
    """Where the parameters, metrics and artifacts of one run are reported.

    No method raises because of the place it reports to, nor keeps the run waiting more than some seconds for
    a server that does not answer: a tracker that fails once is silent from then on and says so in `notes`.

    Attributes:
        run_id: Name of the run at the place it is reported to, to be kept in the checkpoint; None if there is
            none.
        notes: Sentences for the summary of the run.
    """

    run_id: str | None = None

    def __init__(self) -> None:
        self.notes: list[str] = []

    @abstractmethod
    def start(
        self,
        run_name: str,
        params: Mapping[str, Any],
        config_yaml: str,
        tags: Mapping[str, str] | None = None,
    ) -> str | None:
        """Opens the run, or goes on with it where the tracker was made with its `run_id`.

        Args:
            run_name: How the run is called.
            params: Settings, nested as in the config; `{"a": {"b": 1}}` is shown as `a.b = 1`.
            config_yaml: The resolved config, stored as `config.yaml`.
            tags: Further words to find the run by.

        Returns:
            The `run_id`, to be given back when the run is resumed.
        """

    @abstractmethod
    def step_metrics(self, task: str, stage: str, step: int, metrics: Mapping[str, float | None]) -> None:
        """Reports numbers of one training step as `TASK/STAGE/NAME`.

        Cheap: they are collected and sent together. A run that was killed and resumed repeats the steps since
        its checkpoint, so a curve may hold the same point twice.
        """

    @abstractmethod
    def task_metrics(self, index: int, metrics: Mapping[str, float | None]) -> None:
        """Reports numbers after `index` tasks were learned, such as `aware/average`."""

    @abstractmethod
    def artifacts(self, paths: Iterable[Path]) -> None:
        """Copies files and whole folders to the run, each under its own name. Absent paths are skipped."""

    @abstractmethod
    def finish(self, status: Status) -> None:
        """Sends what is still held back and closes the run."""


class NullTracker(Tracker):
    """Reports to nobody."""

    def start(
        self,
        run_name: str,
        params: Mapping[str, Any],
        config_yaml: str,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Does nothing."""

    def step_metrics(self, task: str, stage: str, step: int, metrics: Mapping[str, float | None]) -> None:
        """Does nothing."""

    def task_metrics(self, index: int, metrics: Mapping[str, float | None]) -> None:
        """Does nothing."""

    def artifacts(self, paths: Iterable[Path]) -> None:
        """Does nothing."""

    def finish(self, status: Status) -> None:
        """Does nothing."""


def open_tracker(
    directory: Path,
    *,
    enabled: bool = True,
    uri: str | None = None,
    experiment: str = "continual",
    run_id: str | None = None,
) -> Tracker:
    """The tracker that the settings ask for. Quick, and touches nothing before `start`.

    Args:
        directory: Folder of the local store, `mlflow.db` and `mlflow-artifacts/`, shared by all runs in it.
        enabled: False for no tracking at all.
        uri: Any MLflow tracking URI. If None, the environment variable MLFLOW_TRACKING_URI decides as it does
            for every MLflow program, and if that is unset, the local store.
        experiment: Name of the MLflow experiment.
        run_id: Goes on with this run, if it is still there, instead of opening a new one.
    """
    if not enabled:
        return NullTracker()
    from continual.tracking.mlflow_tracker import MLflowTracker

    return MLflowTracker(directory, uri or os.environ.get("MLFLOW_TRACKING_URI"), experiment, run_id)
