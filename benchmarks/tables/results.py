"""Where tables get their numbers from."""

import json
from collections.abc import Sequence
from typing import Any

from benchmarks.common import RESULTS

NOT_YET = "Not measured yet."


def result(name: str) -> dict[str, Any] | None:
    """A result file; None where it has not been measured."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def with_interval(found: Sequence[Any], form: str = ".3f") -> str:
    """A mean with its bounds, where there are any.

    Args:
        found: Mean, lower and upper bound, and what else `MeanInterval` has, which is not shown.
        form: How each number is written.
    """
    value, low, high, *_ = found
    return format(value, form) if low is None else f"{value:{form}} ({low:{form}} to {high:{form}})"
