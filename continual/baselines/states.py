"""What a baseline has learned, on disk: one whole file for the state after each task, safetensors and JSON."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from continual.errors import RunError
from continual.training.checkpoint import FolderCheckpoints

FOLDER = "baseline"


class States:
    """The states of a run, by how many tasks were learned.

    They are needed to go on after a kill, and for nothing else: when the run is over they are removed, since a model
    for each task and seed would fill a disk with what nothing reads.

    Args:
        run: The run's folder.
    """

    def __init__(self, run: Path) -> None:
        self._run, self._folder = run, run / FOLDER
        self._files = FolderCheckpoints(self._folder)

    def save(self, learned: int, tensors: Mapping[str, Tensor], facts: Mapping[str, Any], part: str = "") -> None:
        """Stores the state after `learned` tasks, or a part of it."""
        self._files.save(_name(learned, part), tensors, facts)

    def has(self, learned: int, part: str = "") -> bool:
        """Whether there is such a state."""
        return self._path(learned, part).exists()

    def load(self, learned: int, part: str = "") -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The tensors and facts of a state.

        Raises:
            RunError: It is missing or damaged.
        """
        found = self._files.load(_name(learned, part))
        if found is None:
            raise RunError(
                f"{self._path(learned, part)} is missing or damaged, without which this run cannot go on; "
                "start a new run."
            )
        return found

    def remove(self, learned: int) -> None:
        """Forgets a state that will not be needed again."""
        self._path(learned, "").unlink(missing_ok=True)

    def clear(self) -> None:
        """Forgets everything."""
        self._files.clear()

    def check(self, learned: int, tasks: int) -> None:
        """Makes sure that the states belong to a run that has noted `learned` of `tasks` tasks.

        Raises:
            RunError: They are ahead of it by more than the task in work.
        """
        if any(self.has(number) for number in range(learned + 2, tasks + 1)):
            raise RunError(
                f"{self._folder} holds more tasks than state.json knows of, so that file was lost or replaced; "
                "put it back, or start a new run."
            )

    def _path(self, learned: int, part: str) -> Path:
        return self._folder / f"{_name(learned, part)}.safetensors"


def _name(learned: int, part: str) -> str:
    return f"{learned:04d}-{part}" if part else f"{learned:04d}"
