"""Tables of docs/scaling.md: counts of bytes and operations, multiplied with what was measured."""

from typing import Any, NamedTuple

from benchmarks.tables import performance
from benchmarks.tables.markdown import markdown
from benchmarks.tables.results import NOT_YET, result
from continual.pool.index import EXACT_LIMIT, graphs_kept, recent_limit

KEYS, WIDTH, FLOAT = 16, 384, 4
LISTS, CODE, TRAINED, ROUNDS, PROBED = 65_536, 64, 64, 10, 64
"""Of an index of 10^9 keys: inverted lists, bytes of a code, keys for each list in training, rounds of k-means, lists
that a search looks at."""
ROW_NUMBER = 8
SMALL_BREADTH, BREADTH = 98, 384
"""Of searches in a graph of 65,536 keys and in one of a million, as in `continual/pool/index.py`."""
BATCH, TOKENS, STEP = 64, 30, 16
"""Texts of a frozen batch, tokens of a text, texts of a training step."""


class Shape(NamedTuple):
    """A backbone: layers, width, width of keys and values, inner width, matrices of the feed-forward, vocabulary."""

    layers: int
    width: int
    grouped: int
    inner: int
    fed: int
    vocabulary: int

    @property
    def layer(self) -> int:
        """Weights of a layer: queries, output, keys and values, feed-forward."""
        return 2 * self.width**2 + 2 * self.width * self.grouped + self.fed * self.width * self.inner

    @property
    def weights(self) -> int:
        """All weights, with tables of tokens at both ends."""
        return self.layers * self.layer + 2 * self.vocabulary * self.width


LARGE = Shape(layers=80, width=8192, grouped=1024, inner=28_672, fed=3, vocabulary=128_256)
"""The shape that public models of 70 * 10^9 weights have."""

Line = tuple[str, str, str]
"""What, the formula, the figure."""


def sizes() -> str:
    """What one learned task takes on disk, by readout."""
    found = _scaling("sizes")
    if found is None:
        return NOT_YET
    parts = [name for name in found["default"] if name != "files"]
    rows = [
        [told, *(f"{found[readout][name] / 1e3:.1f}" for readout in ("default", "small"))]
        for name, told in [*((part, f"`{part}`") for part in parts), ("files", "both files")]
    ]
    return markdown(("kilobytes of a prompt (PHEME's largest event)", "default readout", "small readout"), rows)


def million() -> str:
    """A pool of 10^6 prompts."""
    stored, pool = _scaling("sizes"), result("pool") or {}
    if stored is None or "bytes" not in pool:
        return NOT_YET
    count, size, keys = 10**6, pool["bytes"], pool["keys"]
    times, more = count / pool["prompts"], count * KEYS / keys
    opening, memory = _measured("pool", "opening"), _measured("pool", "peak memory of opening")
    search, mean = _measured("pool", "PromptPool.search", "percentile"), _measured("pool", "adding", "mean")
    worst = _row("pool", "adding", "largest graph").details["seconds"]
    rebuild = pool["build"]["index and search graph"]
    first = _row("pool", "PromptPool.search", "recall").details["first search of a process, s"]
    now, later = graphs_entered(keys), graphs_entered(KEYS * count)
    return _table(
        *(_product(f"on disk, {name} readout", stored[name]["files"], "bytes", count) for name in stored),
        _product("catalogue", size["catalogue"], "bytes", count),
        ("keys", f"{KEYS} * {WIDTH} * {FLOAT} bytes * 10^6", in_bytes(KEYS * WIDTH * FLOAT * count)),
        _product("graphs, on disk and, once searched, in memory", size["graphs"], "bytes", KEYS * count),
        ("opening", f"{opening:.2f} s * {times:.0f}", in_seconds(opening * times)),
        ("memory of opening", f"{memory:.2f} kB * 10^6", in_bytes(memory * 1024 * count)),
        ("first search of a process", f"{first:.1f} s * {more:.0f} (bytes)", in_seconds(first * more)),
        ("a search on one core", f"{search:.1f} ms * √{more:.0f} (breadth)", in_seconds(search / 1e3 * more**0.5)),
        (
            "adding, mean",
            f"{mean * 1e3:.0f} ms * {later:.2f} / {now:.2f} (graphs that a key enters)",
            in_seconds(mean * later / now),
        ),
        ("adding, worst", f"{worst:.0f} s * {more:.0f} (keys of a 32nd)", in_seconds(worst * more)),
        ("all graphs anew", f"{rebuild:.0f} s * {more:.0f} (keys)", in_seconds(rebuild * more)),
    )


