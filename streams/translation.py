"""Streams of translation domains from files: a folder for each domain, a file for each, or one table of all."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from streams.errors import StreamError
from streams.folders import SPLIT_NAMES
from streams.options import option
from streams.reading import FileOptions
from streams.source import ByDomain, SplitSource, required_path
from streams.task import SPLITS, Task
from streams.translation_files import Corpus, find_corpora, find_corpus, read_corpus
from streams.translation_filters import FilterOptions, filtered
from streams.translation_languages import Direction
from streams.translation_pairs import Pair, PairColumns, PairReader, PairSplits, build_translation, complete_pairs

METRIC = "bleu"
"""The metric of translation tasks."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TranslationOptions:
    """Which languages are translated, and where they stand in a table."""

    direction: str = option("en-de", "source and target language, such as en-de, de-en or pt_BR-en")
    columns: Mapping[str, str] | None = option(
        None, "for each language the column with its sentences; by default columns are called by their language"
    )
    where: Mapping[str, Any] | None = option(
        None, "keep only the rows in which each named column has the given value, or one of a list of values"
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class TranslationSource(SplitSource, TranslationOptions, FilterOptions):
    """A source whose tasks are made of sentence pairs; splits that are missing are made by pair.

    See `streams.translation_filters` for which pairs are left out and `streams.translation_pairs` for how splits are
    made. What was dropped is in the `info` of each task, under `dropped`.
    """

    metric: ClassVar[str] = METRIC

    def __post_init__(self) -> None:
        self._columns  # noqa: B018 - refuses a direction that is none, and columns of other languages
        self.check_filters(f"stream {self.name!r}")

    @cached_property
    def _direction(self) -> Direction:
        return Direction.parse(self.direction, f"stream {self.name!r}")

    @property
    def _columns(self) -> PairColumns:
        return PairColumns(self._direction, self.columns, self.where)

    def _filtered(self, given: Mapping[str, Iterable[Pair]]) -> tuple[PairSplits, dict[str, Any]]:
        """What the filters leave of each split, and for `info` their settings and by domain what they dropped."""
        kept, dropped = filtered(given, self, self._direction)
        return kept, {"filters": self.filter_settings(), "dropped": dropped}

    def _completed(self, given: PairSplits) -> tuple[PairSplits, dict[str, Any]]:
        return complete_pairs(given, self._fractions, self.split_seed)

    def _build(self, task_name: str, splits: PairSplits, info: dict[str, Any]) -> Task:
        dropped = info["dropped"].get(task_name, {})
        return build_translation(task_name, splits, {**info, "dropped": dropped}, self._direction, self.metric)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TranslationDomainSource(ByDomain, TranslationSource):
    """A source of sentence pairs that come all together, each with a domain; every domain is a task."""

    def _found(self) -> list[str]:
        # Not the domains of what is left: one of which the filters leave nothing is refused when it is loaded.
        return list(self._all[1]["dropped"])

    def _rows(self, task_name: str) -> tuple[PairSplits, dict[str, Any]]:
        domains, info = self._all
        return domains.get(task_name) or {split: [] for split in SPLITS}, info


@dataclasses.dataclass(frozen=True, kw_only=True)
class TranslationFilesSource(TranslationSource, FileOptions):
    """Translation domains in folders or files: tables, translation memories (TMX) or Moses pairs, gzipped or not.

    Every folder in `path` with a corpus `train` is a domain; where there is no such folder, every corpus in `path` is
    one. A path that holds `train` itself, or that is a corpus, is a single domain. Where dev or test is missing it is
    taken from train, by pair.

    Example:
        `TranslationFilesSource(path="corpora", direction="de-en", tasks=("law", "medicine"))`
    """

    kind = "translation"

    path: str | None = option(None, "folder of domains, or one corpus (of a Moses pair what both names begin with)")

    @cached_property
    def _domains(self) -> dict[str, dict[str, Corpus]]:
        """The corpora of each domain by split."""
        path = required_path(self.path, self.name)
        if not path.is_dir():
            corpus = find_corpus(path, self._direction)
            return {corpus.name: {"train": corpus}}
        if "train" in (splits := self._splits_in(path)):
            return {path.resolve().name: splits}
        folders = sorted(entry for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith("."))
        domains = {folder.name: splits for folder in folders if "train" in (splits := self._splits_in(folder))}
        if not domains:
            domains = {name: {"train": corpus} for name, corpus in find_corpora(path, self._direction).items()}
        if not domains:
            raise StreamError(
                f"Found no parallel text for {self.direction} in {path}; expected one folder for each domain with a "
                f"train.tsv, train.tmx or train.{self._direction.source} and train.{self._direction.target}, or such "
                "files for each domain."
            )
        return domains

    def _splits_in(self, folder: Path) -> dict[str, Corpus]:
        """The corpora that a folder has for train, dev and test."""
        found: dict[str, Corpus] = {}
        for name, corpus in find_corpora(folder, self._direction, lambda name: _split(name) is not None).items():
            split = _split(name)
            if split in found:
                both = f"{found[split].files[0].name} and {corpus.files[0].name}"
                raise StreamError(f"{folder} has both {both} for {split}; keep one.")
            found[split] = corpus
        return {split: found[split] for split in SPLITS if split in found}

    def _found(self) -> list[str]:
        return list(self._domains)

    def _rows(self, task_name: str) -> tuple[PairSplits, dict[str, Any]]:
        corpora = self._domains[task_name]
        reader = PairReader(task_name)
        given = {split: _pairs(corpus, self, reader) for split, corpus in corpora.items()}
        kept, info = self._filtered(given)
        splits, done = self._completed(kept)
        files = [str(file) for corpus in corpora.values() for file in corpus.files]
        return splits, {"files": files, "reading": reader.told(), "splits": done, **info}


def _split(name: str) -> str | None:
    """The split that a corpus of this name holds, or None."""
    return SPLIT_NAMES.get(name.split(".")[0])


@dataclasses.dataclass(frozen=True, kw_only=True)
class TranslationTableSource(TranslationDomainSource, FileOptions):
    """Translation domains in one table, or one translation memory, with a column that names the domain of each pair.

    Example:
        `TranslationTableSource(path="pairs.tsv", domain="subject", columns={"en": "English", "de": "German"})`
    """

    kind = "translation_table"

    path: str | None = option(None, "file that holds the pairs")
    domain: str | None = option(
        None,
        "column that names the domain of each pair, in a TMX file the type of a property; without it there is one",
    )

    def _read(self) -> tuple[PairSplits, dict[str, Any]]:
        corpus = find_corpus(required_path(self.path, self.name), self._direction)
        reader = PairReader(self.name)
        kept, info = self._filtered({"train": _pairs(corpus, self, reader, self.domain)})
        files = [str(file) for file in corpus.files]
        return kept, {"files": files, "reading": reader.told(), **info}


def _pairs(corpus: Corpus, source: Any, reader: PairReader, domain: str | None = None) -> Iterator[Pair]:
    """The pairs of a corpus: its files are read for the first one, and their table is let go with the last."""
    yield from reader.pairs(read_corpus(corpus, source._direction, source, domain), source._columns, domain)
