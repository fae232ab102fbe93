"""All metrics with the words that explain them, for `continual ls metrics`. Imports nothing heavy."""

from continual.evaluation.stream_metrics import STREAM_METRICS
from continual.evaluation.task_metrics import TASK_METRICS, TASK_TABLES
from continual.evaluation.text_metrics import TEXT_METRICS


def list_metrics() -> list[dict[str, str]]:
    """One row for each metric: name, level (task or stream), better, help, formula."""
    levels = [("task", TASK_METRICS), ("task", TEXT_METRICS), ("task", TASK_TABLES), ("stream", STREAM_METRICS)]
    return [
        {"name": it.name, "level": level, "better": it.better, "help": it.help, "formula": it.formula}
        for level, registry in levels
        for it in registry.values()
    ]