def billion() -> str:
    """An index of 10^9 keys."""
    rates, pool = _scaling("rates"), result("pool") or {}
    if rates is None or "bytes" not in pool:
        return NOT_YET
    count, rate, graph = 10**9, rates["float32 product, operations a second"], pool["bytes"]["graphs"]
    median = _row("pool", "PromptPool.search", "recall").details["median, ms"]["median"] / 1e3
    assign = median * SMALL_BREADTH / BREADTH
    cores = result("pool")["groups"]["pool"]["machine"]["cpus"]
    training, coding = 2 * LISTS * TRAINED * LISTS * WIDTH * ROUNDS, 2 * count * 256 * WIDTH
    looked = PROBED * count // LISTS
    return _table(
        ("key file, on disk", f"{WIDTH} * {FLOAT} bytes * 10^9", in_bytes(WIDTH * FLOAT * count)),
        ("graphs as today", f"{graph:,.0f} bytes * 10^9", in_bytes(graph * count)),
        (
            f"codes of {CODE} bytes and row numbers",
            f"({CODE} + {ROW_NUMBER}) bytes * 10^9",
            in_bytes((CODE + ROW_NUMBER) * count),
        ),
        (
            f"centres of {LISTS:,} lists",
            f"{LISTS:,} * {WIDTH} * {FLOAT} bytes",
            in_bytes(LISTS * WIDTH * FLOAT),
        ),
        (
            "training the centres",
            f"2 * {LISTS:,} * {TRAINED} * {LISTS:,} * {WIDTH} * {ROUNDS} operations / {rate / 1e9:.0f} * 10^9",
            in_seconds(training / rate),
        ),
        (
            "finding the list of each key",
            f"10^9 searches among {LISTS:,}: {median * 1e3:.1f} ms * {SMALL_BREADTH} / {BREADTH}, on {cores} cores",
            in_seconds(count * assign / cores),
        ),
        (
            "coding the keys",
            f"2 * 10^9 * 256 * {WIDTH} operations / {rate / 1e9:.0f} * 10^9",
            in_seconds(coding / rate),
        ),
        (
            "read by a search",
            f"{PROBED} lists * 10^9 / {LISTS:,} * ({CODE} + {ROW_NUMBER}) bytes",
            in_bytes(looked * (CODE + ROW_NUMBER)),
        ),
    )


