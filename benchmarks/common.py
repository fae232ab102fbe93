"""What all benchmarks share: where results go and what is noted beside them."""

import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from continual.files import write_json
from continual.run import versions

RESULTS = Path(__file__).parent / "results"

__all__ = ["RESULTS", "save", "versions"]


def save(name: str, value: dict[str, Any]) -> Path:
    """Writes a result with the machine and versions that it was measured with."""
    path = RESULTS / f"{name}.json"
    machine = {"cpus": os.cpu_count(), "architecture": platform.machine(), "system": platform.system()}
    about = {"measured": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine, "versions": versions()}
    write_json(path, about | value)
    print(f"written: {path}")
    return path
