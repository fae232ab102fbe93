"""Writes that are whole or absent: temporary name, sync, rename."""

import contextlib
import errno
import glob
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from continual.errors import StorageError, UserError

REMEDIES = {
    errno.ENOSPC: "the disk is full; free some space and run the same command again",
    errno.EDQUOT: "the disk quota is used up; free some space and run the same command again",
    errno.EFBIG: "the limit on file sizes was reached; raise it (ulimit -f) and run the same command again",
    errno.EROFS: "the file system is read-only; choose another folder",
    errno.EACCES: "permission was denied; choose a folder that you may write to",
}
"""What to do about the refusals of a disk, by their error numbers."""


@contextlib.contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turns an `OSError` of writing below `path` into a `StorageError` that names the path and the remedy."""
    try:
        yield
    except OSError as error:
        remedy = REMEDIES.get(error.errno or 0, error.strerror or str(error))
        raise StorageError(f"Could not write {path}: {remedy}.") from error
    except Exception as error:
        # safetensors reports I/O trouble with an exception of its own, tokenizers with a bare one, and both give the
        # errno only in the text.
        if type(error).__name__ in ("SafetensorError", "Exception") and "os error" in str(error).lower():
            raise StorageError(f"Could not write {path}: {error}.") from error
        raise


def sync_folder(path: Path) -> None:
    """Makes renames inside the folder `path` survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file(path: Path) -> None:
    """Flushes the file `path` to the disk."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def lines_of(data: bytes, errors: str = "strict") -> list[str]:
    r"""The lines of a text file in UTF-8, with or without a mark at its start.

    Only \n, or \r\n, ends a line: `str.splitlines` would also break at U+2028, a lone \r and others inside a text.

    Args:
        data: All of the file.
        errors: What becomes of bytes that are no UTF-8, as of `bytes.decode`.

    Raises:
        UnicodeDecodeError: There are such bytes and `errors` is `strict`.

    Example:
        >>> lines_of("a\u2028b\r\n\nc\n".encode())
        ['a\u2028b', '', 'c']
    """
    return lines_in(data.decode("utf-8-sig", errors))


def lines_in(text: str) -> list[str]:
    """The lines of a text, see `lines_of`."""
    return [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")] if text else []


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`; on success it is renamed over `path`, else removed."""
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _temporary(path)
        # Not mkstemp, whose files are private: results are as readable as the user's other files.
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        mode = temporary.stat().st_mode
        try:
            yield temporary
            temporary.chmod(mode)  # safetensors puts a private file of its own in this one's place
            sync_file(temporary)
            os.replace(temporary, path)
            sync_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yields a temporary folder beside `path`; on success it becomes `path`, else it is removed.

    Raises:
        FileExistsError: `path` exists already. A stored folder is never overwritten.
    """
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _temporary(path)
        temporary.mkdir()
        try:
            yield temporary
            for entry in (*temporary.rglob("*"), temporary):
                sync = sync_folder if entry.is_dir() else sync_file
                sync(entry)
            # rename() would silently replace an empty folder.
            free = not path.exists()
            if free:
                os.rename(temporary, path)
                sync_folder(path.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    if not free:
        raise FileExistsError(errno.EEXIST, "exists already", str(path))


def remove_unfinished(path: Path) -> None:
    """Removes what killed processes have left of `new_folder(path)`. Call only where nobody else makes it."""
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        shutil.rmtree(leftover, ignore_errors=True)


@contextlib.contextmanager
def held_alone(lock: Path, about: Path, refusal: UserError) -> Iterator[None]:
    """Holds the lock file `lock` for the body of the `with`; it stays afterwards, for who waits for it has it open.

    Args:
        lock: The file; its folder is made where there is none.
        about: What the disk's refusals are told of.
        refusal: What is raised where another process holds the lock.
    """
    from filelock import FileLock, Timeout

    held = FileLock(lock)
    with storage_errors(about):
        lock.parent.mkdir(parents=True, exist_ok=True)
        try:
            held.acquire(timeout=0)
        except Timeout:  # an OSError, which must not be taken for one of the disk
            raise refusal from None
    try:
        yield
    finally:
        held.release()


def write_text(path: Path, text: str) -> None:
    """Writes `text` to `path`, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Writes `value` as indented JSON to `path`, whole or not at all. NaN and infinity become null."""
    write_text(path, json.dumps(finite(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """The JSON value in `path`; the caller turns `OSError` and `ValueError` into its own message."""
    return json.loads(path.read_text(encoding="utf-8"))


def finite(value: Any) -> Any:
    """A copy of a JSON value in which numbers that JSON cannot hold (NaN, infinity) are None."""
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value


def _temporary(path: Path) -> Path:
    """An unused name beside `path`; dot and `.tmp` tell what a killed process leaves behind."""
    return path.parent / f".{path.name}.{secrets.token_hex(6)}.tmp"
