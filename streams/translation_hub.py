"""Translation data sets of the Hugging Face hub, by name or as a folder that `datasets` wrote."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from streams.hub import HubOptions, load_splits
from streams.reading import Table
from streams.translation import TranslationDomainSource
from streams.translation_languages import find_language
from streams.translation_pairs import Pair, PairColumns, PairReader, PairSplits

if TYPE_CHECKING:
    import datasets


@dataclasses.dataclass(frozen=True, kw_only=True)
class TranslationHubSource(TranslationDomainSource, HubOptions):
    """A translation data set by hub name, or by the path of one saved with `save_to_disk`.

    The languages stand in a column of mappings such as `translation: {en: ..., de: ...}`, whose members are also called
    `translation.en`, or in columns of their own. Its train split is needed; dev and test splits are used where they
    exist and have translations, else made by pair.
    """

    kind = "translation_hub"

    def _read(self) -> tuple[PairSplits, dict[str, Any]]:
        given: dict[str, Iterator[Pair]] = {}
        files = []
        reader = PairReader(self.name)
        for split, (name, dataset) in load_splits(self, self.name).items():
            table = _as_table(name, dataset)
            columns = self._columns_in(table)
            # Then the split is made from train.
            if split != "train" and _is_hidden(table, columns):
                continue
            files.append(name)
            given[split] = reader.pairs(table, columns, self.domain and _in_full(self.domain, table))
        kept, info = self._filtered(given)
        version = {"subset": self.subset, "revision": self.revision}
        return kept, {"files": files, **version, "reading": reader.told(), **info}

    def _columns_in(self, table: Table) -> PairColumns:
        """Where the languages stand, by full names: a member of a mapping is meant before a column of its name.

        So a data set with a column `id` and `translation: {en: ..., id: ...}` has Indonesian in the latter.
        """
        names = {language: _in_full(name, table) for language, name in (self.columns or {}).items()}
        members = _members(table)
        for language in self._direction.languages:
            if find_language(language, names) is None and (member := find_language(language, members)) is not None:
                names[language] = members[member]
        where = {_in_full(name, table): value for name, value in (self.where or {}).items()}
        return PairColumns(self._direction, names, where)


def _as_table(name: str, dataset: datasets.Dataset) -> Table:
    """The rows of a data set; the members of a column of mappings become columns such as `translation.en`."""
    flat = dataset.with_format("arrow")[:].flatten()
    return Table(name, tuple(flat.column_names), flat.columns, range(len(dataset)))


def _members(table: Table) -> dict[str, str]:
    """The full names of members of mappings by their own names, but for those that two mappings have."""
    found: dict[str, list[str]] = {}
    for name in table.columns:
        if "." in name:
            found.setdefault(name.rpartition(".")[2], []).append(name)
    return {own: names[0] for own, names in found.items() if len(names) == 1}


def _in_full(name: str, table: Table) -> str:
    """The name of a column as the table has it: `translation.en` may also be called `en` where nothing else is."""
    return name if name in table.columns else _members(table).get(name, name)


def _is_hidden(table: Table, columns: PairColumns) -> bool:
    """Whether the translations of a split are missing: shared tasks hide the references of their test split."""
    source, target = (columns.find(table, language) for language in columns.direction.languages)
    if target in table.columns:
        return not any(table.column(target))
    return source in table.columns  # where neither is there, reading tells what is
