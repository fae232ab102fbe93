"""Room for large arrays: in memory up to a limit, in temporary files beyond it."""

import tempfile
import weakref
from math import prod

import numpy as np
import torch
from torch import Tensor


class Space:
    """Gives out float32 tensors and counts what of them is in memory.

    Tensors that no longer fit lie in files that have no name (they vanish with the tensor, and with the process
    however it ends) and are mapped: the system keeps in memory what is in use and writes the rest out. The files are
    made where `TMPDIR` says.

    Args:
        limit_mb: How many megabytes may be in memory at a time.
    """

    def __init__(self, limit_mb: float) -> None:
        self.limit = limit_mb * 1e6
        self.used = 0
        self.spilled = 0

    def fits(self, size: int) -> bool:
        """Whether that many bytes more may be in memory."""
        return self.used + size <= self.limit

    def zeros(self, *shape: int) -> Tensor:
        """A tensor of zeros; it counts until it is no longer referred to.

        Raises:
            StorageError: There is no room in the temporary folder.
        """
        size = 4 * prod(shape)
        if not size or self.fits(size):
            tensor = torch.zeros(shape)
            self.used += size
            weakref.finalize(tensor, self._free, size)
            return tensor
        self.spilled += size
        return torch.from_numpy(_mapped(shape, size))

    def _free(self, size: int) -> None:
        self.used -= size


def _mapped(shape: tuple[int, ...], size: int) -> np.ndarray:
    from continual.files import storage_errors

    with storage_errors(tempfile.gettempdir()), tempfile.TemporaryFile(prefix="continual-") as file:
        # Taken at once: a full disk would otherwise end the process when the mapping is first written to.
        _allocate(file.fileno(), size)
        return np.memmap(file, dtype=np.float32, mode="r+", shape=shape)


def _allocate(descriptor: int, size: int) -> None:
    import os

    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    else:
        os.truncate(descriptor, size)
