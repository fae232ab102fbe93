"""One model in its folder: found there if it is finished, else made, or made further after a kill."""

import contextlib
import hashlib
import json
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from continual.errors import Interrupted, RunError
from continual.files import held_alone, new_folder, read_json, remove_unfinished, write_json, write_text
from continual.making.config import RecipeConfig
from continual.progress import Progress

if TYPE_CHECKING:
    from continual.making.recipe import Made
    from continual.tracking.tracker import Status, Tracker

CONFIG = "config.yaml"
_STATE = "state.json"
_SCHEMA = 1
"""Raised when the same settings come to mean another model."""


class Making(ABC):
    """A model that is made once.

    Its folder appears when the model is finished, whole, by one rename; until then everything lies in a hidden folder
    beside it, named by a digest of all that decides the model.

    Args:
        config: What is to be made.
        root: Where its folder, the folder of its work and the local log are.
        name: Of the folder; made of the configuration's name and the digest if not given.
    """

    about: ClassVar[str]
    """The file in the folder that tells of the model."""

    def __init__(self, config: RecipeConfig, root: Path, name: str | None = None) -> None:
        self.config = config
        self.root = root
        identity = {"schema": _SCHEMA, "kind": config.kind, **config.recipe.identity()}
        self.key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]
        self.folder = root / (name or f"{config.name}-{self.key}")
        self.work = root / f".{name}-{self.key}.work" if name else root / f".{self.folder.name}.work"

    @abstractmethod
    def metrics(self, summary: Mapping[str, Any]) -> list[dict[str, float]]:
        """The numbers of a finished model that are logged: those after each of its steps."""

    @property
    def is_finished(self) -> bool:
        """Whether the model is there."""
        return (self.folder / self.about).is_file()

    def summary(self) -> dict[str, Any]:
        """What is told of the finished model.

        Raises:
            RunError: It is not finished, or its record is damaged.
        """
        try:
            return read_json(self.folder / self.about)
        except (OSError, ValueError) as error:
            raise RunError(
                f"{self.folder / self.about} is missing or damaged; remove the folder and make the model again with "
                f"`continual {self.config.family.command} {self.config.name}`."
            ) from error

    def execute(self, progress: Progress) -> Path:
        """Makes the model if it is not there.

        Returns:
            Its folder.

        Raises:
            Interrupted: The user asked to stop; `execute` goes on from there.
            RunError: Another process makes the same model, or the folder holds another one.
            UserError: Something has to be put right first.
        """
        if self._is_found():
            return self.folder
        with self._locked():
            # Another process may have finished it in between.
            if not self._is_found():
                self._make(progress)
        return self.folder

    def _is_found(self) -> bool:
        if not self.is_finished:
            return False
        if self.summary().get("key") != self.key:
            raise RunError(
                f"{self.folder} holds a model of other settings, texts or models; give it another name, or remove it."
            )
        return True

    def _make(self, progress: Progress) -> None:
        from continual.environment import computing_with
        from continual.making.recipe import Place

        started = time.monotonic()
        remove_unfinished(self.folder)  # of a process that was killed at the very end
        tracker = self._tracker()
        status: Status = "failed"
        try:
            parts = list(self.config.recipe.parts)
            with progress.running(self.config.name, parts, 0), computing_with(self.config.threads):
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
        from continual.environment import versions

        head = {"schema": _SCHEMA, "name": self.config.name, "kind": self.config.kind, "key": self.key}
        with new_folder(self.folder) as temporary:
            made.save(temporary)
            write_text(temporary / CONFIG, self.config.to_yaml())
            write_json(temporary / self.about, {**head, **made.summary, "versions": versions()})
            # safetensors makes private files; the model is as readable as the user's other files.
            mode = (temporary / self.about).stat().st_mode
            for path in temporary.rglob("*"):
                if path.is_file():
                    path.chmod(mode)
        for number, values in enumerate(self.metrics(made.summary), start=1):
            tracker.task_metrics(number, values)
        tracker.artifacts([self.folder / self.about, self.folder / CONFIG])

    def _tracker(self) -> "Tracker":
        """The tracker of this model, the same one after a kill; it opens no run for what is refused at once."""
        from continual.tracking.deferred import Deferred
        from continual.tracking.tracker import open_tracker

        tracking = self.config.tracking
        tracker = open_tracker(
            self.root,
            enabled=tracking.enabled,
            uri=tracking.uri,
            experiment=tracking.experiment,
            run_id=self._tracking_id(),
        )
        return Deferred(tracker, self._begin)

    def _begin(self, tracker: "Tracker") -> None:
        """Opens the run of the tracker, and keeps its name for the time after a kill."""
        tags = {"kind": self.config.family.noun, "model": self.config.name}
        run_id = tracker.start(self.folder.name, self.config.resolved, self.config.to_yaml(), tags)
        write_json(self.work / _STATE, {"tracking_id": run_id})

    def _tracking_id(self) -> str | None:
        # Losing it costs a second line in a log, so nothing is refused for it.
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            return read_json(self.work / _STATE)["tracking_id"]
        return None

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        refusal = RunError(f"{self.folder.name} is being made by another process; wait for it, or stop it first.")
        with held_alone(self.root / f".{self.folder.name}.lock", self.root, refusal):
            yield


def by_place(scores: list[dict[str, Any]], *place: str) -> dict[str, float]:
    """The numbers of all rows as `PLACE/.../NAME`, where `place` names the columns that say which row it is."""
    return {
        "/".join([*(str(row[column]) for column in place if row.get(column)), name]): float(value)
        for row in scores
        for name, value in row.items()
        if isinstance(value, int | float) and name not in place
    }
