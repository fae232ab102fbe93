"""Sweeps: a grid of runs in one folder, done one after another, side by side, or on a Ray cluster.

    grid.py      `key=a,b,c` to cells and their names
    check.py     what would fail, or repeat another cell, found at planning
    record.py    sweep.json
    missing.py   which cells enter no comparison
    reference.py whether any cell can be what others are to be compared with
    plan.py      Sweep: which cells there are, which are to be done
    process.py   starts a cell's process; cell.py is what runs in it
    local.py     cells on this machine
    on_ray.py    cells on a Ray cluster

The names below load on first use.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from continual.sweep.local import LocalBackend
    from continual.sweep.on_ray import RayBackend
    from continual.sweep.outcome import Backend, Outcome, Watch
    from continual.sweep.plan import Sweep
    from continual.sweep.record import Cell

__all__ = ["Backend", "Cell", "LocalBackend", "Outcome", "RayBackend", "Sweep", "Watch"]

_HOMES = {
    "Backend": "outcome",
    "Cell": "record",
    "LocalBackend": "local",
    "Outcome": "outcome",
    "RayBackend": "on_ray",
    "Sweep": "plan",
    "Watch": "outcome",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
