"""The table of docs/pretraining.md: lifelong pretraining by each strategy."""

from typing import Any

from benchmarks.tables.markdown import coded, counted, markdown
from benchmarks.tables.results import NOT_YET, result, with_interval


def table() -> str:
    """One row for each strategy: perplexities, and the accuracy of each domain's task."""
    value = result("lifelong")
    if value is None:
        return NOT_YET
    means = value["means"]
    tasks = list(next(iter(means.values()))["accuracy"])
    heads = (
        "strategy",
        "AP (95 % interval)",
        "AP+ (95 % interval)",
        *coded(tasks),
        "mean accuracy (95 % interval)",
        "minutes",
    )
    rows = [
        [
            f"`{name}`",
            _interval(mean.get("average_perplexity"), ".1f"),
            _interval(mean.get("average_increase"), "+.1f"),
            *(f"{mean['accuracy'][task]:.3f}" for task in tasks),
            _interval(mean["mean_accuracy"], ".3f"),
            f"{mean['seconds'] / 60:.1f}" if "seconds" in mean else "–",
        ]
        for name, mean in means.items()
    ]
    seeds = dict.fromkeys(str(row["seed"]) for row in value["rows"])
    training = sum(row.get("seconds", 0.0) for row in value["rows"]) / 60
    about = (
        f"{counted(len(seeds), 'seed')}, {training:.0f} minutes of training on "
        f"{value['machine']['cpus']} cores; "
        f"`CONTINUAL_DATA=... python -m benchmarks.lifelong --cache DIR --seeds {','.join(seeds)}`, "
        "[result](../benchmarks/results/lifelong.json)."
    )
    return markdown(heads, rows, about)


def _interval(found: list[Any] | None, form: str) -> str:
    return "–" if found is None else with_interval(found, form)
