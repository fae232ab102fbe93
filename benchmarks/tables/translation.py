"""Tables of docs/translation.md: streams of translation domains."""

from typing import Any

from benchmarks.tables.markdown import coded, markdown
from benchmarks.tables.results import NOT_YET, result, with_interval


def table(name: str) -> str:
    """BLEU of each contestant, the domain told and not told, and what was searched."""
    value = result(name)
    if value is None:
        return NOT_YET
    rows = value["table"]
    heads = (
        "method",
        "BLEU, told (95 % interval)",
        "not told",
        "right prompt",
        "forgetting, told",
        "not told",
        "BWT, told",
        "chrF, told",
        "trained",
        "minutes",
    )
    cells = [
        [
            f"`{method}`",
            _interval(row, "aware"),
            _interval(row, "routed"),
            _share(row["routing_accuracy"]),
            _number(row["aware_forgetting"]),
            _number(row["routed_forgetting"]),
            _number(row["aware_bwt"], "+.1f"),
            _number(row["aware_chrf"]),
            _count(row["trained_parameters"]),
            f"{row['seconds'] / 60:.1f}",
        ]
        for method, row in rows.items()
    ]
    untaught = sum(row["untaught"] for row in rows.values()) / len(rows)
    first = value["runs"][0]
    about = (
        f"Orders: {len(value['orders'])}, each with a seed of its own. Untaught, `{value['backbone']}` has a BLEU of "
        f"{untaught:.1f}. Settings: {', '.join(coded(value['overrides'])) or 'those of the experiment'}. "
        f"Signature: `{first['signatures']['bleu']}`. "
        f"{value['machine']['cpus']} cores; [result](../benchmarks/results/{name}.json)."
    )
    return markdown(heads, cells, _by_domain(value), _searched(value), about)


def _by_domain(value: dict[str, Any]) -> str:
    domains = value["orders"][0]
    rows = [["untaught", *(_mean([run["untaught"][name] for run in value["runs"]]) for name in domains)]]
    for method in value["table"]:
        runs = [run for run in value["runs"] if run["method"] == method]
        rows.append([f"`{method}`", *(_mean([run["tasks"][name] for run in runs]) for name in domains)])
    return markdown(("BLEU after the last domain, told", *coded(domains)), rows)


def _searched(value: dict[str, Any]) -> str:
    found = {
        method: "; ".join(
            f"`{one['setting']}` {one['chosen']:g} of {', '.join(f'{float(key):g}' for key in one['scores'])}"
            for one in tried
        )
        for method, tried in value["search"].items()
        if tried
    }
    if not found:
        return "Nothing was searched."
    return "Searched: " + ", ".join(f"`{method}` {text}" for method, text in found.items()) + "."


def _interval(row: dict[str, Any], side: str) -> str:
    found = row.get(f"{side}_interval")
    return with_interval(found, ".1f") if found else _number(row[f"{side}_average"])


def _number(value: float | None, form: str = ".1f") -> str:
    return "–" if value is None else format(value, form)


def _share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.0f} %"


def _count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _mean(values: list[float]) -> str:
    return f"{sum(values) / len(values):.1f}"
