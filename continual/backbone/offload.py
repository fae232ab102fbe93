"""Backbones that do not fit into memory: `accelerate` reads a layer's weights when the layer is called.

    a model without weights -> which modules are held -> the loaded model -> its tables of embeddings, mapped

Layers are held first, in their order, as far as the limit goes: each is used whole for every batch. Embeddings come
last, since a batch needs few of their rows. Those that are not held lie in a file that is mapped, of which only the
rows in use are read, and whose pages the system takes back when memory is short.
"""

import contextlib
import ctypes
import logging
import tempfile
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

_BYTES = 4
"""Of a weight: backbones are computed in float32, whatever their checkpoint holds."""

_DISPATCH_LOGGER = "accelerate.big_modeling"

MAPPED_FROM = 1 << 20
"""Blocks of at least so many bytes are given back to the system when they are freed, once a limit was asked for."""
_M_MMAP_THRESHOLD = -3
"""Of `mallopt`, from glibc's malloc.h."""


class Offload:
    """Where a model's weights go while it is loaded with at most `memory_mb` megabytes of them in memory.

    The others stay on disk: in the checkpoint where it can be read in place, in a temporary folder otherwise, which
    goes with the model. Results are the same, bit for bit. While a pass runs, memory holds the weights of the largest
    module on disk beside the limit.

    Args:
        memory_mb: The limit; None holds everything.
    """

    def __init__(self, memory_mb: float | None) -> None:
        self._limit = None if memory_mb is None else int(memory_mb * 1e6)
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def options(self, make: Callable[[], nn.Module]) -> dict[str, Any]:
        """What `from_pretrained` must be told about a model like the one that `make` gives, which gets no weights."""
        if self._limit is None or self._folder is None:
            return {}
        with torch.device("meta"):
            skeleton = make()
        return {"device_map": device_map(skeleton, self._limit), "offload_folder": self._folder.name}

    @contextlib.contextmanager
    def loading(self) -> Iterator[None]:
        """Makes the folder, removes it if the body fails, and keeps `accelerate` from reporting what was asked for."""
        if self._limit is not None:
            self._folder = tempfile.TemporaryDirectory(prefix="continual-")
            _give_freed_memory_back()
        logger = logging.getLogger(_DISPATCH_LOGGER)
        level = logger.level
        logger.setLevel(logging.ERROR)
        try:
            yield
        except BaseException:
            if self._folder is not None:
                self._folder.cleanup()
            raise
        finally:
            logger.setLevel(level)

    def belongs_to(self, model: nn.Module) -> None:
        """Maps the embeddings of the loaded model that are not held; removes the folder when the model is gone."""
        if self._folder is None:
            return
        _map_embeddings(model, Path(self._folder.name))
        weakref.finalize(model, self._folder.cleanup)


def device_map(model: nn.Module, limit: int) -> dict[str, str]:
    """For each module with weights of its own, whether it is held (`cpu`) or read when it is called (`disk`).

    Args:
        model: The model, with or without values in its weights.
        limit: Bytes that may be held.
    """
    sizes = {name: _BYTES * sum(weight.numel() for weight in unit.parameters()) for name, unit in _units(model)}
    embeddings = {name for name, unit in _units(model) if isinstance(unit, nn.Embedding)}
    places, left = {}, limit
    for name in sorted(sizes, key=lambda name: name in embeddings):
        places[name] = "cpu" if sizes[name] <= left else "disk"
        left -= sizes[name] if places[name] == "cpu" else 0
    return places


def weights_of(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """All weights by name, one at a time, those on disk included."""
    for name, tensor in sorted(model.state_dict().items()):
        owner, _, leaf = name.rpartition(".")
        yield name, weight_of(model.get_submodule(owner), leaf) if tensor.is_meta else tensor


def weight_of(module: nn.Module, name: str) -> Tensor:
    """One of a module's own weights, also where it lies on disk."""
    weight = getattr(module, name)
    return module._hf_hook.weights_map[name] if weight.is_meta else weight


def _units(model: nn.Module, name: str = "") -> Iterator[tuple[str, nn.Module]]:
    """The smallest parts of a model that are called with all of their weights, in their order."""
    if next(model.parameters(recurse=False), None) is not None:
        yield name, model
        return
    for child_name, child in model.named_children():
        yield from _units(child, f"{name}.{child_name}".removeprefix("."))


def _map_embeddings(model: nn.Module, folder: Path) -> None:
    """Gives every table of embeddings that is on disk a file of its own, mapped into memory.

    Otherwise a checkpoint in another format than float32 would be read and converted whole for a few rows.
    """
    from accelerate.hooks import remove_hook_from_module

    for number, module in enumerate(model.modules()):
        if isinstance(module, nn.Embedding) and module.weight.is_meta:
            stored = weight_of(module, "weight")
            table = torch.from_file(
                str(folder / f"table-{number}"), shared=True, size=stored.numel(), dtype=torch.float32
            ).view(stored.shape)
            module.weight = nn.Parameter(table.copy_(stored), requires_grad=False)
            remove_hook_from_module(module)


def _give_freed_memory_back() -> None:
    """Keeps glibc from holding on to the weights of layers that have been used.

    It raises the size from which it maps blocks, and so returns them at once, with every block that is freed. Smaller
    ones stay with the process, in pieces: with a limit of 60 MB, a backbone of 436 MB took 720 MB to run. C libraries
    without this setting are left as they are.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, MAPPED_FROM)
