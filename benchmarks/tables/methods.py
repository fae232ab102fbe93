"""Tables of README.md and docs/comparison.md: all methods, modules and baselines on the same streams."""

from dataclasses import astuple
from typing import Any

from benchmarks.methods.contestants import CONTESTANTS, SEEDS, STREAMS
from benchmarks.tables.markdown import coded, markdown
from benchmarks.tables.results import NOT_YET, result, with_interval
from continual.evaluation.intervals import mean_interval

_KINDS = {
    "own": "something of its own for each task",
    "shared": "one model for all tasks (told: it chooses among the task's labels only)",
    "bound": "all texts of all tasks kept",
}

_COLUMNS = (
    "method",
    "told (95 % interval)",
    "not told (95 % interval)",
    "forgetting, told",
    "not told",
    "BWT",
    "FWT",
    "trained numbers",
    "CPU seconds",
    "seeds",
)

_KEEPING_MORE = ("per_task", "linear_probe", "cumulative")
"""Baselines with a whole model or a classifier for each task, or with all texts of all tasks."""

_POOL = tuple(
    name for name, row in CONTESTANTS.items() if row.kind == "own" and ", " not in name and name not in _KEEPING_MORE
)
_ONE_MODEL = tuple(name for name, row in CONTESTANTS.items() if row.kind == "shared" and name not in _KEEPING_MORE)


def overview() -> str:
    """One row for each method; what else is trained by one, after a comma, stands in the tables of the streams."""
    value = result("methods")
    if value is None:
        return NOT_YET
    streams = value["streams"]
    methods = [name for name in CONTESTANTS if ", " not in name]
    heads = [head for stream in streams for head in (f"{stream}: told", "not told")]
    lines: list[list[str]] = []
    for kind, title in _KINDS.items():
        of_kind = [
            name for name in methods if CONTESTANTS[name].kind == kind and any(name in it for it in streams.values())
        ]
        if of_kind:
            lines.append([f"*{title}*", *[""] * (len(heads) + 2)])
        key = "aware" if kind == "own" else "routed"
        for name in sorted(of_kind, key=lambda name: (_missing(streams, name), -_over(streams, name, key))):
            means = {stream: table[name]["mean"] for stream, table in streams.items() if name in table}
            cells = [_number(means.get(stream, {}).get(key)) for stream in streams for key in ("aware", "routed")]
            trained = max(mean["trained_parameters"] or 0 for mean in means.values())
            minutes = f"{sum(mean['seconds'] for mean in means.values()) / 60:.1f}"
            lines.append([f"`{name}`", *cells, f"{trained:,.0f}", "–" if _missing(streams, name) else minutes])
    fewest = min(row["mean"]["seeds"] for table in streams.values() for row in table.values())
    unfinished = f"Not finished: some rows have {fewest} of {len(SEEDS)} seeds, a dash has none yet."
    below = [unfinished] if fewest < len(SEEDS) else []
    return markdown(("method", *heads, "trained numbers, at most", "CPU minutes of all streams"), lines, *below)


def table(stream: str) -> str:
    """Everything that was measured on one stream, the best first."""
    value = result("methods")
    if value is None or not value["streams"][stream]:
        return NOT_YET
    lines = []
    rows = value["streams"][stream]
    for name in sorted(rows, key=lambda name: -(rows[name]["mean"]["aware"] or 0)):
        mean = rows[name]["mean"]
        cells = [
            f"`{name}`",
            *(_with_interval(mean, key) for key in ("aware", "routed")),
            *(_number(mean[key]) for key in ("forgetting", "routed_forgetting", "bwt", "fwt")),
            f"{mean['trained_parameters'] or 0:,.0f}",
            f"{mean['seconds']:.0f}",
            f"{mean['seeds']}",
        ]
        lines.append(cells)
    return markdown(_COLUMNS, lines)


