"""Tables and the figure of docs/performance.md."""

from pathlib import Path
from typing import Any

from benchmarks.measure import Row
from benchmarks.shares import REST
from benchmarks.speed import PROMPT, SAVING
from benchmarks.tables.markdown import markdown
from benchmarks.tables.results import NOT_YET, result

NO_GPU = "Not measured: no GPU at hand."


def groups(name: str) -> dict[str, dict[str, Any]]:
    """The groups of a result file, in order."""
    return (result(name) or {"groups": {}})["groups"]


def rows(name: str) -> list[Row]:
    """The rows of a result file, in order."""
    return [Row(**row) for group in groups(name).values() for row in group["rows"]]


def details(start: str) -> dict[str, Any]:
    """What lies behind the first row of the speed table that begins with `start`."""
    return next((row.details for row in rows("speed") if row.what.startswith(start)), {})


def table(name: str) -> str:
    """The rows of a result as Markdown, with goals and what limits them; the savings have a table of their own."""
    shown = [row for row in rows(name) if not row.what.startswith((SAVING, PROMPT))]
    if not shown:
        return NOT_YET
    heads = ("what", "measured against", "goal", "measured", "spread", "n", "verdict", "what limits it now")
    lines = []
    for row in shown:
        verdict = "**missed**" if row.met is False else row.verdict
        words = (row.what, row.against or "–", row.goal or "–", row.shown, row.spread, _n(row), verdict)
        lines.append([*words, row.limits or "–"])
    return markdown(heads, lines, _measured(name))


def savings() -> str:
    """What each saving of training is worth alone."""
    return _plain(SAVING, "saving", "against")


def prompts() -> str:
    """What other kinds of prompts cost."""
    return _plain(PROMPT, "kind of prompt", "against")


def profile() -> str:
    """Where the time of a training step and of predicting goes."""
    found = [(row.what, row.details["shares"]) for row in rows("speed") if "shares" in row.details]
    if not found:
        return NOT_YET
    kinds = [*(kind for kind in found[0][1] if kind != REST), REST]
    lines = [[what, *(f"{shares[kind]:.0%}" for kind in kinds)] for what, shares in found]
    return markdown(("share of the operators' time", *kinds), lines)


def recalls() -> str:
    """How many prompts have to be recalled for the best sources to be among them."""
    found = next((row.details["recalls"] for row in rows("speed") if "recalls" in row.details), [])
    if not found:
        return NOT_YET
    heads = (
        "`transfer.recall`",
        "seconds (spread)",
        "of the best 5, for each target",
        "score of the first / best score",
    )
    lines = []
    for item in found:
        seconds, same = item["seconds"], ", ".join(map(str, item["same"]))
        scores = zip(item["score of the first"], item["best score"], strict=True)
        pairs = ", ".join(f"{first:.2f} / {best:.2f}" for first, best in scores)
        spread = f"{seconds['median']:.3f} ({seconds['low']:.3f} – {seconds['high']:.3f})"
        lines.append([f"{item['recall']:,}", spread, same, pairs])
    return markdown(heads, lines)


def gpu() -> str:
    """What a GPU did; one sentence where none was at hand."""
    return table("gpu") if groups("gpu") else NO_GPU


def draw(path: Path) -> None:
    """Bars of the savings, and of prediction throughput."""
    saved = [row for row in rows("speed") if row.what.startswith(SAVING)]
    predict = details("prediction throughput")
    if not saved or not predict:
        return
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    matplotlib.rcParams.update({"svg.hashsalt": "continual", "font.size": 9, "svg.fonttype": "path"})
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 2.8), layout="constrained", width_ratios=(3, 2))
    each = {
        row.what.removeprefix(SAVING).split(",")[0].split("(")[0]: {
            "median": row.measured,
            "low": row.low,
            "high": row.high,
        }
        for row in saved
    }
    _bars(left, each, "times faster by each saving alone")
    names = ("transformers", "continual", "continual int8")
    _bars(right, {name: predict[name] for name in names}, f"seconds for {predict.get('texts', 1024):,} texts")
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, metadata={"Date": None})


def _plain(start: str, what: str, against: str) -> str:
    """A table of rows without goals whose names begin with `start`."""
    shown = [row for row in rows("speed") if row.what.startswith(start)]
    if not shown:
        return NOT_YET
    lines = [(row.what.removeprefix(start), row.against, row.shown, row.spread, _n(row)) for row in shown]
    return markdown((what, against, "measured", "spread", "n"), lines)


def _n(row: Row) -> str:
    return "–" if row.n is None else str(row.n)


def _measured(name: str) -> str:
    """When each group was measured, and how long the whole of it took."""
    parts = []
    for group, value in groups(name).items():
        seconds = value.get("seconds")
        took = "total time not kept" if seconds is None else f"{seconds:,.0f} s in all"
        parts.append(f"{group} {value['measured'][:10]} ({took})")
    return f"Measured: {', '.join(parts)}."


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
