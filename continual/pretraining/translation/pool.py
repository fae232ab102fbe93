"""The general pool: pairs of sentences that a translation model is pretrained on, and those it is scored on."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from continual.errors import ConfigError, StreamError
from continual.limits import at_least
from continual.pretraining.optimisation import setting
from continual.pretraining.translation.toy import toy_pairs
from continual.registry import Registry
from continual.seeding import seed_of
from streams.reading import Table, read_table, read_text
from streams.splits import text_key

Pairs = list[tuple[str, str]]
"""Sentences of the first and the second language."""

_TRAIN, _HELD_OUT, _WATCHED = "train", "dev", ("dev", "test")
_SUFFIXES = (".tsv.gz", ".tsv", ".csv.gz", ".csv", ".jsonl.gz", ".jsonl", ".parquet")

POOLS = Registry("pool", "continual.pools")
POOLS.add(
    "files",
    "continual.pretraining.translation.pool:FilesPool",
    "parallel tables, DOMAIN/train and DOMAIN/dev in a folder",
)
POOLS.add("simulated", "continual.pretraining.translation.pool:SimulatedPool", "made-up English and German sentences")


@dataclass(frozen=True)
class Pool:
    """Pairs of sentences.

    Attributes:
        train: To learn from, in the order of the files.
        held_out: To score on, by domain.
        report: What was read and what was left out, by domain; which domains of a stream the model knows.
    """

    train: Pairs
    held_out: dict[str, Pairs]
    report: dict[str, Any]


class PoolSettings(Protocol):
    """Where the pairs come from."""

    def identity(self) -> dict[str, Any]:
        """What decides the pairs: two pools with the same identity are the same, wherever their files lie."""

    def read(self, languages: tuple[str, str], seed: int) -> Pool:
        """The pairs."""


@dataclass(frozen=True)
class SimulatedPool:
    """Made-up English and German sentences; see `toy.py`."""

    train: int = setting(8000, "pairs to learn from")
    held_out: int = setting(200, "pairs to score on")

    def __post_init__(self) -> None:
        if self.train < 1 or self.held_out < 1:
            raise ConfigError("pool.train and pool.held_out have to be 1 or more; raise them.")

    def identity(self) -> dict[str, Any]:
        """See `PoolSettings.identity`."""
        return {"kind": "simulated", "train": self.train, "held_out": self.held_out}

    def read(self, languages: tuple[str, str], seed: int) -> Pool:
        """See `PoolSettings.read`; held-out pairs have no sentence of the training pairs."""
        if languages != ("en", "de"):
            raise ConfigError(
                f"languages is [{', '.join(languages)}], but pool=simulated writes [en, de]; take those or pool=mt."
            )
        train = list(islice(toy_pairs(seed_of(seed, "pool"), "train"), self.train))
        known = _keys(train)
        others = (pair for pair in toy_pairs(seed_of(seed, "pool"), "held out") if not _shares(pair, known))
        held_out = list(islice(others, self.held_out))
        return Pool(train, {"simulated": held_out}, {"domains": {"simulated": {"train": len(train)}}})


@dataclass(frozen=True)
class FilesPool:
    """Parallel tables in a folder: `DOMAIN/train` and `DOMAIN/dev` with a column for each language."""

    folder: str = setting("", "folder with a folder for each domain")
    domains: list = field(default_factory=list, metadata={"help": "domains to learn from"})
    header: list | None = field(
        default=None,
        metadata={
            "help": "columns of tab-separated files whose first line is a pair already; null: that line names them"
        },
    )
    cap: int | None = setting(None, "largest number of pairs of a domain, the first of its file; null for all")
    held_out: int = setting(200, "pairs of each domain's dev file that the model is scored on, at most")
    stream: list = field(
        default_factory=list,
        metadata={
            "help": "domains of the stream that the model is made for: no sentence of their dev and test is in the pool"
        },
    )

    def __post_init__(self) -> None:
        if not self.folder:
            raise ConfigError("The pool has no folder; set pool.folder=FOLDER.")
        for name in ("domains", "stream", "header"):
            value = getattr(self, name)
            if value is None and name == "header":
                continue
            if not isinstance(value, list) or not all(isinstance(it, str) for it in value):
                raise ConfigError(f"pool.{name} is {value!r}, expected a list of names such as [news, general].")
        if not self.domains:
            raise ConfigError("The pool has no domains to learn from; set pool.domains=[NAME, ...].")
        if self.cap is not None and self.cap < 1:
            raise ConfigError(f"pool.cap is {self.cap}, expected 1 or more, or null for all pairs.")
        at_least(1, self.held_out, "pool.held_out")

    def identity(self) -> dict[str, Any]:
        """See `PoolSettings.identity`: digests of the files in the place of their paths."""
        files = [(name, split, self._file(name, split)) for name in self.domains for split in (_TRAIN, _HELD_OUT)]
        files += [(name, split, self._file(name, split, needed=False)) for name in self.stream for split in _WATCHED]
        digests = {f"{name}/{split}": _digest(path) for name, split, path in files if path}
        return {
            "kind": "files",
            "domains": list(self.domains),
            "header": self.header,
            "cap": self.cap,
            "held_out": self.held_out,
            "stream": list(self.stream),
            "files": digests,
        }

    def read(self, languages: tuple[str, str], seed: int) -> Pool:
        """See `PoolSettings.read`."""
        all_train = {name: self._pairs(name, _TRAIN, languages) for name in self.domains}
        held_out = {name: self._pairs(name, _HELD_OUT, languages)[: self.held_out] for name in self.domains}
        watched = [
            pair for name in self.stream for split in _WATCHED for pair in self._pairs(name, split, languages, False)
        ]
        tests = _keys([*watched, *(pair for pairs in held_out.values() for pair in pairs)])
        train: Pairs = []
        counts: dict[str, dict[str, int]] = {}
        seen: set[tuple[str, str]] = set()
        for name in self.domains:
            own, counts[name] = _cleaned(all_train[name], tests, seen)
            own = own[: self.cap]
            counts[name]["train"] = len(own)
            train += own
        known = {name: "in the pool" if name in self.domains else "new to the model" for name in self.stream}
        return Pool(train, held_out, {"domains": counts, "stream": known})

    def _pairs(self, domain: str, split: str, languages: tuple[str, str], needed: bool = True) -> Pairs:
        path = self._file(domain, split, needed)
        if path is None:
            return []
        table = read_table(path) if self.header is None else _headerless(path, self.header)
        first, second = (table.column(language) for language in languages)
        return list(zip(map(_text, first), map(_text, second), strict=True))

    def _file(self, domain: str, split: str, needed: bool = True) -> Path | None:
        folder = Path(self.folder).expanduser() / domain
        found = [path for suffix in _SUFFIXES if (path := folder / f"{split}{suffix}").is_file()]
        if not found and needed:
            raise StreamError(
                f"The pool has no file {folder / split}.tsv.gz (nor .tsv, .csv, .jsonl or .parquet); correct "
                "pool.folder or pool.domains."
            )
        return found[0] if found else None


def _headerless(path: Path, header: list[str]) -> Table:
    """A tab-separated file whose first line is a row; quotes mean nothing in it."""
    text, notes = read_text(path)
    # Only \n separates rows: splitlines() would also break at U+2028 and friends inside a sentence.
    rows = [line.rstrip("\r").split("\t") for line in text.split("\n") if line.strip()]
    for number, row in enumerate(rows, start=1):
        if len(row) != len(header):
            raise StreamError(
                f"{path}, line {number}: expected {len(header)} fields as in pool.header, found {len(row)}; repair the "
                "line, or set pool.header=null where the file names its columns."
            )
    return Table(str(path), tuple(header), list(zip(*rows, strict=True)), range(1, len(rows) + 1), notes)


def _cleaned(pairs: Pairs, tests: set[str], seen: set[tuple[str, str]]) -> tuple[Pairs, dict[str, int]]:
    """Pairs that are whole, new and in no test, and how many were left out for which reason."""
    counts = {"empty": 0, "repeated": 0, "in a test": 0}
    kept: Pairs = []
    for pair in pairs:
        if not all(part.strip() for part in pair):
            counts["empty"] += 1
        elif pair in seen:
            counts["repeated"] += 1
        elif _shares(pair, tests):
            counts["in a test"] += 1
        else:
            seen.add(pair)
            kept.append(pair)
    return kept, counts


def _keys(pairs: Sequence[tuple[str, str]]) -> set[str]:
    """What sentences of either language share with their copies."""
    return set(_all_keys(pairs))


def _all_keys(pairs: Sequence[tuple[str, str]]) -> Iterator[str]:
    for pair in pairs:
        yield from map(text_key, pair)


def _shares(pair: tuple[str, str], keys: set[str]) -> bool:
    return any(text_key(part) in keys for part in pair)


def _text(cell: Any) -> str:
    return "" if cell is None else str(cell)


def _digest(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise StreamError(f"Could not read {path}: {error.strerror}; check its permissions and the disk.") from error
