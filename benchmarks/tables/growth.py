"""Tables of docs/growth.md: how exact expansions are, and streams with growth and without."""

from collections.abc import Sequence
from dataclasses import astuple
from typing import Any

from benchmarks.tables.markdown import coded, counted, markdown
from benchmarks.tables.results import NOT_YET, result, with_interval
from continual.evaluation.intervals import mean_interval

_ARMS = {
    "capacity": "growing when the test asks for it",
    "never": "never growing",
    "as much time": "never growing, as much time",
}


def exactness() -> str:
    """Families, what was added, and the largest change as a part of the largest output."""
    value = _group("exactness")
    if value is None:
        return NOT_YET
    grown = list(dict.fromkeys(row["grown"] for row in value["rows"]))
    heads = ["model", "output", *(head for name in grown for head in (f"{name}: exact", "elle"))]
    lines = []
    for model in dict.fromkeys(row["model"] for row in value["rows"]):
        rows = {row["grown"]: row for row in value["rows"] if row["model"] == model}
        changes = [_change(rows[name][how]) for name in grown for how in ("exact", "elle")]
        lines.append([model, rows[grown[0]]["exact"]["what"], *changes])
    return markdown(heads, lines)


def needed() -> str:
    """Means over the seeds of the three ways to learn the hard stream."""
    value = _group("needed")
    if value is None:
        return NOT_YET
    tasks = value["tasks"]
    heads = ("", "average (95 % interval)", "forgetting", *coded(tasks), "minutes", "grown after")
    allowed = _minutes([run for run in value["runs"] if run["growth"] == "capacity"])
    rows = []
    for arm, title in _ARMS.items():
        runs = [run for run in value["runs"] if run["growth"] == arm]
        if runs:
            cells = [_mean([run["accuracies"][task] for run in runs]) for task in tasks]
            grown = [entry["task"] for run in runs for entry in run["growths"] if entry["to"] is not None]
            average, forgetting = (
                _interval([run["average"] for run in runs]),
                _mean([run["forgetting"] for run in runs]),
            )
            minutes = _minutes(runs) + (f" of {allowed} allowed" if arm == "as much time" else "")
            rows.append([title, average, forgetting, *cells, minutes, ", ".join(grown) or "–"])
    return markdown(heads, rows, _about(value))


def unneeded() -> str:
    """How often the test was asked, and how often it fired."""
    value = _group("unneeded")
    if value is None:
        return NOT_YET
    rows = []
    for stream in dict.fromkeys(run["stream"] for run in value["runs"]):
        runs = [run for run in value["runs"] if run["stream"] == stream]
        gains = [entry["evidence"]["gain"] for run in runs for entry in run["growths"]]
        asked, grown = (str(sum(run[key] for run in runs)) for key in ("asked", "grown"))
        largest = f"{max(gains):+.3f}" if gains else "–"
        rows.append([f"`{stream}`", asked, grown, largest, _mean([run["average"] for run in runs])])
    return markdown(("stream", "tasks tested", "grown", "largest gain", "average"), rows, _about(value))


def _group(name: str) -> dict[str, Any] | None:
    value = result("growth")
    return None if value is None else value["groups"].get(name)


def _about(value: dict[str, Any]) -> str:
    seeds = len({run["seed"] for run in value["runs"]})
    told = f"{counted(seeds, 'seed')}; {', '.join(coded(value['settings']))}"
    return f"{told}; {value['machine']['cpus']} cores; [result](../benchmarks/results/growth.json)."


def _minutes(runs: Sequence[dict[str, Any]]) -> str:
    return f"{sum(run['seconds'] for run in runs) / max(len(runs), 1) / 60:.1f}"


def _change(found: dict[str, Any]) -> str:
    value = found["largest"] / found["scale"]
    if value == 0:
        return "0"
    return f"{value:.0e}".replace("e-0", "e-") if value < 1e-3 else f"{value:.2f}"


def _mean(values: Sequence[float]) -> str:
    return f"{sum(values) / len(values):.3f}"


def _interval(values: Sequence[float]) -> str:
    return with_interval(astuple(mean_interval(list(values))))
