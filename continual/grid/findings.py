"""What a grid shows: who helps whom, which metric foresees it, and whether PANDA's orderings hold."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from continual.evaluation.correlation import spearman
from continual.evaluation.intervals import mean_interval
from continual.evaluation.summary import Rows
from continual.grid.records import Measured, Outcome, Pair

Value = Callable[[Pair], float | None]


@dataclass
class Correlation:
    """How far a metric foresees the performance after the first epoch: Spearman's correlation over the sources.

    Attributes:
        targets: For each target, of the means over the seeds; None where it is not defined.
        mean: Over the targets that have one.
        seeds: The mean over the targets in each seed alone.
    """

    targets: dict[str, float | None]
    mean: float | None
    seeds: list[float | None]


@dataclass
class Difference:
    """A mean difference over the seeds with its 95 % t interval; one seed has no interval."""

    mean: float
    low: float | None
    high: float | None


@dataclass
class Spread:
    """How much the choice of the source matters: each source's mean gain over the targets' own prompts.

    Attributes:
        low: Of the worst source.
        high: Of the best source.
        deviation: Standard deviation over the sources; None for a single one.
    """

    low: float
    high: float
    deviation: float | None


@dataclass
class Ordering:
    """PANDA's orderings on one split. Means are over sources first, then over targets, then over seeds.

    Attributes:
        scratch: Mean accuracy of the targets' own prompts.
        transfer: Mean accuracy of vanilla transfer.
        panda: Mean accuracy of PANDA.
        transfer_gain: Vanilla transfer minus scratch.
        panda_gain: PANDA minus scratch.
        panda_over_transfer: PANDA minus vanilla transfer.
        transfer_spread: Over the sources, of vanilla transfer.
        panda_spread: Over the sources, of PANDA.
        spread_difference: Deviation over the sources of PANDA minus that of vanilla transfer, in each seed alone; None
            for a single source.
        holds: Each ordering in words, and whether it holds; None where it is not decided: where the interval of the
            difference over the seeds has zero in it, and where one seed gives none.
    """

    scratch: float
    transfer: float
    panda: float
    transfer_gain: Difference
    panda_gain: Difference
    panda_over_transfer: Difference
    transfer_spread: Spread
    panda_spread: Spread
    spread_difference: Difference | None
    holds: dict[str, bool | None]


@dataclass
class Findings:
    """Everything that follows from the measurements; means over the seeds.

    Attributes:
        scratch: For each target the accuracies of its own prompt: `first`, `dev` and `test`.
        tables: Sources x targets, None where nothing is measured: `transfer_first`, `transfer_dev`, `transfer_test`,
            `panda_dev`, `panda_test`, and the scores of each metric under its name.
        spearman: For each transferability metric.
        orderings: For dev and test; none before any transfer is measured.
    """

    scratch: dict[str, dict[str, float]]
    tables: dict[str, Rows]
    spearman: dict[str, Correlation]
    orderings: dict[str, Ordering]


def findings(measured: Measured) -> Findings:
    """What the measurements made so far show."""
    pairs = measured.wanted()
    metrics = list(dict.fromkeys(name for pair in pairs for name in pair.scores))
    values: dict[str, Value] = {
        "transfer_first": lambda pair: pair.transfer.first,
        "transfer_dev": lambda pair: pair.transfer.dev,
        "transfer_test": lambda pair: pair.transfer.test,
        "panda_dev": lambda pair: pair.panda.dev,
        "panda_test": lambda pair: pair.panda.test,
    } | {name: score_of(name) for name in metrics}
    return Findings(
        scratch=_scratch(measured),
        tables={name: _table(measured, pairs, value) for name, value in values.items()},
        spearman={name: _correlation(measured, pairs, name) for name in metrics},
        orderings={split: _ordering(measured, pairs, split) for split in ("dev", "test")} if pairs else {},
    )


def score_of(metric: str) -> Value:
    """The score of a metric as a function of a pair."""
    return lambda pair: pair.scores.get(metric)


def _scratch(measured: Measured) -> dict[str, dict[str, float]]:
    found: dict[str, list[Outcome]] = {}
    for own in measured.own:
        if own.task in measured.targets and own.seed in measured.seeds:
            found.setdefault(own.task, []).append(own.outcome)
    return {
        task: {key: fmean(getattr(outcome, key) for outcome in found[task]) for key in ("first", "dev", "test")}
        for task in measured.targets
        if task in found
    }


def _table(measured: Measured, pairs: Sequence[Pair], value: Value) -> Rows:
    """Means over the seeds, sources x targets."""
    cells: dict[tuple[str, str], list[float]] = {}
    for pair in pairs:
        if (number := value(pair)) is not None:
            cells.setdefault((pair.source, pair.target), []).append(number)
    return [
        [fmean(cells[source, target]) if (source, target) in cells else None for target in measured.targets]
        for source in measured.sources
    ]


def _correlation(measured: Measured, pairs: Sequence[Pair], metric: str) -> Correlation:
    targets = _by_target(measured, pairs, metric)
    seeds = [
        _mean(_by_target(measured, [pair for pair in pairs if pair.seed == seed], metric).values())
        for seed in measured.seeds
    ]
    return Correlation(targets, _mean(targets.values()), seeds)


def _by_target(measured: Measured, pairs: Sequence[Pair], metric: str) -> dict[str, float | None]:
    scores = _columns(_table(measured, pairs, score_of(metric)))
    first = _columns(_table(measured, pairs, lambda pair: pair.transfer.first))
    return {name: spearman(*both) for name, *both in zip(measured.targets, scores, first, strict=True)}


def _columns(rows: Rows) -> list[list[float | None]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _ordering(measured: Measured, pairs: Sequence[Pair], split: str) -> Ordering:
    own = {(item.task, item.seed): getattr(item.outcome, split) for item in measured.own}
    seeds = [seed for seed in measured.seeds if any(pair.seed == seed for pair in pairs)]

    def gain(method: str) -> Value:
        return lambda pair: getattr(getattr(pair, method), split) - own[pair.target, pair.seed]

    def table_of(value: Value, seed: int) -> Rows:
        return _table(measured, [pair for pair in pairs if pair.seed == seed], value)

    def mean_of(value: Value, seed: int) -> float:
        rows = table_of(value, seed)
        return fmean(mean for column in _columns(rows) if (mean := _mean(column)) is not None)

    gains = {method: [mean_of(gain(method), seed) for seed in seeds] for method in ("transfer", "panda")}
    scratch = fmean(mean_of(lambda pair: own[pair.target, pair.seed], seed) for seed in seeds)
    transfer, panda = (_difference(gains[method]) for method in ("transfer", "panda"))
    between = _difference([one - other for one, other in zip(gains["panda"], gains["transfer"], strict=True)])
    spreads = [_spread(_table(measured, pairs, gain(method))) for method in ("transfer", "panda")]
    deviations = [
        [_spread(table_of(gain(method), seed)).deviation for seed in seeds] for method in ("transfer", "panda")
    ]
    differences = [panda - other for other, panda in zip(*deviations, strict=True) if None not in (panda, other)]
    narrower = _difference(differences) if differences else None
    return Ordering(
        scratch=scratch,
        transfer=scratch + transfer.mean,
        panda=scratch + panda.mean,
        transfer_gain=transfer,
        panda_gain=panda,
        panda_over_transfer=between,
        transfer_spread=spreads[0],
        panda_spread=spreads[1],
        spread_difference=narrower,
        holds={
            "Vanilla transfer below scratch": _negative(transfer),
            "PANDA above scratch": _positive(panda),
            "PANDA above vanilla transfer": _positive(between),
            "PANDA depends less on the source": _negative(narrower) if narrower else None,
        },
    )


def _difference(values: Sequence[float]) -> Difference:
    interval = mean_interval(values)
    return Difference(interval.value, interval.low, interval.high)


def _positive(difference: Difference) -> bool | None:
    """Whether a difference is above zero; None where its interval has zero in it, or one seed has given none."""
    if difference.low is None or difference.high is None or difference.low <= 0 <= difference.high:
        return None
    return difference.mean > 0


def _negative(difference: Difference) -> bool | None:
    """Whether a difference is below zero; see `_positive`."""
    found = _positive(difference)
    return None if found is None else not found


def _spread(gains: Rows) -> Spread:
    means = [mean for row in gains if (mean := _mean(row)) is not None]
    return Spread(min(means), max(means), stdev(means) if len(means) > 1 else None)
