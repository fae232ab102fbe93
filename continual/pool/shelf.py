"""The prompt folders of a pool: the only data that cannot be rebuilt."""

import contextlib
import os
import shutil
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import TypeVar

from continual import files
from continual.errors import PoolError
from continual.pool import format as prompt_format
from continual.pool import layout
from continual.pool.format import EncodedPrompt
from continual.pool.prompt import Prompt

T = TypeVar("T")


class Shelf:
    """The folder `prompts/` of a pool.

    Args:
        pool: The folder of the pool.
        backbone: Fingerprint that every prompt must have, None for any.
    """

    def __init__(self, pool: Path, backbone: str | None) -> None:
        self.path = pool / layout.PROMPTS_FOLDER
        self.backbone = backbone

    def folder(self, prompt_id: str) -> Path:
        """Where the prompt with this id is or would be."""
        return self.path / prompt_id

    def names(self) -> tuple[set[str], bool]:
        """What lies in the folder, and whether a killed process left something half-written.

        Raises:
            PoolError: The folder cannot be read.
        """
        try:
            names = set(os.listdir(self.path))
        except FileNotFoundError:
            return set(), False
        except OSError as error:
            raise PoolError(
                f"{self.path} cannot be read ({error.strerror}); check its permissions and the disk."
            ) from error
        hidden = {name for name in names if name.startswith(".")}
        return names - hidden, any(name.endswith(".tmp") for name in hidden)

    def read(self, prompt_id: str) -> Prompt:
        """The prompt, every checksum verified. Raises as `continual.pool.format.decode`."""
        return prompt_format.read_prompt(self.folder(prompt_id), self.backbone)

    def read_encoded(self, prompt_id: str) -> EncodedPrompt:
        """The files of the prompt, verified. Raises as `continual.pool.format.verified`."""
        return prompt_format.read_encoded(self.folder(prompt_id), self.backbone)

    def readable(self, names: Collection[str], notes: list[str]) -> Iterator[EncodedPrompt]:
        """The undamaged prompts in the folders `names`, oldest first; `notes` tells why others are not."""
        records = [_noting(notes, lambda name=name: prompt_format.read_record(self.folder(name))) for name in names]
        known = [record for record in records if record is not None]
        width = None
        for record in sorted(known, key=lambda record: (record.created, record.task, record.version)):
            width = width or record.keys[1]
            if record.keys[1] != width:
                notes.append(f"Prompt '{record.id}' has keys of another width than the oldest prompt; it is left out.")
                continue
            encoded = _noting(notes, lambda name=record.id: self.read_encoded(name))
            if encoded is not None:
                yield encoded

    def write(self, encoded: EncodedPrompt) -> None:
        """Stores a prompt whose folder does not exist, wholly or not at all.

        Raises:
            StorageError: The disk refused.
        """
        with files.new_folder(self.folder(encoded.record.id)) as temporary:
            encoded.write(temporary)

    def discard(self, prompt_id: str) -> None:
        """Takes back a `write` that could not be indexed."""
        folder = self.folder(prompt_id)
        trash = folder.with_name(f".{folder.name}.discarded.tmp")
        # Renaming first makes it vanish at once; what stays is a leftover for the next opening.
        with contextlib.suppress(OSError):
            folder.rename(trash)
        shutil.rmtree(trash, ignore_errors=True)

    def remove_leftovers(self) -> None:
        """Deletes what killed processes left half-written. Call only while holding the lock of the pool."""
        layout.remove_leftovers(self.path)


def _noting(notes: list[str], read: Callable[[], T]) -> T | None:
    try:
        return read()
    except PoolError as error:
        notes.append(str(error))
        return None
