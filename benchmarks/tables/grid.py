"""Tables of docs/grid.md: PANDA's orderings, and what each transferability metric foresaw."""

from benchmarks.tables.markdown import coded, markdown
from benchmarks.tables.results import NOT_YET, result
from continual.evaluation.typed import from_json
from continual.grid.findings import Findings
from continual.grid.page import ordering_lines
from continual.grid.records import Measured


def table() -> str:
    """The orderings, the targets, and the metrics."""
    value = result("grid")
    if value is None:
        return NOT_YET
    found, measured = from_json(Findings, value["findings"]), from_json(Measured, value)
    about = (
        f"{len(measured.sources)} sources, {len(measured.targets)} targets, {len(measured.seeds)} seeds, at most "
        f"{measured.examples} training texts; {measured.seconds / 60:.0f} minutes on {value['machine']['cpus']} cores. "
        f"{measured.distillation()}"
    )
    return "\n\n".join([about, orderings(found), targets(measured, found), metrics(measured, found)])


def orderings(found: Findings) -> str:
    """Each ordering with its figures."""
    rows = []
    for line in ordering_lines(found.orderings):
        cells = [cell for pair in zip(line.figures, map(_answer, line.holds), strict=True) for cell in pair]
        rows.append([line.claim, *cells])
    return markdown(("ordering", "on dev", "holds", "on test", "holds"), rows)


def targets(measured: Measured, found: Findings) -> str:
    """What each target reaches by itself and, over the sources, by transfer."""
    heads = ("target, test accuracy", "scratch", "vanilla transfer, over sources", "PANDA, over sources")
    rows = []
    for column, target in enumerate(measured.targets):
        cells = [_range([row[column] for row in found.tables[name]]) for name in ("transfer_test", "panda_test")]
        rows.append([f"`{target}`", f"{found.scratch[target]['test']:.3f}", *cells])
    return markdown(heads, rows)


def metrics(measured: Measured, found: Findings) -> str:
    """Spearman's correlation of each metric with the first epoch."""
    rows = []
    for name, one in found.spearman.items():
        cells = [*(one.targets[target] for target in measured.targets), one.mean]
        seeds = ", ".join(map(_correlation, one.seeds))
        rows.append([f"`{name}`", *map(_correlation, cells), seeds])
    return markdown(("metric, Spearman", *coded(measured.targets), "mean", "mean in each seed alone"), rows)


def _correlation(value: float | None) -> str:
    return "–" if value is None else f"{value:+.2f}"


def _answer(holds: bool | None) -> str:
    return "not decided" if holds is None else "yes" if holds else "**no**"


def _range(column: list[float | None]) -> str:
    values = [value for value in column if value is not None]
    return f"{sum(values) / len(values):.3f} ({min(values):.3f} to {max(values):.3f})"
