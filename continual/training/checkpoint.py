"""Where a training stands, on disk: whole files only, safetensors and JSON, never pickle."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from continual.files import replacing


class Checkpoints(Protocol):
    """Keeps the state of each training of a task under its name."""

    def save(self, name: str, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Keeps `tensors` and the JSON-able `state` under `name`, replacing what was there."""

    def load(self, name: str) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """What was saved under `name`, or None."""


class NoCheckpoints:
    """For use without a run: nothing is kept."""

    def save(self, name: str, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """See `Checkpoints.save`."""

    def load(self, name: str) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """See `Checkpoints.load`."""
        return None


class Named:
    """Checkpoints of other trainings of the same names beside those that are kept already.

    Args:
        checkpoints: Where they are kept.
        prefix: What their names begin with.
    """

    def __init__(self, checkpoints: Checkpoints, prefix: str) -> None:
        self._checkpoints, self._prefix = checkpoints, prefix

    def save(self, name: str, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """See `Checkpoints.save`."""
        self._checkpoints.save(f"{self._prefix}{name}", tensors, state)

    def load(self, name: str) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """See `Checkpoints.load`."""
        return self._checkpoints.load(f"{self._prefix}{name}")


class FolderCheckpoints:
    """One safetensors file for each training in a folder; its JSON state travels in the file's metadata."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, name: str, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """See `Checkpoints.save`."""
        from safetensors.torch import save_file

        with replacing(self._path(name)) as temporary:
            whole = {key: value.contiguous() for key, value in tensors.items()}
            save_file(whole, temporary, metadata={"state": json.dumps(state)})

    def load(self, name: str) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """See `Checkpoints.load`; a damaged file counts as absent.

        A training gives the same bits however often it starts again, so a lost checkpoint costs time and nothing
        else, and there is nothing that the user would have to decide.
        """
        from safetensors import SafetensorError, safe_open

        path = self._path(name)
        if not path.exists():
            return None
        try:
            with safe_open(path, framework="pt") as file:
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  (not a dict)
                state = json.loads(file.metadata()["state"])
        except (SafetensorError, TypeError, KeyError, ValueError):
            return None
        return tensors, state

    def clear(self) -> None:
        """Forgets everything: the task is done."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.safetensors"
