"""What all benchmarks share: where results go and what is noted beside them."""

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.measure import Row
from continual.environment import versions
from continual.files import read_json, write_json

RESULTS = Path(__file__).parent / "results"

__all__ = ["RESULTS", "save", "save_group", "save_values", "stamp", "versions"]


def stamp(seconds: float | None = None) -> dict[str, Any]:
    """When and with what something was measured, and how long the whole of it took."""
    machine = {"cpus": os.cpu_count(), "architecture": platform.machine(), "system": platform.system()}
    about = {"measured": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine, "versions": versions()}
    return about if seconds is None else about | {"seconds": round(seconds, 1)}


def save(name: str, value: dict[str, Any]) -> Path:
    """Writes a result that was measured as a whole, with its stamp."""
    return _write(name, stamp() | value)


def save_group(name: str, group: str, rows: Sequence[Row], seconds: float, **beside: Any) -> Path:
    """Writes one group of rows into a result file, under a stamp of its own; other groups keep theirs.

    Args:
        name: Of the file.
        group: Of the rows.
        rows: What was measured.
        seconds: What measuring took in all.
        **beside: What else the file says of the group.
    """
    return save_values(name, group, {"rows": [row.to_json() for row in rows]}, seconds, **beside)


def save_values(name: str, group: str, values: dict[str, Any], seconds: float, **beside: Any) -> Path:
    """The same for a group of any plain values."""
    path = RESULTS / f"{name}.json"
    value = read_json(path) if path.exists() else {"groups": {}}
    value["groups"][group] = stamp(seconds) | values
    return _write(name, value | beside)


def _write(name: str, value: dict[str, Any]) -> Path:
    path = RESULTS / f"{name}.json"
    write_json(path, value)
    print(f"written: {path}")
    return path
