"""Writes the tables of docs/performance.md and docs/scaling.md and a figure from the JSON files in benchmarks/results.

python scripts/write_performance.py           writes them
python scripts/write_performance.py --check   only tells whether the tables are current
"""

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PAGES = (ROOT / "docs" / "performance.md", ROOT / "docs" / "scaling.md")
FIGURE = ROOT / "docs" / "figures" / "performance.svg"
FILES = ("speed", "peft", "pool", "scaling")
SAVINGS = "an epoch with every saving"
NOT_YET = "Not measured yet."


def result(name: str) -> dict[str, Any]:
    """A result file; nothing where it has not been measured."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"groups": {}, "sizes": {}}


def rows(name: str) -> list[dict[str, Any]]:
    """The rows of a result file, in order."""
    return [row for group in result(name)["groups"].values() for row in group]


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
    found = result("scaling")["sizes"]
    if not found:
        return NOT_YET
    lines = ["| part of a prompt (PHEME's largest event) | kilobytes |", "|---|---|"]
    return "\n".join([*lines, *(f"| `{name}` | {value / 1e3:.1f} |" for name, value in found.items())])


def filled(text: str) -> str:
    """A page with its tables as the results say."""
    parts = {name: table(name) for name in FILES} | {"savings": savings(), "sizes": sizes()}
    for name, content in parts.items():
        start, end = f"<!-- results:{name} -->", f"<!-- /results:{name} -->"
        if start not in text:
            continue
        before, rest = text.split(start)
        text = f"{before}{start}\n{content}\n{end}{rest.split(end)[1]}"
    return text


def draw() -> None:
    """Bars of the savings, and of prediction throughput."""
    savings, predict = details(SAVINGS), details("prediction throughput")
    if not savings or not predict:
        return
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    matplotlib.rcParams.update({"svg.hashsalt": "continual", "font.size": 9, "svg.fonttype": "none"})
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 2.8), layout="constrained", width_ratios=(3, 2))
    _bars(left, savings, "seconds of an epoch, median with range")
    _bars(
        right,
        {name: predict[name] for name in ("transformers", "continual", "continual int8")},
        "seconds for 1,024 texts, median with range",
    )
    FIGURE.parent.mkdir(exist_ok=True)
    figure.savefig(FIGURE, metadata={"Date": None})


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


def main() -> None:
    """Writes or checks."""
    texts = {page: page.read_text(encoding="utf-8") for page in PAGES}
    old = [page.name for page, text in texts.items() if filled(text) != text]
    if "--check" in sys.argv:
        sys.exit(f"{', '.join(old)}: not current; run: python scripts/write_performance.py" if old else 0)
    for page, text in texts.items():
        page.write_text(filled(text), encoding="utf-8")
    draw()


if __name__ == "__main__":
    main()
