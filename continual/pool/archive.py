"""Prompts on their way from one pool to another: a zip archive, or a folder that is a pool itself.

An archive holds `pool.json` and `prompts/<id>/...` exactly as a pool does, so unpacking it gives a pool. Where its
backbone has grown it holds the lineage too. A pool takes over what the archive says of its backbone and the pool itself
does not know.
"""

import contextlib
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Protocol

from continual import files
from continual.errors import PoolError
from continual.pool.format import PROMPT_FILE, TENSORS_FILE, EncodedPrompt, verified
from continual.pool.layout import HEADER_FILE, LINEAGE_FILES, PROMPTS_FOLDER, Header
from continual.pool.prompt import PromptRecord, is_prompt_id
from continual.pool.shelf import Shelf

_FIXED_TIME = (1980, 1, 1, 0, 0, 0)
_LARGEST_RATIO = 100
"""Tensors hardly shrink; a member that grows more than this was made to fill the memory."""

_UNREADABLE = (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, NotImplementedError)
"""What `zipfile` raises for damaged, encrypted or unknown archives."""


class Receiver(Protocol):
    """The part of `PromptPool` that an import needs."""

    @property
    def backbone(self) -> str | None:
        """Fingerprint that the prompts must have."""

    def adopt(self, header: Header, lineage: Mapping[str, bytes]) -> None:
        """Takes over what the pool does not know of its backbone yet."""

    def twin(self, record: PromptRecord) -> PromptRecord | None:
        """A prompt that differs from `record` at most in its version."""

    def add_encoded(self, encoded: EncodedPrompt, *, renumber: bool = False) -> PromptRecord:
        """Stores a prompt."""


def export_prompts(shelf: Shelf, header: Header, path: Path, ids: Collection[str]) -> None:
    """Writes the prompts `ids`, verified, to `path`: an archive if it ends in `.zip`, else a new folder.

    Raises:
        PoolError: A prompt is damaged, or the folder exists.
        StorageError: The disk refused; nothing was left behind.
    """
    if path.suffix.lower() == ".zip":
        with files.replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
            for name, data in _about(shelf, header).items():
                _write_member(archive, name, data)
            for name in sorted(set(ids)):
                encoded = shelf.read_encoded(name)
                _write_member(archive, f"{PROMPTS_FOLDER}/{name}/{PROMPT_FILE}", encoded.json)
                _write_member(archive, f"{PROMPTS_FOLDER}/{name}/{TENSORS_FILE}", encoded.tensors)
        return
    try:
        with files.new_folder(path) as temporary:
            for name, data in _about(shelf, header).items():
                (temporary / name).write_bytes(data)
            for name in sorted(set(ids)):
                folder = temporary / PROMPTS_FOLDER / name
                folder.mkdir(parents=True)
                shelf.read_encoded(name).write(folder)
    except FileExistsError as error:
        raise PoolError(f"{path} exists already; export to a new folder, or to a file that ends in .zip.") from error


def _about(shelf: Shelf, header: Header) -> dict[str, bytes]:
    """The files of a pool that are not prompts and cannot be rebuilt, by their names."""
    return {HEADER_FILE: header.encode()} | _lineage(shelf.path.parent)


def _lineage(pool: Path) -> dict[str, bytes]:
    """The files that tell where a pool's grown backbone comes from, by their names; none where it has not grown."""
    return {name: (pool / name).read_bytes() for name in LINEAGE_FILES if (pool / name).is_file()}


def import_prompts(pool: Receiver, path: Path) -> list[PromptRecord]:
    """Adds the prompts in `path` to `pool`, see `PromptPool.import_`."""
    with _opened(path) as source:
        header, lineage = source.about()
        backbone, records = pool.backbone or header.backbone, []
        for name in source.names():
            encoded = source.read(name, backbone)
            backbone = backbone or encoded.record.backbone
            records.append(encoded.record)
        added = []
        if header.backbone in (None, backbone):
            pool.adopt(replace(header, backbone=backbone), lineage)
        for record in sorted(records, key=lambda record: (record.created, record.task, record.version)):
            if pool.twin(record) is None:
                added.append(pool.add_encoded(source.read(record.id, backbone), renumber=True))
    return added


