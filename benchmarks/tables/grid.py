"""Tables of docs/grid.md: PANDA's orderings, and what each transferability metric foresaw."""

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
    lines = ["| ordering | on dev | holds | on test | holds |", "|---|---|---|---|---|"]
    for line in ordering_lines(found.orderings):
        cells = [cell for pair in zip(line.figures, map(_answer, line.holds), strict=True) for cell in pair]
        lines.append(f"| {line.claim} | {' | '.join(cells)} |")
    return "\n".join(lines)


def targets(measured: Measured, found: Findings) -> str:
    """What each target reaches by itself and, over the sources, by transfer."""
    lines = [
        "| target, test accuracy | scratch | vanilla transfer, over sources | PANDA, over sources |",
        "|---|---|---|---|",
    ]
    for column, target in enumerate(measured.targets):
        cells = [_range([row[column] for row in found.tables[name]]) for name in ("transfer_test", "panda_test")]
        lines.append(f"| `{target}` | {found.scratch[target]['test']:.3f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def metrics(measured: Measured, found: Findings) -> str:
    """Spearman's correlation of each metric with the first epoch."""
    names = " | ".join(f"`{target}`" for target in measured.targets)
    lines = [f"| metric, Spearman | {names} | mean |", f"|---|{'---|' * (len(measured.targets) + 1)}"]
    for name, one in found.spearman.items():
        cells = [*(one.targets[target] for target in measured.targets), one.mean]
        lines.append(f"| `{name}` | {' | '.join('–' if cell is None else f'{cell:+.2f}' for cell in cells)} |")
    return "\n".join(lines)


def _answer(holds: bool | None) -> str:
    return "–" if holds is None else "yes" if holds else "**no**"


def _range(column: list[float | None]) -> str:
    values = [value for value in column if value is not None]
    return f"{sum(values) / len(values):.3f} ({min(values):.3f} to {max(values):.3f})"
