"""The table of docs/pretraining.md: lifelong pretraining by each strategy."""

from typing import Any

from benchmarks.tables.results import NOT_YET, result, with_interval


def table() -> str:
    """One row for each strategy: perplexities, and the accuracy of each domain's task."""
    value = result("lifelong")
    if value is None:
        return NOT_YET
    means = value["means"]
    tasks = list(next(iter(means.values()))["accuracy"])
    lines = [
        f"| strategy | AP (95 % interval) | AP+ (95 % interval) | {' | '.join(f'`{name}`' for name in tasks)} "
        "| mean accuracy (95 % interval) | minutes |",
        f"|---|---|---|{'---|' * len(tasks)}---|---|",
    ]
    for name, mean in means.items():
        accuracies = " | ".join(f"{mean['accuracy'][task]:.3f}" for task in tasks)
        minutes = f"{mean['seconds'] / 60:.1f}" if "seconds" in mean else "–"
        lines.append(
            f"| `{name}` | {_interval(mean.get('average_perplexity'), '.1f')} "
            f"| {_interval(mean.get('average_increase'), '+.1f')} | {accuracies} "
            f"| {_interval(mean['mean_accuracy'], '.3f')} | {minutes} |"
        )
    seeds = means["plain"]["mean_accuracy"][3] if "plain" in means else 1
    about = (
        f"{seeds} seeds, {value['seconds'] / 60:.0f} minutes in all on {value['machine']['cpus']} cores; "
        "`CONTINUAL_DATA=... python -m benchmarks.lifelong --cache DIR`, "
        "[result](../benchmarks/results/lifelong.json)."
    )
    return "\n".join([*lines, "", about])


def _interval(found: list[Any] | None, form: str) -> str:
    return "–" if found is None else with_interval(found, form)
