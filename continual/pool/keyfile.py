"""The key file: one float32 row after another, appended under the pool's lock, read from any position.

The catalogue says how many rows count. What lies behind them is the rest of an interrupted append and is
overwritten.
"""

import zlib
from pathlib import Path

import numpy as np

from continual import files
from continual.pool.catalogue import IndexDamagedError

_DTYPE = np.dtype("<f4")


def path(folder: Path, generation: str) -> Path:
    """The key file of a generation of the index in `folder`."""
    return folder / f"keys-{generation}.f32"


def checksum(keys: np.ndarray) -> int:
    """CRC-32 of the rows `keys` as they are written to the file."""
    return zlib.crc32(np.ascontiguousarray(keys, dtype=_DTYPE).tobytes())


def append(file: Path, keys: np.ndarray, position: int) -> None:
    """Writes `keys` [K, D] as rows `position`, `position + 1`, ...

    Raises:
        IndexDamagedError: The file is shorter than `position` rows.
        StorageError: The disk refused.
    """
    data = np.ascontiguousarray(keys, dtype=_DTYPE)
    offset = position * data.shape[1] * _DTYPE.itemsize
    with files.storage_errors(file), open(file, "r+b" if file.exists() else "x+b") as stream:
        if stream.seek(0, 2) < offset:
            raise IndexDamagedError(f"{file} is too short")
        stream.seek(offset)
        stream.write(data.tobytes())


def read(file: Path, start: int, stop: int, dimension: int) -> np.ndarray:
    """Rows [start, stop) as float32 [stop - start, dimension].

    Raises:
        IndexDamagedError: The file is missing or too short.
    """
    count = (stop - start) * dimension
    try:
        with open(file, "rb") as stream:
            stream.seek(start * dimension * _DTYPE.itemsize)
            values = np.fromfile(stream, dtype=_DTYPE, count=count)
    except OSError as error:
        raise IndexDamagedError(f"{file} cannot be read ({error.strerror})") from error
    if values.size < count:
        raise IndexDamagedError(f"{file} is too short")
    return values.reshape(-1, dimension).astype(np.float32, copy=False)
