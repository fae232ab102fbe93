"""One pretrained model in the cache: found there if it is finished, else made, or made further after a kill."""

import contextlib
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from continual.errors import BackboneError, Interrupted, RunError
from continual.files import new_folder, read_json, storage_errors, write_json, write_text
from continual.pretraining.config import PretrainConfig, compose
from continual.progress import Progress

if TYPE_CHECKING:
    from continual.pretraining.recipe import Made
    from continual.tracking.tracker import Status, Tracker

ABOUT, CONFIG = "pretraining.json", "config.yaml"
_STATE = "state.json"
_SCHEMA = 1
"""Raised when the same settings come to mean another model."""


def cache_folder() -> Path:
    """Where models are kept: in the folder that CONTINUAL_CACHE names, or ~/.cache/continual."""
    root = os.environ.get("CONTINUAL_CACHE")
    return (Path(root).expanduser() if root else Path.home() / ".cache" / "continual").absolute() / "pretrained"


class Pretraining:
    """A model in the cache.

    Its folder is named by the configuration and a digest of all that decides the model. The folder appears when the
    model is finished, whole, by one rename; until then everything lies in a hidden folder beside it.

    Args:
        config: What is to be made.
        cache: Where; `cache_folder()` by default.
    """

    def __init__(self, config: PretrainConfig, cache: Path | None = None) -> None:
        self.config = config
        self.cache = cache or cache_folder()
        identity = {"schema": _SCHEMA, "kind": config.kind, **config.recipe.identity()}
        self.key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]
        self.folder = self.cache / f"{config.name}-{self.key}"
        self.work = self.cache / f".{self.folder.name}.work"

    @property
    def is_finished(self) -> bool:
        """Whether the model is there."""
        return (self.folder / ABOUT).is_file()

    def summary(self) -> dict[str, Any]:
        """What is told of the finished model.

        Raises:
            RunError: It is not finished, or its record is damaged.
        """
        try:
            return read_json(self.folder / ABOUT)
        except (OSError, ValueError) as error:
            raise RunError(
                f"{self.folder / ABOUT} is missing or damaged; remove the folder and make the model again with "
                f"`continual pretrain {self.config.name}`."
            ) from error

    def execute(self, progress: Progress) -> Path:
        """Makes the model if it is not there.

        Returns:
            Its folder.

        Raises:
            Interrupted: The user asked to stop; `execute` goes on from there.
            RunError: Another process makes the same model.
            UserError: Something has to be put right first.
        """
        if self.is_finished:
            return self.folder
        with self._locked():
            # Another process may have finished it in between.
            if not self.is_finished:
                self._make(progress)
        return self.folder

    def _make(self, progress: Progress) -> None:
        from continual.pretraining.recipe import Place

        started = time.monotonic()
        for leftover in self.cache.glob(f".{self.folder.name}.*.tmp"):  # of a process that was killed at the very end
            shutil.rmtree(leftover, ignore_errors=True)
        if self.config.threads:
            import torch

            torch.set_num_threads(self.config.threads)
        tracker = self._tracker()
        status: Status = "failed"
        try:
            with progress.running(self.config.name, list(self.config.recipe.parts), 0):
                watcher = progress.watcher(self.config.name, tracker)
                made = self.config.recipe.make(Place(self.work, started, watcher, progress.say, progress.done))
            self._store(made, tracker)
            status = "finished"
        except (Interrupted, KeyboardInterrupt):
            status = "interrupted"
            raise
        finally:
            tracker.finish(status)
        for note in tracker.notes:
            progress.say(f"note: {note}")
        shutil.rmtree(self.work, ignore_errors=True)

    def _store(self, made: "Made", tracker: "Tracker") -> None:
        """Puts the model into its folder, all at once."""
        from continual.run import versions

        head = {"schema": _SCHEMA, "name": self.config.name, "kind": self.config.kind, "key": self.key}
        with new_folder(self.folder) as temporary:
            made.save(temporary)
            write_text(temporary / CONFIG, self.config.to_yaml())
            write_json(temporary / ABOUT, {**head, **made.summary, "versions": versions()})
            # safetensors makes private files; the model is as readable as the user's other files.
            for path in temporary.iterdir():
                path.chmod((temporary / ABOUT).stat().st_mode)
        tracker.task_metrics(1, _numbers(made.summary["scores"]))
        tracker.artifacts([self.folder / ABOUT, self.folder / CONFIG])

    def _tracker(self) -> "Tracker":
        """The tracker of this model, the same one after a kill."""
        from continual.tracking.tracker import open_tracker

        tracking = self.config.tracking
        tracker = open_tracker(
            self.cache,
            enabled=tracking.enabled,
            uri=tracking.uri,
            experiment=tracking.experiment,
            run_id=self._tracking_id(),
        )
        tags = {"kind": "pretraining", "model": self.config.name}
        run_id = tracker.start(self.folder.name, self.config.resolved, self.config.to_yaml(), tags)
        write_json(self.work / _STATE, {"tracking_id": run_id})
        return tracker

    def _tracking_id(self) -> str | None:
        # Losing it costs a second line in a log, so nothing is refused for it.
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            return read_json(self.work / _STATE)["tracking_id"]
        return None

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with storage_errors(self.cache):
            self.cache.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.cache / f".{self.folder.name}.lock")
            try:
                lock.acquire(timeout=0)
            except Timeout:
                raise RunError(
                    f"{self.folder.name} is being made by another process; wait for it, or stop it first."
                ) from None
        try:
            yield
        finally:
            lock.release()


def pretrained(name: str, overrides: Sequence[str] = (), cache: Path | None = None) -> Path:
    """The folder of a finished model.

    Args:
        name: As for `continual pretrain`.
        overrides: Likewise.
        cache: Where models are kept; `cache_folder()` by default.

    Raises:
        BackboneError: It is not there.
    """
    made = Pretraining(compose(name, overrides), cache)
    if not made.is_finished:
        raise BackboneError(
            f"The model {made.folder.name} is not in {made.cache}; make it with "
            f"`continual pretrain {' '.join([name, *overrides])}`."
        )
    return made.folder


def _numbers(scores: list[dict[str, Any]]) -> dict[str, float]:
    """The numbers of each domain, as `DOMAIN/WAY/NAME`, or `DOMAIN/NAME` where there are no ways."""
    return {
        "/".join([row["domain"], *([row["way"]] if "way" in row else []), name]): float(value)
        for row in scores
        for name, value in row.items()
        if isinstance(value, int | float)
    }
