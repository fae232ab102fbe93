"""Tables and the figure of docs/performance.md and docs/scaling.md."""

from pathlib import Path
from typing import Any

from benchmarks.tables.results import NOT_YET, result

SAVINGS = "an epoch with every saving"


def rows(name: str) -> list[dict[str, Any]]:
    """The rows of a result file, in order."""
    return [row for group in (result(name) or {"groups": {}})["groups"].values() for row in group]


def details(start: str) -> dict[str, dict[str, float]]:
    """What lies behind the row of the speed table that begins with `start`."""
    found = [row["details"] for row in rows("speed") if row["what"].startswith(start)]
    return found[0] if found else {}


def table(name: str) -> str:
    """The rows of a result as Markdown."""
    lines = [
        "| what | measured against | goal | measured | verdict | what limits it now |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows(name):
        verdict = "met" if row["met"] else "**missed**"
        measured = f"{row['measured']:.3g} {row['unit']}".strip()
        cells = (row["what"], row["against"] or "–", row["goal"], measured, verdict, row["limits"] or "–")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) if len(lines) > 2 else NOT_YET


def savings() -> str:
    """What each saving of a training step is worth."""
    lines = ["| an epoch of PHEME's largest event | seconds (median of 5) | lowest and highest |", "|---|---|---|"]
    for name, timing in details(SAVINGS).items():
        lines.append(f"| {name} | {timing['median']:.2f} | {timing['low']:.2f} to {timing['high']:.2f} |")
    return "\n".join(lines) if len(lines) > 2 else NOT_YET


def sizes() -> str:
    """What one learned task takes on disk."""
    found = (result("scaling") or {"sizes": {}})["sizes"]
    if not found:
        return NOT_YET
    lines = ["| part of a prompt (PHEME's largest event) | kilobytes |", "|---|---|"]
    return "\n".join([*lines, *(f"| `{name}` | {value / 1e3:.1f} |" for name, value in found.items())])


def draw(path: Path) -> None:
    """Bars of the savings, and of prediction throughput."""
    savings, predict = details(SAVINGS), details("prediction throughput")
    if not savings or not predict:
        return
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    matplotlib.rcParams.update({"svg.hashsalt": "continual", "font.size": 9, "svg.fonttype": "path"})
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 2.8), layout="constrained", width_ratios=(3, 2))
    _bars(left, savings, "seconds of an epoch")
    _bars(
        right,
        {name: predict[name] for name in ("transformers", "continual", "continual int8")},
        "seconds for 1,024 texts",
    )
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, metadata={"Date": None})


def _bars(axes: Any, timings: dict[str, dict[str, float]], title: str) -> None:
    names = list(timings)[::-1]
    medians = [timings[name]["median"] for name in names]
    spread = [
        [median - timings[name]["low"] for name, median in zip(names, medians, strict=True)],
        [timings[name]["high"] - median for name, median in zip(names, medians, strict=True)],
    ]
    axes.barh(names, medians, xerr=spread, color="#4477aa", ecolor="#333333", capsize=3)
    axes.set_title(title, loc="left", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