def winner() -> str:
    """The best methods that keep a prompt for each task, and one for all streams, against the best of all others.

    Nobody is told the task.
    """
    value = result("methods")
    if value is None:
        return NOT_YET
    streams = {name: rows for name, rows in value["streams"].items() if "joint" in rows}
    same = max(_everywhere(streams), key=lambda name: _over(streams, name, "routed"))
    heads = (
        "stream",
        "best of a pool",
        "best with one model",
        "difference (95 % interval)",
        f"one method everywhere, `{same}`",
        "difference (95 % interval)",
        "joint",
        "best that keeps more",
        "pool above every one model",
        "within 1 point of joint",
    )
    lines = []
    for stream, rows in streams.items():
        own, shared, more = (_best_routed(rows, names) for names in (_POOL, _ONE_MODEL, _KEEPING_MORE))
        if own and shared:
            accuracy = {name: row["mean"]["routed"] for name, row in rows.items()}
            differences = [_difference(rows[name], rows[shared]) for name in (own, same)]
            near = [accuracy[name] >= accuracy["joint"] - 0.01 for name in (own, same)]
            lines.append(
                [
                    f"`{stream}`",
                    *(f"`{name}` {accuracy[name]:.3f}" for name in (own, shared)),
                    with_interval(differences[0], "+.3f"),
                    f"{accuracy[same]:.3f}",
                    with_interval(differences[1], "+.3f"),
                    f"{accuracy['joint']:.3f}",
                    f"`{more}` {accuracy[more]:.3f}" if more else "–",
                    _both(*map(_above, differences)),
                    _both(*("yes" if it else "**no**" for it in near)),
                ]
            )
    return markdown(heads, lines)


def _everywhere(streams: dict[str, Any]) -> list[str]:
    """The methods of a pool that took part in all streams."""
    return [name for name in _POOL if all(name in rows for rows in streams.values())]


def _above(difference: tuple[float, float | None, float | None, int]) -> str:
    """Whether a difference is above zero, and whether its interval says so too."""
    mean, low, *_ = difference
    if mean <= 0:
        return "**no**"
    return "yes" if low is not None and low > 0 else "in the mean"


def _both(best: str, same: str) -> str:
    """A verdict on the best and on the one method everywhere, said once where it is the same."""
    return best if best == same else f"{best}; everywhere: {same}"


def _best_routed(rows: dict[str, Any], names: tuple[str, ...]) -> str | None:
    found = [name for name in names if name in rows]
    return max(found, key=lambda name: rows[name]["mean"]["routed"]) if found else None


def _difference(first: dict[str, Any], second: dict[str, Any]) -> tuple[float, float | None, float | None, int]:
    """The mean difference over the seeds that both have."""
    seeds = first["runs"].keys() & second["runs"].keys()
    differences = [first["runs"][seed]["routed"] - second["runs"][seed]["routed"] for seed in sorted(seeds)]
    return astuple(mean_interval(differences))


def caps() -> str:
    """What all contestants had alike."""
    value = result("methods")
    if value is None:
        return NOT_YET
    own = [[f"`{stream}`", _settings(caps)] for stream, caps in value["caps"].items()]
    return markdown(("stream", "settings"), [["all", _settings(value["budget"])], *own])


def search() -> str:
    """The settings of each contestant, its search space and what was chosen."""
    value = result("methods")
    if value is None:
        return NOT_YET
    rows: dict[str, Any] = {}
    for found in value["streams"].values():
        rows = found | rows
    lines = [
        [
            f"`{name}`",
            _settings(rows[name]["settings"]),
            "; ".join(_tried(name, one) for one in rows[name]["searched"]) or "–",
        ]
        for name in CONTESTANTS
        if name in rows
    ]
    return markdown(("method", "settings", "searched, with the accuracy of each value, and the choice in bold"), lines)


def _tried(name: str, searched: dict[str, Any]) -> str:
    """What was tried of a setting; a choice at the limit of its space says so."""
    knob = next(knob for knob in CONTESTANTS[name].knobs if knob.setting == searched["setting"])
    everything = (*knob.lower, *knob.values, *knob.higher)
    limit = " (the limit)" if searched["chosen"] in (min(everything), max(everything)) else ""
    values = [
        f"**{value}: {score:.3f}**" if float(value) == searched["chosen"] else f"{value}: {score:.3f}"
        for value, score in searched["scores"].items()
    ]
    return f"`{searched['setting']}` {', '.join(values)}{limit}"


def _missing(streams: dict[str, Any], name: str) -> int:
    """In how many streams a method took no part."""
    return sum(name not in table for table in streams.values())


def _over(streams: dict[str, Any], name: str, key: str) -> float:
    found = [table[name]["mean"][key] or 0 for table in streams.values() if name in table]
    return sum(found) / len(found)


def _settings(words: list[str]) -> str:
    return ", ".join(coded(words))


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _with_interval(mean: dict[str, Any], key: str) -> str:
    if mean[key] is None:
        return "–"
    value, low, high, *_ = mean[f"{key}_interval"]
    bounds = (None, None) if low is None else (max(0.0, low), min(1.0, high))  # an accuracy is a share
    return with_interval((value, *bounds))


__all__ = ["STREAMS", "caps", "overview", "search", "table", "winner"]
