"""Reads texts with a backbone of which part lies on disk, and tells what memory that took.

    python -m benchmarks.scaling.offload_child FOLDER MEMORY_MB|all TEXTS FEATURES.npy

What counts is memory that no file stands behind (`RssAnon`): what is mapped from files the system can give up.
"""

import json
import sys
import threading
import time

import numpy as np
import torch
from torch import nn

from benchmarks.speed import material
from continual.backbone.catalog import hub, minilm
from continual.backbone.frozen import freeze
from continual.backbone.offload import device_map
from continual.backbone.readout import Readout

_LOOK_EVERY = 0.005


def main(folder: str, memory_mb: str, texts: str, output: str) -> None:
    """Prints one JSON object: the figures of this process, in MB and seconds."""
    torch.set_num_threads(1)
    minilm()  # loads every library, so that the figures are of the backbone alone
    words = material.texts(int(texts))
    before = _anonymous()
    watch = _Watch()
    limit = None if memory_mb == "all" else float(memory_mb)
    encoder = hub(folder, memory_mb=limit)
    assert encoder.fingerprint
    loaded = watch.reset()
    tokens = encoder.tokenize(words)
    readout = Readout("last", ("pool",), terms=0)
    freeze(encoder, tokens, encoder.depth, readout)
    started = time.perf_counter()
    view = freeze(encoder, tokens, encoder.depth, readout)
    seconds = time.perf_counter() - started
    np.save(output, view.features.numpy())
    sizes = {name: _megabytes(encoder.model.get_submodule(name)) for name in device_map(encoder.model, 0)}
    held = sizes if limit is None else _held(encoder.model, int(limit * 1e6))
    found = {
        "loading": loaded - before,
        "pass": watch.reset() - before,
        "held": sum(sizes[name] for name in held),
        "largest": max(sizes.values()),
        "total": sum(sizes.values()),
        "seconds": seconds,
    }
    print(json.dumps(found))


class _Watch:
    """The largest `RssAnon` since the last `reset`, in MB."""

    def __init__(self) -> None:
        self._peak = 0.0
        threading.Thread(target=self._look, daemon=True).start()

    def reset(self) -> float:
        peak, self._peak = max(self._peak, _anonymous()), 0.0
        return peak

    def _look(self) -> None:
        while True:
            self._peak = max(self._peak, _anonymous())
            time.sleep(_LOOK_EVERY)


def _held(model: nn.Module, limit: int) -> list[str]:
    """The modules whose weights are in memory; all that should be on disk but tables, which are mapped, have none."""
    places = device_map(model, limit)
    for name, place in places.items():
        module = model.get_submodule(name)
        there = not any(weight.is_meta for weight in module.parameters())
        assert there == (place == "cpu" or isinstance(module, nn.Embedding)), name
    return [name for name, place in places.items() if place == "cpu"]


def _anonymous() -> float:
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("RssAnon:")) * 1024 / 1e6


def _megabytes(module: nn.Module) -> float:
    return sum(value.numel() * 4 for value in module.parameters()) / 1e6


if __name__ == "__main__":
    main(*sys.argv[1:])
