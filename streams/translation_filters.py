"""Which pairs of sentences are left out of a translation task, and how many for which reason."""

from __future__ import annotations

import dataclasses
import enum
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from streams.options import option, require_range
from streams.translation_languages import Direction, script_share
from streams.translation_pairs import Pair, PairSplits


class Filter(enum.StrEnum):
    """The filters in the order in which they are asked; a pair counts under the first that refuses it."""

    EMPTY = enum.auto()
    BROKEN = enum.auto()
    IDENTICAL = enum.auto()
    TOO_LONG = enum.auto()
    RATIO = enum.auto()
    SCRIPT = enum.auto()
    DUPLICATE = enum.auto()


# Added to both lengths before they are divided: short sentences differ in length for no fault of theirs, and with this
# 'Menu bar' and 'Menüleistenkonfiguration' still pass.
_SLACK = 10
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ufffd]")
# What UTF-8 looks like where it was read as windows-1252: 'fÃ¼r', 'doesnâ€™t'. The letters that may follow are those of
# the umlauts and of the upper half of Latin-1, so that words such as 'NÃO' and 'Âge' pass.
_MISREAD = re.compile("[ÂÃ][\u0080-\u00bfŸœ–„]|â€")


@dataclasses.dataclass(frozen=True, kw_only=True)
class FilterOptions:
    """Filters of pairs. They are asked before splits are made, and leave published dev and test splits alone."""

    drop_identical: bool = option(
        True, "leave out pairs whose sides are the same but for case, spacing and punctuation"
    )
    drop_duplicates: bool = option(True, "leave out pairs that an earlier pair of the domain repeats, both sides")
    drop_broken: bool = option(
        True, "leave out pairs with control characters or with text that was read in a wrong encoding"
    )
    max_words: int | None = option(100, "leave out pairs with a side of more words, or null")
    max_characters: int | None = option(1000, "leave out pairs with a side of more characters, or null")
    max_ratio: float | None = option(
        3.0,
        "leave out pairs whose longer side has more than this many times the other's characters (each + 10), or null",
    )
    min_script: float | None = option(
        0.5,
        "leave out pairs with a side of whose letters less than this share are of its language's script, or null",
    )
    filter_published: bool = option(
        False, "apply the filters to published dev and test splits too; else only pairs with an empty side leave them"
    )

    def check_filters(self, where: str) -> None:
        """Raises a `StreamError` unless all limits are possible; `where` names what was configured."""
        limits = {"max_words": (1, 1_000_000), "max_characters": (1, 10_000_000), "max_ratio": (1, 1_000)}
        for name, (low, high) in {**limits, "min_script": (0, 1)}.items():
            if getattr(self, name) is not None:
                require_range(where, name, getattr(self, name), low, high)

    def in_effect(self) -> list[str]:
        """Names of the filters that may drop something, in order."""
        chosen = {
            Filter.EMPTY: True,
            Filter.BROKEN: self.drop_broken,
            Filter.IDENTICAL: self.drop_identical,
            Filter.TOO_LONG: self.max_words is not None or self.max_characters is not None,
            Filter.RATIO: self.max_ratio is not None,
            Filter.SCRIPT: bool(self.min_script),
            Filter.DUPLICATE: self.drop_duplicates,
        }
        return [str(name) for name in Filter if chosen[name]]

    def filter_settings(self) -> dict[str, Any]:
        """All settings of the filters, JSON-able."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(FilterOptions)}


Dropped = dict[str, dict[str, int]]
"""For each domain how many pairs each filter dropped, filters that dropped nothing included."""


def filtered(
    given: Mapping[str, Iterable[Pair]], options: FilterOptions, direction: Direction
) -> tuple[PairSplits, Dropped]:
    """The pairs that all filters let pass, and how many each dropped.

    Args:
        given: pairs by split, `train` and where they are published `dev` and `test`; read once, one by one.
        options: which filters apply.
        direction: the languages, whose scripts are known.
    """
    names = options.in_effect()
    dropped: Dropped = {}
    kept: PairSplits = {}
    for split, pairs in given.items():
        kept[split] = []
        whole = split == "train" or options.filter_published
        for pair, reason in _judged(pairs, options, direction, whole):
            own = dropped.setdefault(pair.domain, dict.fromkeys(names, 0))
            if reason is None:
                kept[split].append(pair)
            else:
                own[reason] += 1
    return kept, dropped


def _judged(
    pairs: Iterable[Pair], options: FilterOptions, direction: Direction, whole: bool
) -> Iterator[tuple[Pair, Filter | None]]:
    """Each pair with the filter that drops it, or None; unless `whole`, only the first filter is asked."""
    seen: dict[str, set[int]] = defaultdict(set)
    for pair in pairs:
        if not pair.source or not pair.target:
            yield pair, Filter.EMPTY
            continue
        reason = _reason(pair, options, direction) if whole else None
        if reason is None and whole and options.drop_duplicates:
            key = hash((pair.source_key, pair.target_key))  # of two numbers: the same in every process
            reason = Filter.DUPLICATE if key in seen[pair.domain] else None
            seen[pair.domain].add(key)
        yield pair, reason


def _reason(pair: Pair, options: FilterOptions, direction: Direction) -> Filter | None:
    """The first filter that drops the pair for its own sake."""
    sides = (pair.source, pair.target)
    if options.drop_broken and any(_CONTROL.search(side) or _MISREAD.search(side) for side in sides):
        return Filter.BROKEN
    if options.drop_identical and pair.source_key == pair.target_key:
        return Filter.IDENTICAL
    if any(_too_long(side, options) for side in sides):
        return Filter.TOO_LONG
    if options.max_ratio is not None and length_ratio(*sides) > options.max_ratio:
        return Filter.RATIO
    if options.min_script and _foreign(sides, direction, options.min_script):
        return Filter.SCRIPT
    return None


def length_ratio(source: str, target: str) -> float:
    """Characters of the longer side over those of the shorter, ten added to both; 1 or more."""
    shorter, longer = sorted((len(source), len(target)))
    return (longer + _SLACK) / (shorter + _SLACK)


def _too_long(side: str, options: FilterOptions) -> bool:
    if options.max_characters is not None and len(side) > options.max_characters:
        return True
    return options.max_words is not None and len(side.split()) > options.max_words


def _foreign(sides: tuple[str, str], direction: Direction, least: float) -> bool:
    """Whether a side has too few letters of its language's script; what has no letters or no known script passes."""
    shares = map(script_share, sides, direction.languages)
    return any(share is not None and share < least for share in shares)
