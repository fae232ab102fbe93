"""How fast this machine reads weights and multiplies: what a backbone that exceeds memory is extrapolated from."""

import os
import tempfile
from pathlib import Path

import torch

from benchmarks.measure import timed
from benchmarks.operations import matmul_rate

_BYTES = 512 << 20
_BLOCK = 16 << 20


def rates() -> dict[str, float]:
    """Bytes a second from disk, and of bfloat16 weights made float32; operations a second of a float32 product."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    weights = torch.zeros(_BYTES // 2, dtype=torch.bfloat16)
    return {
        "read from disk, bytes a second": _BYTES / _reading(),
        "bfloat16 to float32, bytes a second": _BYTES / timed(lambda: weights.float()).median,
        "float32 product, operations a second": matmul_rate(),
    }


def _reading() -> float:
    """Seconds of reading a file of which nothing is in the system's cache."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "weights"
        with file.open("wb") as stream:
            for _ in range(_BYTES // _BLOCK):
                stream.write(os.urandom(_BLOCK))  # what a disk might not compress away
            stream.flush()
            os.fsync(stream.fileno())

        def read() -> None:
            with file.open("rb", buffering=0) as stream:
                # Dropping the pages is part of the time, of which it is less than a hundredth.
                os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                while stream.read(_BLOCK):
                    pass

        return timed(read).median
