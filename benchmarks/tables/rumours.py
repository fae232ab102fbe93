"""Tables of runs by default settings: PHEME, stance, and the transferability metrics against the truth."""

from benchmarks.tables.markdown import markdown
from benchmarks.tables.results import NOT_YET, result, with_interval


def pheme() -> str:
    """The rumour stream: one row for each method."""
    value = result("pheme")
    if value is None:
        return NOT_YET
    heads = ("method", "accuracy, task told (95 % interval)", "not told", "forgetting", "two small events", "minutes")
    rows = []
    for method, mean in value["means"].items():
        small = (mean["tasks"]["gurlitt"] + mean["tasks"]["putinmissing"]) / 2
        numbers = [f"{number:.3f}" for number in (mean["routed"], mean["forgetting"], small)]
        rows.append([f"`{method}`", with_interval(mean["aware_interval"]), *numbers, f"{mean['seconds'] / 60:.1f}"])
    about = (
        f"`CONTINUAL_DATA=... python -m benchmarks.pheme --methods {','.join(value['means'])}`, "
        "[result](../benchmarks/results/pheme.json)."
    )
    return markdown(heads, rows, about)


def stance() -> str:
    """Stance towards targets: one row for each method."""
    value = result("stance")
    if value is None:
        return NOT_YET
    heads = (
        "method",
        "mean F1, target told (95 % interval)",
        "not told (95 % interval)",
        "forgetting",
        "trained numbers",
        "seconds",
    )
    rows = []
    for method, mean in value["means"].items():
        cells = [with_interval(mean[f"{way}_own_metric_interval"]) for way in ("aware", "routed")]
        trained = max(run["trained_parameters"] for run in value["runs"] if run["method"] == method)
        rows.append([f"`{method}`", *cells, f"{mean['forgetting']:.3f}", f"{trained:,}", f"{mean['seconds']:.0f}"])
    return markdown(heads, rows)


def transferability() -> str:
    """The metrics against the truth: one row for each."""
    value = result("transferability")
    if value is None:
        return NOT_YET
    rows = [[f"`{name}`", f"{mean['signed']:+.2f}", f"{mean['absolute']:+.2f}"] for name, mean in value["mean"].items()]
    about = "`python -m benchmarks.transferability`, [result](../benchmarks/results/transferability.json)."
    return markdown(("metric", "known similarity", "its absolute value"), rows, about)
