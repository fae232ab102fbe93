"""The page of a grid: one HTML file with its heat maps, which needs nothing else."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from continual.evaluation.figures.heatmap import Cell, HeatMap, Row, domain
from continual.evaluation.figures.numbers import UNKNOWN, count, decimals, duration, unit_of
from continual.evaluation.figures.palette import step_of
from continual.evaluation.report import printable, render_template
from continual.evaluation.summary import Rows
from continual.evaluation.typed import from_json, to_json
from continual.grid.findings import Correlation, Difference, Findings, Ordering, Spread
from continual.grid.records import Measured

_ACCURACY = unit_of("accuracy")

Write = Callable[[float], str]


@dataclass(frozen=True)
class Line:
    """An ordering as the page shows it: what is claimed, and for dev and test the figure and whether it holds."""

    claim: str
    figures: list[str]
    holds: list[bool | None]


def render_grid(measured: Measured, found: Findings, name: str = "") -> str:
    """Draws a grid.

    Args:
        measured: What was measured.
        found: What follows from it.
        name: How the grid is called.

    Returns:
        A complete HTML document that loads nothing.
    """
    measured = from_json(Measured, printable(to_json(measured)))
    found = from_json(Findings, printable(to_json(found)))
    return render_template(
        "grid.html.j2",
        grid=measured,
        name=name or measured.stream,
        transfers=count(len(measured.wanted())),
        distillation=measured.distillation(),
        time=duration(measured.seconds),
        unit=_ACCURACY,
        orderings=found.orderings,
        lines=ordering_lines(found.orderings),
        foresight=foresight_map(found.spearman, measured.targets) if found.spearman else None,
        performance=performance_maps(measured, found),
        predictions=[
            _map(f"{metric}: predicted transferability", measured, found.tables[metric], _plain, _plain)
            for metric in found.spearman
        ],
    )


def ordering_lines(orderings: dict[str, Ordering]) -> list[Line]:
    """PANDA's orderings, each with its figures on dev and test."""
    if not orderings:
        return []
    both = [orderings["dev"], orderings["test"]]
    figures = (
        [_difference(one.transfer_gain) for one in both],
        [_difference(one.panda_gain) for one in both],
        [_difference(one.panda_over_transfer) for one in both],
        [_dependence(one) for one in both],
    )
    return [
        Line(claim, shown, [one.holds[claim] for one in both])
        for claim, shown in zip(both[0].holds, figures, strict=True)
    ]


def foresight_map(correlations: dict[str, Correlation], targets: Sequence[str]) -> HeatMap:
    """Spearman's correlation of every metric with the performance after the first epoch, for each target."""
    rows = []
    for metric, found in correlations.items():
        cells = [_cell(found.targets.get(name), f"{metric}, {name}", (-1.0, 1.0), _plain) for name in targets]
        rows.append(Row(None, metric, cells, decimals(found.mean)))
    return HeatMap("Spearman's correlation with the first epoch", list(targets), rows, "mean", decimals(-1), "1.00")


def performance_maps(measured: Measured, found: Findings) -> list[HeatMap]:
    """What became of the transfers: after the first epoch, and at the end against the targets' own prompts."""
    own = found.scratch
    first = [[own.get(name, {}).get("first") for name in measured.targets]]
    maps = [
        _map(
            "Vanilla transfer after the first epoch, accuracy on dev",
            measured,
            found.tables["transfer_first"],
            _ACCURACY.score,
            _ACCURACY.full,
            top=("from scratch", first[0]),
        )
    ]
    gains = {
        f"{title}, gain over scratch on {split}": _gains(
            found.tables[f"{method}_{split}"], own, measured.targets, split
        )
        for split in ("dev", "test")
        for method, title in (("transfer", "Vanilla transfer"), ("panda", "PANDA"))
    }
    limits = domain(list(gains.values()))
    return maps + [_map(title, measured, rows, _ACCURACY.change, _points, limits) for title, rows in gains.items()]


def _gains(rows: Rows, own: dict[str, dict[str, float]], targets: Sequence[str], split: str) -> Rows:
    return [
        [None if value is None else value - own[name][split] for value, name in zip(row, targets, strict=True)]
        for row in rows
    ]


def _map(
    title: str,
    measured: Measured,
    table: Rows,
    write: Write,
    full: Write,
    limits: tuple[float, float] | None = None,
    top: tuple[str, list[float | None]] | None = None,
) -> HeatMap:
    """A table of sources and targets as coloured cells, with the means of the rows."""
    limits = limits or domain([table, [top[1]] if top else None])
    named = ([top] if top else []) + list(zip(measured.sources, table, strict=True))
    rows = []
    for source, values in named:
        cells = [
            _cell(value, f"{source} to {target}", limits, write, full)
            for value, target in zip(values, measured.targets, strict=True)
        ]
        known = [value for value in values if value is not None]
        rows.append(Row(None, source, cells, write(sum(known) / len(known)) if known else UNKNOWN))
    return HeatMap(title, list(measured.targets), rows, "mean", full(limits[0]), full(limits[1]))


def _cell(value: float | None, what: str, limits: tuple[float, float], write: Write, full: Write | None = None) -> Cell:
    if value is None:
        return Cell(UNKNOWN, None, f"{what}: not measured or not defined", "missing")
    return Cell(write(value), step_of(value, *limits), f"{what}: {(full or write)(value)}")


def _plain(value: float) -> str:
    return decimals(value)


def _points(value: float) -> str:
    return f"{_ACCURACY.change(value)} points"


def _difference(difference: Difference) -> str:
    """With its interval, to two places: to one, a bound beside zero would be written as zero."""
    if difference.low is None or difference.high is None:
        return f"{_hundredths(difference.mean)} points"
    return f"{_hundredths(difference.mean)} points ({_hundredths(difference.low)} to {_hundredths(difference.high)})"


def _dependence(order: Ordering) -> str:
    """PANDA's deviation over the sources minus that of vanilla transfer, and how far each goes."""
    if order.spread_difference is None:
        return UNKNOWN
    ranges = (
        f"{name} {_range(spread)}"
        for name, spread in (("PANDA", order.panda_spread), ("transfer", order.transfer_spread))
    )
    return f"{_difference(order.spread_difference)}; worst to best source: {', '.join(ranges)}"


def _range(spread: Spread) -> str:
    return f"{_hundredths(spread.low)} to {_hundredths(spread.high)}"


def _hundredths(value: float) -> str:
    return _ACCURACY.change(value, places=2)
