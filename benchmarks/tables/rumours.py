"""Tables of runs by default settings: PHEME, stance, and the transferability metrics against the truth."""

from benchmarks.tables.results import NOT_YET, result, with_interval


def pheme() -> str:
    """The rumour stream: one row for each method."""
    value = result("pheme")
    if value is None:
        return NOT_YET
    lines = [
        "| method | accuracy, task told (95 % interval) | not told | forgetting | two small events | minutes |",
        "|---|---|---|---|---|---|",
    ]
    for method, mean in value["means"].items():
        _, low, high, _ = mean["aware_interval"]
        small = (mean["tasks"]["gurlitt"] + mean["tasks"]["putinmissing"]) / 2
        lines.append(
            f"| `{method}` | {mean['aware']:.3f} ({low:.3f} to {high:.3f}) | {mean['routed']:.3f} "
            f"| {mean['forgetting']:.3f} | {small:.3f} | {mean['seconds'] / 60:.1f} |"
        )
    methods = ",".join(value["means"])
    lines += ["", f"`CONTINUAL_DATA=... python -m benchmarks.pheme --methods {methods}`, "]
    lines[-1] += "[result](benchmarks/results/pheme.json), [what limits it](docs/pheme.md)."
    return "\n".join(lines)


def stance() -> str:
    """Stance towards targets: one row for each method."""
    value = result("stance")
    if value is None:
        return NOT_YET
    lines = [
        "| method | mean F1, target told (95 % interval) | not told (95 % interval) | forgetting | trained numbers "
        "| seconds |",
        "|---|---|---|---|---|---|",
    ]
    for method, mean in value["means"].items():
        cells = [with_interval(mean[f"{way}_interval"]) for way in ("aware", "routed")]
        trained = max(run["trained_parameters"] for run in value["runs"] if run["method"] == method)
        lines.append(
            f"| `{method}` | {' | '.join(cells)} | {mean['forgetting']:.3f} | {trained:,} | {mean['seconds']:.0f} |"
        )
    return "\n".join(lines)


def transferability() -> str:
    """The metrics against the truth: one row for each."""
    value = result("transferability")
    if value is None:
        return NOT_YET
    lines = ["| metric | known similarity | its absolute value |", "|---|---|---|"]
    for name, mean in value["mean"].items():
        lines.append(f"| `{name}` | {mean['signed']:+.2f} | {mean['absolute']:+.2f} |")
    lines += ["", "`python -m benchmarks.transferability`, [result](benchmarks/results/transferability.json)."]
    return "\n".join(lines)