class _Source(Protocol):
    def about(self) -> tuple[Header, dict[str, bytes]]: ...

    def names(self) -> list[str]: ...

    def read(self, name: str, backbone: str | None) -> EncodedPrompt: ...


class _Folder:
    """Another pool's folder, or an unpacked archive."""

    def __init__(self, path: Path) -> None:
        self._path = path
        if not (path / PROMPTS_FOLDER).is_dir() and not (path / HEADER_FILE).exists():
            raise PoolError(f"{path} is not a prompt pool; name the folder that holds {HEADER_FILE}.")

    def about(self) -> tuple[Header, dict[str, bytes]]:
        try:
            return Header.read(self._path) or Header(), _lineage(self._path)
        except PoolError:  # the prompts, which say of themselves what they belong to, are to be rescued all the same
            return Header(), {}

    def names(self) -> list[str]:
        return sorted(name for name in Shelf(self._path, None).names()[0] if is_prompt_id(name))

    def read(self, name: str, backbone: str | None) -> EncodedPrompt:
        return Shelf(self._path, backbone).read_encoded(name)


class _Archive:
    """An open zip file. Members are read into memory and never unpacked to a path of their own choosing."""

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self._path = path
        self._archive = archive
        self._members: dict[str, zipfile.ZipInfo] = {}
        for member in archive.infolist():
            self._check(member)
            self._members[member.filename] = member
        if HEADER_FILE not in self._members:
            raise PoolError(f"{path} is not an exported pool (it has no {HEADER_FILE}); export it again.")
        self._header = Header.decode(self._bytes(HEADER_FILE), path / HEADER_FILE)

    def about(self) -> tuple[Header, dict[str, bytes]]:
        return self._header, {name: self._bytes(name) for name in LINEAGE_FILES if name in self._members}

    def names(self) -> list[str]:
        paths = [PurePosixPath(name).parts for name in self._members]
        return sorted({parts[1] for parts in paths if len(parts) == 3 and parts[0] == PROMPTS_FOLDER})

    def read(self, name: str, backbone: str | None) -> EncodedPrompt:
        folder = f"{PROMPTS_FOLDER}/{name}"
        prompt_json, tensors = self._bytes(f"{folder}/{PROMPT_FILE}"), self._bytes(f"{folder}/{TENSORS_FILE}")
        return verified(prompt_json, tensors, self._path / folder, backbone)

    def _check(self, member: zipfile.ZipInfo) -> None:
        parts = PurePosixPath(member.filename).parts
        outside = member.filename.startswith("/") or "\\" in member.filename or ".." in parts
        strange = len(parts) > 1 and parts[0] == PROMPTS_FOLDER and not is_prompt_id(parts[1])
        if outside or strange or member.filename in self._members:
            raise PoolError(f"{self._path} has the unsafe member {member.filename!r}; do not trust this archive.")
        if member.file_size > _LARGEST_RATIO * max(member.compress_size, 1024):
            raise PoolError(
                f"Member {member.filename!r} of {self._path} would unpack to {member.file_size:,} bytes; "
                "do not trust this archive."
            )

    def _bytes(self, member: str) -> bytes:
        if member not in self._members:
            raise PoolError(f"{self._path} lacks the member {member}; export it again.")
        try:
            return self._archive.read(member)
        except _UNREADABLE as error:
            raise PoolError(f"Member {member} of {self._path} is damaged ({error}); export it again.") from error


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[_Source]:
    if path.is_dir():
        yield _Folder(path)
        return
    try:
        archive = zipfile.ZipFile(path)
    except FileNotFoundError as error:
        raise PoolError(f"There is no archive or pool {path}; check the path.") from error
    except _UNREADABLE as error:
        raise PoolError(f"{path} is not a readable zip archive ({error}); export it again.") from error
    with archive:
        yield _Archive(path, archive)


def _write_member(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    """Adds a member whose bytes depend on nothing but its name and content."""
    member = zipfile.ZipInfo(name, _FIXED_TIME)
    member.create_system = 3
    member.external_attr = 0o644 << 16
    archive.writestr(member, data)
