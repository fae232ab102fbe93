"""Table of docs/methods.md: which texts find their task."""

import statistics

from benchmarks.tables.markdown import markdown
from benchmarks.tables.results import NOT_YET, result

_RULES = ("nearest", "densest", "densest_with_words")


def table() -> str:
    """Means over seeds for each stream and number of training texts."""
    value = result("routing")
    if value is None:
        return NOT_YET
    heads = ("stream", "training texts of a task", "nearest key", "densest cloud, last layer alone", "with the words")
    lines = []
    for stream, size in dict.fromkeys((row["stream"], row["texts"]) for row in value["rows"]):
        rows = [row for row in value["rows"] if (row["stream"], row["texts"]) == (stream, size)]
        means = [f"{statistics.fmean(row[rule] for row in rows):.3f}" for rule in _RULES]
        lines.append([f"`{stream}`", str(size), *means])
    command = "`CONTINUAL_DATA=... python -m benchmarks.routing`"
    return markdown(heads, lines, f"{command}, [result](../benchmarks/results/routing.json).")
