"""Backbones that do not fit into memory: `accelerate` reads a layer's weights when the layer is called."""

import tempfile
import weakref
from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn


class Offload:
    """Where a model's weights go while it is loaded with at most `memory_mb` megabytes of them in memory.

    The others lie in a temporary folder that goes with the model. Results are the same, bit for bit.

    Args:
        memory_mb: The limit; None holds everything.
    """

    def __init__(self, memory_mb: float | None) -> None:
        self._memory_mb = memory_mb
        self._folder = None if memory_mb is None else tempfile.TemporaryDirectory(prefix="continual-")

    def options(self) -> dict[str, Any]:
        """What `from_pretrained` must be told."""
        if self._folder is None:
            return {}
        memory = {"cpu": int(self._memory_mb * 1e6)}
        return {"device_map": "auto", "max_memory": memory, "offload_folder": self._folder.name}

    def belongs_to(self, model: nn.Module) -> None:
        """Removes the folder when the model is gone."""
        if self._folder is not None:
            weakref.finalize(model, self._folder.cleanup)


def weights_of(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """All weights by name, one at a time, those on disk included."""
    for name, tensor in sorted(model.state_dict().items()):
        owner, _, leaf = name.rpartition(".")
        yield name, weight_of(model.get_submodule(owner), leaf) if tensor.is_meta else tensor


def weight_of(module: nn.Module, name: str) -> Tensor:
    """One of a module's own weights, also where it lies on disk."""
    weight = getattr(module, name)
    return module._hf_hook.weights_map[name] if weight.is_meta else weight
