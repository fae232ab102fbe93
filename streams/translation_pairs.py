"""From tables of parallel text to translation tasks: sentence pairs, splits that part no sentence, the `Task`."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from streams.errors import StreamError
from streams.reading import Table, is_delimited, merged_notes
from streams.rows import chosen_rows, in_words, name_of_cell, require_texts, text_of_cell
from streams.splits import check_fractions, linked_rows, short_key, split_by_text
from streams.task import SPLITS, Task
from streams.translation_languages import Direction, find_language

# A group of linked pairs that is larger than both stays in train: where one answer has many questions ('Yes.', 'OK'),
# nearly the whole of a corpus of short sentences may hang together, and must not become the test split.
_LARGEST_GROUP = 8
_LARGEST_SHARE = 0.01

_LINE_BREAK = re.compile(r"\s*[\t\n\v\f\r\x1c-\x1e\x85\u2028\u2029]\s*")


class Pair(NamedTuple):
    """A sentence with its translation, either of which may be empty, and the place where a person finds it."""

    source: str
    target: str
    domain: str
    file: str
    line: int
    source_key: int
    """What makes two sentences the same, see `streams.splits.short_key`."""
    target_key: int


PairSplits = dict[str, list[Pair]]
"""Pairs by split. A source gives `train` and, where they are published, `dev` and `test`."""


@dataclasses.dataclass(frozen=True)
class PairColumns:
    """Where the two languages stand in a table.

    Attributes:
        direction: the languages; a column is called by its language unless `names` says otherwise.
        names: the name of the column of each language.
        where: which rows to keep, see `streams.rows.ColumnOptions`.

    Raises:
        StreamError: a column is named for something that is no language of the direction.
    """

    direction: Direction
    names: Mapping[str, str] | None = None
    where: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        for key in self.names or {}:
            if not any(find_language(language, [key]) for language in self.direction.languages):
                raise StreamError(
                    f"stream.columns names a column for {key!r}, which is no language of the direction "
                    f"{self.direction}; write it as {{{self.direction.source}: NAME, {self.direction.target}: NAME}}"
                    f"{_quoted([key])}."
                )

    def column(self, table: Table, language: str) -> str:
        """The name of the column of `language` in a table.

        Raises:
            StreamError: there is none.
        """
        found = self.find(table, language)
        if found is None:
            columns = ", ".join(repr(_clipped(name)) for name in table.columns)
            headed = ", or with stream.header=[...] where the first line is a pair already"
            raise StreamError(
                f"{table.file} has no column for the language {language!r}, but {columns}; name it with stream."
                f"columns={{{language}: NAME}}{headed if is_delimited(table.file) else ''}{_quoted(table.columns)}."
            )
        return found

    def find(self, table: Table, language: str) -> str | None:
        """The name that the column of `language` has or was given; None where there is neither."""
        given = self.names or {}
        key = find_language(language, given)
        return given[key] if key is not None else find_language(language, table.columns)


class PairReader:
    """Reads the pairs of tables one by one, so that those which filters drop are never held together.

    Args:
        domain: domain of every pair of a table that has no column for it.
    """

    def __init__(self, domain: str) -> None:
        self._domain = domain
        self._notes: list[Table] = []
        self._counts: Counter[str] = Counter()

    def pairs(self, table: Table, columns: PairColumns, domain_column: str | None = None) -> Iterator[Pair]:
        """The pairs of a table, in order.

        Line breaks within a sentence become spaces. Pairs with an empty side are kept, for the filters to count.

        Args:
            table: what was read.
            columns: where the languages stand.
            domain_column: column that names the domain of each pair.

        Raises:
            StreamError: a column is missing, a sentence is no text, or no row is left.
        """
        self._notes.append(dataclasses.replace(table, cells=(), lines=()))
        counts: Counter[str] = Counter()
        keep = chosen_rows(table, columns.where)
        names = [columns.column(table, language) for language in columns.direction.languages]
        sources, targets = (table.column(name) for name in names)
        domains = table.column(domain_column) if domain_column else [self._domain] * len(table.lines)
        found = 0
        for index, line in enumerate(table.lines):
            domain = sys.intern(name_of_cell(domains[index]))
            if not keep[index] or not domain:
                counts["rows_without_domain" if keep[index] else "rows_filtered_out"] += 1
                continue
            place = (table.file, line)
            source = text_of_cell(sources[index], names[0], place, counts, _one_line)
            target = text_of_cell(targets[index], names[1], place, counts, _one_line)
            found += 1
            yield Pair(source, target, domain, *place, short_key(source), short_key(target))
        if not found:
            raise StreamError(f"{table.file} has no usable row ({in_words(counts)}); check the columns and the filter.")
        self._counts += counts

    def told(self) -> dict[str, Any]:
        """What was repaired or decided in all tables that were read to their end, and how many rows were left out."""
        return {**merged_notes(self._notes), **self._counts}


def _one_line(text: str) -> str:
    return _LINE_BREAK.sub(" ", text.strip())


def _quoted(names: Iterable[str]) -> str:
    """A hint where a name is what YAML makes of the code of Norwegian."""
    return ', and put the language "no" in quotes, which YAML else reads as false' if "False" in names else ""


def _clipped(name: str) -> str:
    return name if len(name) <= 40 else f"{name[:37]}..."


def complete_pairs(given: PairSplits, fractions: Mapping[str, float], seed: int) -> tuple[PairSplits, dict[str, Any]]:
    """Fills the missing ones of train, dev and test from train, so that no sentence is on two sides.

    Pairs that share a source or a target, be it by way of other pairs, share a split. Published dev and test splits
    stay whole; a pair of train that shares a sentence with either leaves train, and what dev and test share is counted.

    Args:
        given: `train` and any of `dev` and `test`, over all domains at once.
        fractions: share of the groups of linked pairs in `train` for each split that may have to be made.
        seed: see `streams.splits.split_by_text`.

    Returns:
        All three splits and what was done, JSON-able.
    """
    check_fractions({split: fractions[split] for split in ("dev", "test")})
    splits = {**given, "train": _apart(given["train"], *(given[split] for split in ("dev", "test") if split in given))}
    missing = {split: fractions[split] for split in ("dev", "test") if split not in given}
    done: dict[str, Any] = {"given": [split for split in SPLITS if split in given], "made": missing}
    if missing:
        splits.update(_parted(splits["train"], missing, seed))
        done["seed"] = seed
    if dropped := len(given["train"]) - sum(len(splits[split]) for split in ("train", *missing)):
        done["overlapping_rows_dropped"] = dropped
    if shared := len(splits["dev"]) - len(_apart(splits["dev"], splits["test"])):
        done["dev_rows_shared_with_test"] = shared
    return {split: splits[split] for split in SPLITS}, done


def _apart(pairs: list[Pair], *others: list[Pair]) -> list[Pair]:
    """The pairs that share neither source nor target with any of `others`."""
    sources = {pair.source_key for other in others for pair in other}
    targets = {pair.target_key for other in others for pair in other}
    return [pair for pair in pairs if pair.source_key not in sources and pair.target_key not in targets]


def _parted(pairs: list[Pair], fractions: Mapping[str, float], seed: int) -> PairSplits:
    """Train and the splits that are made of it, in the order of the pairs."""
    groups = linked_rows([pair.source_key for pair in pairs], [pair.target_key for pair in pairs])
    sizes = Counter(groups)
    largest = max(_LARGEST_GROUP, _LARGEST_SHARE * len(pairs))
    small = [row for row, group in enumerate(groups) if sizes[group] <= largest]
    parts = split_by_text([groups[row] for row in small], [pairs[row].domain for row in small], fractions, seed)
    places = {small[index]: split for split, part in parts.items() for index in part}
    result: PairSplits = {split: [] for split in parts}
    for row, pair in enumerate(pairs):
        result[places.get(row, "train")].append(pair)
    return result


def build_translation(
    name: str, splits: PairSplits, info: Mapping[str, Any], direction: Direction, metric: str
) -> Task:
    """The translation `Task` made of three splits of pairs; its `info` names the languages.

    Raises:
        StreamError: a split is empty.
    """
    require_texts(name, splits, info.get("dropped"))
    datasets = {split: _dataset(pairs) for split, pairs in splits.items()}
    languages = {
        "source_language": direction.source,
        "target_language": direction.target,
        "direction": str(direction),
    }
    return Task(
        name=name,
        labels=(),
        kind="translation",
        metric=metric,
        info={**info, **languages, **_repetitions(splits)},
        **datasets,
    )


def _dataset(pairs: list[Pair]) -> Any:
    import pyarrow as pa
    from datasets import Dataset

    sides = {
        name: pa.array([pair[side] for pair in pairs], pa.string()) for side, name in enumerate(("text", "target"))
    }
    table = pa.table(sides)
    # Without a fingerprint one is made of a pickled copy of all texts, for which a large corpus may leave no room.
    digest = hashlib.blake2b(digest_size=8)
    for buffer in (buffer for column in table.columns for chunk in column.chunks for buffer in chunk.buffers()):
        digest.update(buffer or b"")
    return Dataset(table, fingerprint=digest.hexdigest())


def _repetitions(splits: PairSplits) -> dict[str, int]:
    """How many pairs repeat the source or the target of an earlier one; all are kept."""
    pairs = [pair for split in SPLITS for pair in splits[split]]
    return {
        "repeated_sources": len(pairs) - len({pair.source_key for pair in pairs}),
        "repeated_targets": len(pairs) - len({pair.target_key for pair in pairs}),
    }