def backbone(shape: Shape = LARGE) -> str:
    """A backbone of 70 * 10^9 weights."""
    rates = _scaling("rates")
    if rates is None:
        return NOT_YET
    disk, convert = rates["read from disk, bytes a second"], rates["bfloat16 to float32, bytes a second"]
    rate = rates["float32 product, operations a second"]
    stored, tokens, batches = 2 * shape.layers * shape.layer, BATCH * TOKENS, -(-10_000 // BATCH)
    seconds = stored / disk, stored / convert, 2 * shape.layers * shape.layer * tokens / rate
    features = (shape.layers + 1) * 3 * shape.width * FLOAT
    # Forward, and as much backward: the weights are frozen, so only the gradients of inputs are computed.
    step = 2 * 2 * 2 * shape.layer * STEP * TOKENS
    largest = shape.width * shape.inner
    return _table(
        ("weights", f"{shape.weights / 1e9:.1f} * 10^9 * 2 bytes (bfloat16)", in_bytes(2 * shape.weights)),
        (
            "a layer on disk",
            f"(2 * {shape.width}² + 2 * {shape.width} * {shape.grouped} + {shape.fed} * {shape.width} * {shape.inner}) "
            "* 2 bytes",
            in_bytes(2 * shape.layer),
        ),
        (
            "in memory beside `memory_mb`: the largest matrix, float32",
            f"{shape.width} * {shape.inner} * {FLOAT} bytes",
            in_bytes(FLOAT * largest),
        ),
        ("reading all layers", f"{in_bytes(stored)} / {in_bytes(disk)} a second, cold", in_seconds(seconds[0])),
        ("making them float32", f"{in_bytes(stored)} / {in_bytes(convert)} a second", in_seconds(seconds[1])),
        (
            f"their products for {BATCH} texts of {TOKENS} tokens",
            f"2 * {shape.layers * shape.layer / 1e9:.1f} * 10^9 * {tokens:,} operations / {rate / 1e9:.0f} * 10^9",
            in_seconds(seconds[2]),
        ),
        ("a batch of the frozen pass", "the sum of the three", in_seconds(sum(seconds))),
        ("a task of 10,000 texts", f"{batches} batches", in_seconds(batches * sum(seconds))),
        (
            "kept of a text: states before the prompt's layer",
            f"{TOKENS} * {shape.width} * {FLOAT} bytes (`Space` keeps float32)",
            in_bytes(TOKENS * shape.width * FLOAT),
        ),
        (
            "kept of a text: features of the default readout",
            f"{shape.layers + 1} * 3 * {shape.width} * {FLOAT} bytes",
            in_bytes(features),
        ),
        (
            "kept of a text: features with `readout.layers=last`",
            f"3 * {shape.width} * {FLOAT} bytes",
            in_bytes(3 * shape.width * FLOAT),
        ),
        (
            f"a training step of {STEP} texts, two layers above the prompt",
            f"2 * 2 * 2 * {shape.layer / 1e6:.0f} * 10^6 * {STEP * TOKENS} operations / {rate / 1e9:.0f} * 10^9",
            in_seconds(step / rate),
        ),
    )


def graphs_entered(keys: int) -> float:
    """How many graphs a key enters on average, from a first graph of `keys` keys on until that takes in the others."""
    recent = recent_limit(EXACT_LIMIT, exact=False)
    sizes, added, entered = [keys], 0, 0
    while sizes[0] == keys:
        kept = graphs_kept(sizes, recent)
        grown, *absorbed = sizes[kept:] or [0]
        new = sum(absorbed) + recent
        sizes[kept:] = [grown + new]
        added, entered = added + recent, entered + new
    return entered / added


def in_bytes(value: float) -> str:
    """A number of bytes with its unit, in powers of 1000."""
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.3g} bytes"


def in_seconds(value: float) -> str:
    """A time with a unit in which it is neither large nor small."""
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if value >= 2 * size:
            return f"{value / size:,.3g} {unit}"
    return f"{value:.3g} s" if value >= 1 else f"{value * 1e3:.3g} ms"


def _product(what: str, each: float, unit: str, count: int) -> Line:
    powers = f"{count / 10**6:.0f} * 10^6" if count != 10**6 else "10^6"
    return what, f"{each:,.0f} {unit} * {powers}", in_bytes(each * count)


def _table(*lines: Line) -> str:
    return markdown(("what", "how it is counted", "figure"), lines)


def _scaling(name: str) -> Any:
    found = (result("scaling") or {}).get(name)
    return found if found and (name != "sizes" or "default" in found) else None


def _row(name: str, *words: str) -> Any:
    return next(row for row in performance.rows(name) if all(word in row.what for word in words))


def _measured(name: str, *words: str) -> float:
    return _row(name, *words).measured
