"""Where things lie in a pool folder, its header `pool.json`, and the lock that writers take.

pool.json                      schema, backbone: the header
prompts/<id>/prompt.json       the prompts: the only data that cannot be rebuilt
prompts/<id>/tensors.safetensors
index/                         derived from the prompts, see continual/pool/derived.py
growth.json, .safetensors      of a grown backbone: where it comes from, see continual/growth/lineage.py
.lock                          held while the pool is changed
"""

import contextlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import filelock

from continual import files
from continual.errors import PoolError

SCHEMA = 1
"""Version of the layout of a pool folder."""

HEADER_FILE = "pool.json"
PROMPTS_FOLDER = "prompts"
INDEX_FOLDER = "index"
LINEAGE_FILES = ("growth.json", "growth.safetensors")
"""What a pool of a grown backbone has besides, and takes along when it is exported."""

_LOCK_FILE = ".lock"
_LOCK_SECONDS = 300.0


@dataclass(frozen=True)
class Header:
    """What `pool.json` says.

    Attributes:
        backbone: Fingerprint for which all prompts were trained; None until the first prompt decides.
        backbone_name: Name for people.
        opening: How the backbone is opened, as plain settings; None where that was not told.
    """

    backbone: str | None = None
    backbone_name: str | None = None
    opening: dict[str, Any] | None = None

    def filled(self, other: "Header") -> "Header":
        """This header, and what another one says where this one says nothing."""
        said = zip(astuple(self), astuple(other), strict=True)
        return Header(*(own if own is not None else more for own, more in said))

    def encode(self) -> bytes:
        """The content of `pool.json`."""
        value = {"schema": SCHEMA, "backbone": self.backbone, "backbone_name": self.backbone_name}
        value |= {} if self.opening is None else {"opening": self.opening}
        return (json.dumps(value, indent=2) + "\n").encode()

    @classmethod
    def decode(cls, data: bytes, file: Path) -> "Header":
        """The header in the bytes of `pool.json`, which came from `file`.

        Raises:
            PoolError: They are damaged or were written by a newer program.
        """
        try:
            value = json.loads(data)
            schema, texts = int(value["schema"]), (value["backbone"], value["backbone_name"])
            if not all(isinstance(text, str | None) for text in texts):
                raise TypeError("the backbone must be a text")
            opening = value.get("opening")  # pools of older versions do not say
            if not isinstance(opening, dict | None):
                raise TypeError("how the backbone is opened must be settings")
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise PoolError(
                f"{file} is not the header of a prompt pool ({error}); restore it, "
                "or import the prompts of its folder into a new pool."
            ) from error
        if schema > SCHEMA:
            raise PoolError(
                f"{file} has schema {schema} but this program reads up to {SCHEMA}; upgrade continual-prompts."
            )
        return cls(*texts, opening)

    def write(self, pool: Path) -> None:
        """Stores the header in the folder `pool`."""
        with files.replacing(pool / HEADER_FILE) as temporary:
            temporary.write_bytes(self.encode())

    @classmethod
    def read(cls, pool: Path) -> "Header | None":
        """The header of the folder `pool`, None if there is none. Raises as `decode`."""
        file = pool / HEADER_FILE
        try:
            data = file.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise PoolError(f"{file} cannot be read ({error.strerror}); check its permissions and the disk.") from error
        return cls.decode(data, file)


def create(pool: Path, header: Header) -> Header:
    """Makes a pool without prompts in the folder `pool`, which exists. The lock must be held."""
    header.write(pool)
    with files.storage_errors(pool):
        (pool / PROMPTS_FOLDER).mkdir(exist_ok=True)
        # A power cut must not take the folders away from below a prompt that is stored later.
        files.sync_folder(pool)
        files.sync_folder(pool.absolute().parent)
    return header


def check_backbone(file: Path, header: Header, backbone: str | None) -> None:
    """Refuses a pool of another backbone than `backbone`; None on either side fits everything.

    Raises:
        PoolError: The fingerprints differ.
    """
    if backbone and header.backbone and backbone != header.backbone:
        name = f" ({header.backbone_name})" if header.backbone_name else ""
        raise PoolError(
            f"{file} belongs to backbone {header.backbone[:12]}{name} but {backbone[:12]} is in use; "
            "choose that backbone or another pool."
        )


class WriteLock:
    """The lock of a pool, among processes and threads. A thread that holds it may take it again.

    Args:
        pool: The folder of the pool.
    """

    def __init__(self, pool: Path) -> None:
        self._pool = pool
        self._lock = filelock.FileLock(str(pool / _LOCK_FILE), timeout=_LOCK_SECONDS)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Waits for the lock and holds it for the body of the `with`; makes the folder if it does not exist.

        Raises:
            PoolError: Another process has held it for five minutes.
            StorageError: The folder cannot be written.
        """
        with files.storage_errors(self._pool):
            self._pool.mkdir(parents=True, exist_ok=True)
            try:
                self._lock.acquire(poll_interval=0.01)
            except filelock.Timeout as error:
                raise PoolError(
                    f"{self._pool} has been locked by another process for {_LOCK_SECONDS:.0f} seconds; "
                    "wait for it or stop it."
                ) from error
        try:
            yield
        finally:
            self._lock.release()


def is_unused(pool: Path) -> bool:
    """Whether `pool` does not exist, or holds only what an interrupted start left behind."""
    try:
        return all(entry.name.startswith(".") for entry in pool.iterdir())
    except FileNotFoundError:
        return True
    except NotADirectoryError as error:
        raise PoolError(f"{pool} is a file but a pool is a folder; choose another path.") from error


def remove_leftovers(folder: Path) -> None:
    """Deletes what killed processes left half-written in `folder`. Call only while holding the lock."""
    for entry in folder.glob(".*.tmp*"):
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)
