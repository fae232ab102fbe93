"""Where tables get their numbers from."""

import json
from typing import Any

from benchmarks.common import RESULTS

NOT_YET = "Not measured yet."


def result(name: str) -> dict[str, Any] | None:
    """A result file; None where it has not been measured."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
