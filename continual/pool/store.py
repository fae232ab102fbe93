"""`PromptPool`: all prompts on disk. It only grows, and any number of processes may use it at once."""

import difflib
import threading
from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from continual import files
from continual.errors import PoolError
from continual.pool import format as prompt_format
from continual.pool import layout
from continual.pool.catalogue import State
from continual.pool.format import EncodedPrompt
from continual.pool.index import EXACT_LIMIT
from continual.pool.prompt import Prompt, PromptRecord, is_prompt_id, make_id, task_slug
from continual.pool.search import Hit
from continual.pool.shelf import Shelf
from continual.pool.upkeep import KeptIndex

if TYPE_CHECKING:
    import torch

    from continual.pool.verify import Problem

_CACHED_PROMPTS = 32


class PromptPool:
    """A folder of prompts for one backbone, see `continual/pool/layout.py`.

    Opening compares the names of the folders with the catalogue; no prompt is read. A prompt whose folder the
    catalogue lacks (a process was killed between the two) is entered, and a missing or damaged index is
    rebuilt; both leave a sentence in `notes`.

    Args:
        path: The folder.
        backbone: Fingerprint of the backbone in use. None accepts any pool; a new pool then takes the
            fingerprint of its first prompt.
        backbone_name: Name of that backbone for people, stored in a new pool.
        opening: How that backbone is opened, as plain settings, likewise.
        create: Make the pool if there is none.
        read_only: Change nothing on disk, not even to repair the index.
        exact_limit: Number of keys that are searched exactly; above, adding builds graphs, see `KeyIndex`.

    Raises:
        PoolError: There is no pool, or it is damaged, newer than this program or of another backbone.
        StorageError: The disk refused a write.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        backbone: str | None = None,
        *,
        backbone_name: str | None = None,
        opening: Mapping[str, Any] | None = None,
        create: bool = True,
        read_only: bool = False,
        exact_limit: int = EXACT_LIMIT,
    ) -> None:
        self.path = Path(path)
        self.read_only = read_only
        self.notes: list[str] = []
        self._lock = layout.WriteLock(self.path)
        wanted = layout.Header(backbone, backbone_name, None if opening is None else dict(opening))
        self._header = self._open_header(wanted, create and not read_only)
        if backbone is not None:
            self.check_backbone(backbone)
        self._shelf = Shelf(self.path, self._header.backbone)
        self._index = KeptIndex(self.path, self._shelf, self._lock, self.notes, read_only, exact_limit)
        self._cache: OrderedDict[str, Prompt] = OrderedDict()
        self._cache_lock = threading.Lock()
        self._superseded: tuple[State, frozenset[str]] | None = None
        self._index.reconcile()

    @property
    def backbone(self) -> str | None:
        """Fingerprint of the backbone of all prompts; None in a new pool that was not told."""
        return self._header.backbone

    @property
    def backbone_name(self) -> str | None:
        """Name of that backbone for people."""
        return self._header.backbone_name

    @property
    def opening(self) -> dict[str, Any] | None:
        """How that backbone is opened, see `continual.backbone.opening`; None where that was not told."""
        return self._header.opening

    def check_backbone(self, fingerprint: str) -> None:
        """Refuses the prompts for another backbone than theirs.

        Raises:
            PoolError: They belong to another one than that of `fingerprint`.
        """
        layout.check_backbone(self.path / layout.HEADER_FILE, self._header, fingerprint)

    def __len__(self) -> int:
        return self._index.read(lambda index: index.catalogue.count())

    def __contains__(self, prompt_id: object) -> bool:
        return isinstance(prompt_id, str) and self._find(prompt_id) is not None

    def ids(self) -> list[str]:
        """The ids of all prompts, oldest first."""
        return self._index.read(lambda index: index.catalogue.ids())

    def tasks(self) -> list[str]:
        """The names of all tasks, in the order of their first prompts."""
        return self._index.read(lambda index: index.catalogue.tasks())

    def records(self) -> list[PromptRecord]:
        """The records of all prompts, oldest first; no tensors are read."""
        return self._index.read(lambda index: index.catalogue.records())

    def record(self, prompt_id: str) -> PromptRecord:
        """The record of one prompt; no tensors are read.

        Raises:
            PoolError: There is no such prompt.
        """
        record = self._find(prompt_id)
        if record is None:
            raise self._unknown(prompt_id)
        return record

    def latest(self, task: str) -> PromptRecord | None:
        """The record of the newest version for `task`, None if the task has no prompt."""
        return self._index.read(lambda index: index.catalogue.latest(task))

    def answering(self) -> dict[str, str]:
        """For each task the id of the prompt that answers for it, its newest version."""
        return self._index.read(lambda index: index.catalogue.newest())

    def superseded(self) -> frozenset[str]:
        """Ids of prompts that have a newer version: they stay addressable, but no text is routed to them."""
        state = self._index.read(lambda index: index.catalogue.state())
        if self._superseded is None or self._superseded[0] != state:
            self._superseded = (state, frozenset(self._index.read(lambda index: index.catalogue.superseded())))
        return self._superseded[1]

    def folder(self, prompt_id: str) -> Path:
        """The folder of a prompt, whether it exists or not.

        Raises:
            PoolError: `prompt_id` does not have the form of an id.
        """
        if not is_prompt_id(prompt_id):
            raise self._unknown(prompt_id)
        return self._shelf.folder(prompt_id)

    def get(self, prompt_id: str) -> Prompt:
        """The prompt with its tensors, on the CPU; every checksum is verified when it is read from disk.

        The tensors are copies: changing them in place changes neither the pool nor what others get.

        Raises:
            PoolError: There is no such prompt, or its files are damaged, missing or of another backbone.
        """
        with self._cache_lock:
            prompt = self._cache.get(prompt_id)
        prompt = prompt or self._read(prompt_id)  # without the lock: others need not wait for the disk
        with self._cache_lock:
            self._cache[prompt_id] = prompt
            self._cache.move_to_end(prompt_id)
            if len(self._cache) > _CACHED_PROMPTS:
                self._cache.popitem(last=False)
        return replace(prompt, tensors={name: tensor.clone() for name, tensor in prompt.tensors.items()})

    def search(self, queries: "np.ndarray | torch.Tensor", k: int, exclude: Collection[str] = ()) -> list[list[Hit]]:
        """The `k` prompts nearest to each query by cosine; a prompt is as near as the nearest of its keys.

        Args:
            queries: [N, D], finite, of any length; D is the width of the keys.
            k: Number of prompts for each query; fewer if the pool has fewer.
            exclude: Ids of prompts that must not be found.

        Returns:
            For each query its hits, best first; equal scores are ordered by task name and version.

        Raises:
            PoolError: The queries have another width than the keys.
            ValueError: The queries are not a finite matrix.
        """
        if hasattr(queries, "detach"):
            queries = queries.detach().cpu().float().numpy()
        rows = np.asarray(queries, dtype=np.float32)
        if rows.ndim != 2 or not np.isfinite(rows).all():
            raise ValueError(f"queries must be a finite matrix [N, D], got shape {rows.shape}")
        rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(np.float32).tiny)
        return self._index.read(lambda index: index.live.search(rows, k, exclude))

    def twin(self, record: PromptRecord) -> PromptRecord | None:
        """The stored prompt that is the same as `record` up to its version, None if there is none."""
        same = self._index.read(lambda index: index.catalogue.with_tensors(record.tensors_sha256))
        return next((other for other in same if _content(other) == _content(record)), None)

    def next_version(self, task: str) -> int:
        """The version that the next prompt of `task` gets; tasks with the same slug count together."""
        slug = task_slug(task)
        version = self._index.read(lambda index: index.catalogue.highest_version(slug)) + 1
        while self.folder(make_id(task, version)).exists():
            version += 1
        return version

    def next_id(self, task: str) -> str:
        """The id that the next prompt of `task` gets, unless another process is faster; see `add`."""
        return make_id(task, self.next_version(task))

    def add(self, prompt: Prompt, *, renumber: bool = False) -> PromptRecord:
        """Stores a prompt, wholly or not at all. When this returns, the prompt survives any crash.

        Args:
            prompt: The prompt, for the backbone of the pool.
            renumber: If the id is taken, use the next free version instead of refusing.

        Raises:
            PoolError: The id is taken, the prompt is of another backbone, or not fit to be stored.
            StorageError: The disk refused; the pool is as it was.
        """
        return self.add_encoded(prompt_format.encode(prompt), renumber=renumber)

    def add_encoded(self, encoded: EncodedPrompt, *, renumber: bool = False) -> PromptRecord:
        """As `add`, for a prompt whose files were made, or read and verified, by `continual.pool.format`."""
        self.check_writable()
        with self._lock.held():
            if self._is_taken(encoded.record.id):
                if not renumber:
                    raise PoolError(
                        f"Prompt '{encoded.record.id}' is in {self.path} already and is never replaced; "
                        f"store it as '{self.next_id(encoded.record.task)}'."
                    )
                encoded = encoded.renumbered(self.next_version(encoded.record.task))
            self._accept_backbone(encoded.record)
            self._index.insert(encoded)
        # Others may add meanwhile: in a pool of a million keys this takes seconds, once in a thousand prompts.
        self._index.extend_graphs()
        return encoded.record

    def import_(self, path: str | PathLike[str]) -> list[PromptRecord]:
        """Adds the prompts of an archive or of another pool folder.

        All are verified before the first is added. A new pool takes over what the source says of its backbone: the
        name, and where a grown one comes from. A prompt that the pool has already is skipped; one whose
        id is taken by something else gets the next version number, and its provenance says so. As the newest version it
        answers for its task from then on: `answering` before and after tells where, `choosing.chosen` takes it back.

        Returns:
            The records of the prompts that were added.

        Raises:
            PoolError: The source is damaged, unsafe, or of another backbone; nothing was added.
            StorageError: The disk refused; what was added so far is kept, and the same call continues.
        """
        from continual.pool import archive

        self.check_writable()
        return archive.import_prompts(self, Path(path))

    def adopt(self, header: layout.Header, lineage: Mapping[str, bytes]) -> None:
        """Takes over what the header does not say yet, and the lineage where the pool has none.

        Args:
            header: Of another pool of the same backbone.
            lineage: Its `layout.LINEAGE_FILES`, by their names.

        Raises:
            PoolError: The pool has another backbone, or is open for reading only.
            StorageError: The disk refused; the same call continues.
        """
        self.check_writable()
        with self._lock.held():
            own = layout.Header.read(self.path) or self._header  # another process may have decided
            layout.check_backbone(self.path / layout.HEADER_FILE, own, header.backbone)
            told, other = layout.LINEAGE_FILES
            if len(lineage) == 2 and (own.backbone is None or not (self.path / told).exists()):
                for name in (other, told):  # the one that says that there is a lineage comes last
                    with files.replacing(self.path / name) as temporary:
                        temporary.write_bytes(lineage[name])
            self._header = own.filled(header)
            if self._header != own:  # last: until it is there, the pool counts as new
                self._header.write(self.path)
            self._shelf.backbone = self._header.backbone

    def export(self, path: str | PathLike[str], ids: Collection[str] | None = None) -> Path:
        """Writes prompts to a `.zip` archive, or to a new folder that is a pool itself.

        The same prompts give the same bytes. An archive that exists is replaced; a folder is not.

        Args:
            path: Ends in `.zip` for an archive; anything else is a folder.
            ids: Which prompts; None for all.

        Raises:
            PoolError: An id is unknown, a prompt is damaged, or the folder exists.
            StorageError: The disk refused; nothing was left behind.
        """
        from continual.pool import archive

        wanted = self.ids() if ids is None else [self.record(prompt_id).id for prompt_id in ids]
        archive.export_prompts(self._shelf, self._header, Path(path), wanted)
        return Path(path)

    def verify(self) -> "list[Problem]":
        """Reads every file of every prompt and compares it with its checksums and with the index.

        Returns:
            What is wrong; nothing if all is well. Nothing is changed.
        """
        from continual.pool.verify import verify

        return self._index.read(lambda index: verify(self._shelf, index))

    def check_writable(self) -> None:
        """Refuses to change a pool that was opened for reading only.

        Raises:
            PoolError: It was.
        """
        if self.read_only:
            raise PoolError(f"{self.path} was opened for reading only; open it for writing to change it.")

    def rebuild(self) -> None:
        """Makes the index anew from the prompts; those that cannot be read are left out and named in `notes`.

        Raises:
            StorageError: The disk refused; the old index is as it was.
        """
        self.check_writable()
        with self._lock.held():
            self._index.rebuild()

    def _open_header(self, wanted: layout.Header, create: bool) -> layout.Header:
        header = layout.Header.read(self.path)
        if header is not None:
            return header
        if not create:
            raise PoolError(f"There is no prompt pool in {self.path}; check the path.")
        if not layout.is_unused(self.path):
            # Unless another process made the pool this moment; the header is the first file that it writes.
            header = layout.Header.read(self.path)
            if header is not None:
                return header
            raise PoolError(
                f"{self.path} has other files but no {layout.HEADER_FILE}, so it is not a prompt pool; "
                "choose an empty folder, or import this one into a new pool."
            )
        with self._lock.held():
            # Another process may have been faster.
            return layout.Header.read(self.path) or layout.create(self.path, wanted)

    def _find(self, prompt_id: str) -> PromptRecord | None:
        if not is_prompt_id(prompt_id):
            return None
        return self._index.read(lambda index: index.catalogue.record(prompt_id))

    def _read(self, prompt_id: str) -> Prompt:
        # The folders decide: a damaged prompt is not in a rebuilt index but deserves its own message.
        if not self.folder(prompt_id).is_dir():
            if self._find(prompt_id) is None:
                raise self._unknown(prompt_id)
            raise PoolError(
                f"The folder {self.folder(prompt_id)} is missing; restore it, "
                f"or delete {self.path / layout.INDEX_FOLDER} to forget the prompt."
            )
        return self._shelf.read(prompt_id)

    def _unknown(self, prompt_id: str) -> PoolError:
        ids = self.ids()
        close = difflib.get_close_matches(prompt_id, ids, n=3)
        if close:
            hint = f"did you mean {' or '.join(repr(name) for name in close)}?"
        else:
            hint = f"it has {len(ids)} prompts, list them with `continual pool ls`."
        return PoolError(f"There is no prompt {prompt_id!r} in {self.path}; {hint}")

    def _is_taken(self, prompt_id: str) -> bool:
        return self.folder(prompt_id).exists() or self._find(prompt_id) is not None

    def _accept_backbone(self, record: PromptRecord) -> None:
        """Refuses a foreign prompt; the first one decides for a new pool. The lock must be held."""
        if self._header.backbone is None:
            # Another process may have decided.
            self._header = layout.Header.read(self.path) or self._header
        if self._header.backbone is None:
            self._header = replace(self._header, backbone=record.backbone)
            self._header.write(self.path)
        self._shelf.backbone = self._header.backbone
        self.check_backbone(record.backbone)


def _content(record: PromptRecord) -> tuple[object, ...]:
    """What makes two prompts of the same tensors the same prompt."""
    return record.task, record.labels, record.backbone, record.tuning, record.method
