"""The files of the search graphs of an index folder.

    graph-<generation>-<first row>-<row behind the last>-<crc>.faiss

A search begins with the graph of row 0 and goes on with one that starts where that ends. A file that is replaced by a
larger one is deleted after the larger one is there, so that there is such a chain at any time.
"""

import contextlib
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

import filelock

from continual import files
from continual.pool.index import KeyIndex

_NAME = re.compile(r"graph-(?P<generation>[0-9a-f]+)-(?P<start>[0-9]+)-(?P<stop>[0-9]+)-(?P<crc>[0-9]+)\.faiss")
_DRAFT = "graph.draft"


class GraphFile(NamedTuple):
    """A graph on disk: its rows [start, stop), its checksum and its path."""

    start: int
    stop: int
    crc: int
    path: Path


class GraphFolder:
    """The graphs of an index.

    Args:
        folder: The folder of the index.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def chain(self, generation: str, rows: int) -> list[GraphFile]:
        """The fewest graphs that follow each other from row 0 as far as there are any.

        Args:
            generation: Of the index.
            rows: Number of rows of the index; graphs beyond are not used.
        """
        found = [(_NAME.fullmatch(path.name), path) for path in self._folder.glob(f"graph-{generation}-*.faiss")]
        known = [GraphFile(int(m["start"]), int(m["stop"]), int(m["crc"]), path) for m, path in found if m]
        chain: list[GraphFile] = []
        while next_ones := [file for file in known if file.start == (chain[-1].stop if chain else 0)]:
            reaching = [file for file in next_ones if file.start < file.stop <= rows]
            if not reaching:
                break
            chain.append(max(reaching, key=lambda file: file.stop))
        return chain

    def load(self, index: KeyIndex, file: GraphFile) -> bool:
        """Appends a graph to `index`; False if it is damaged or has vanished."""
        with contextlib.suppress(OSError):
            return index.load_graph(file.path, file.crc)
        return False

    def save(self, index: KeyIndex, generation: str, start: int) -> GraphFile:
        """Writes the last graph of `index`, whose rows begin at `start`.

        Raises:
            StorageError: The disk refused.
        """
        draft, stop = self._folder / _DRAFT, index.graph_rows
        crc = index.save_last_graph(draft)
        path = self._folder / f"graph-{generation}-{start}-{stop}-{crc}.faiss"
        with files.storage_errors(draft):
            draft.rename(path)
        return GraphFile(start, stop, crc, path)

    def keep(self, wanted: Collection[GraphFile]) -> None:
        """Deletes all other graphs. Call only within `alone`."""
        paths = {file.path for file in wanted}
        for path in self._folder.glob("graph-*"):
            if path not in paths:
                path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def alone(self) -> Iterator[bool]:
        """Whether no other process makes graphs; none begins during the body of the `with` if so.

        Raises:
            StorageError: The folder cannot be written.
        """
        lock = filelock.FileLock(str(self._folder / ".graphs.lock"), timeout=0)
        with files.storage_errors(self._folder):
            taken = _take(lock)
        if not taken:
            yield False
            return
        try:
            for leftover in self._folder.glob(f"*{_DRAFT}*"):
                leftover.unlink(missing_ok=True)
            yield True
        finally:
            lock.release()


def _take(lock: filelock.FileLock) -> bool:
    try:
        lock.acquire()
    except filelock.Timeout:  # an OSError, which must not be taken for one of the disk
        return False
    return True
