"""Seeded, stratified splits and caps, all made by text so that a duplicate never sits on both sides.

Randomness comes from `random.Random` seeded with a string, whose stream does not change between versions of
Python or of any library: a seed means the same split everywhere. Each stratum draws from its own stream, so
adding a domain or a class to a table leaves the splits of the others as they were.
"""

import hashlib
import random
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence

from streams.errors import StreamError

_SYMBOL = re.compile(r"[^\w\s]")


def text_key(text: str, text_pair: str | None = None) -> str:
    """What two texts must share to count as the same: all but case, width, spacing and punctuation.

    Copies of a tweet or headline differ in just these. Emoji and other symbols count, and so does punctuation
    in a text that holds nothing else.
    """
    key = _normalise(text)
    return key if text_pair is None else f"{key}\x1f{_normalise(text_pair)}"


def _normalise(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold()
    words = _SYMBOL.sub(_blank_punctuation, folded).split()
    return " ".join(words or folded.split())


def _blank_punctuation(found: re.Match[str]) -> str:
    return " " if unicodedata.category(found[0]).startswith("P") else found[0]


def short_key(text: str) -> int:
    """`text_key` as a number of 8 bytes: of millions of texts, the keys would take more memory than the texts."""
    return int.from_bytes(hashlib.blake2b(text_key(text).encode(), digest_size=8).digest())


def split_by_text(
    keys: Sequence[Hashable],
    strata: Sequence[Hashable],
    fractions: Mapping[str, float],
    seed: int | str,
    rest: str = "train",
) -> dict[str, list[int]]:
    """Splits rows so that all rows with one key share a side and every stratum keeps its proportions.

    Fractions are of the distinct texts. A text that occurs in several strata (copies with different labels,
    or in different domains) is placed by the stratum most of its copies have, the earliest on a tie; no row
    is dropped. A stratum always leaves at least one text to `rest`, then gives one to each other split in
    order of falling fraction as long as it has any, so classes of one or two texts do not fail.

    Args:
        keys: one key for each row, see `text_key`; which rows share one is all that matters.
        strata: one stratum for each row, for example `(domain, label)`; its `repr` seeds its draw.
        fractions: share of the texts for each split other than `rest`, each in (0, 1), together below 1.
        seed: same seed, same split.
        rest: name of the split that receives what is left.

    Returns:
        Ascending row numbers of each split, a partition of all rows.

    Raises:
        StreamError: the fractions are out of range.
    """
    check_fractions(fractions)
    order = sorted(fractions, key=lambda name: -fractions[name])
    votes = _votes(keys, strata)
    texts_by_stratum: dict[Hashable, list[Hashable]] = defaultdict(list)
    for key, counter in votes.items():
        # most_common keeps the order of first occurrence among equals.
        texts_by_stratum[counter.most_common(1)[0][0]].append(key)
    places: dict[Hashable, str] = {}
    for stratum, texts in texts_by_stratum.items():
        random.Random(f"{seed}/{stratum!r}").shuffle(texts)
        for name, count in _counts(len(texts), fractions, order).items():
            places.update(dict.fromkeys(texts[:count], name))
            texts = texts[count:]
    _keep_every_stratum(places, votes)
    result: dict[str, list[int]] = {name: [] for name in (rest, *fractions)}
    for row, key in enumerate(keys):
        result[places.get(key, rest)].append(row)
    return result


def check_fractions(fractions: Mapping[str, float]) -> None:
    """Raises a `StreamError` unless each fraction is in (0, 1) and they leave something over."""
    for name, fraction in fractions.items():
        if not 0 < fraction < 1:
            raise StreamError(f"The {name} fraction must be above 0 and below 1, but is {fraction}; correct it.")
    if sum(fractions.values()) >= 1:
        total = " + ".join(f"{name} {fraction}" for name, fraction in fractions.items())
        raise StreamError(f"The fractions {total} leave nothing to train on; lower them to a sum below 1.")


_Votes = dict[Hashable, Counter[Hashable]]


def _votes(keys: Sequence[Hashable], strata: Sequence[Hashable]) -> _Votes:
    """How many rows of each key every stratum has; keys with a single row, nearly all, share one counter a stratum."""
    single: _Votes = {}
    votes: _Votes = {}
    for key, stratum in zip(keys, strata, strict=True):
        one = single.setdefault(stratum, Counter({stratum: 1}))
        votes[key] = votes[key] + one if key in votes else one
    return votes


def _keep_every_stratum(places: dict[Hashable, str], votes: _Votes) -> None:
    """Takes back a text for every stratum that has none left because all its texts were placed by others."""
    left = {stratum for key, counter in votes.items() if key not in places for stratum in counter}
    for key, counter in votes.items():
        if not left.issuperset(counter):
            places.pop(key)
            left.update(counter)


def _counts(texts: int, fractions: Mapping[str, float], order: Iterable[str]) -> dict[str, int]:
    """How many of a stratum's `texts` each split takes, leaving at least one."""
    counts, left = {}, texts - 1
    for name in order:
        wanted = max(1, int(texts * fractions[name] + 0.5))
        counts[name] = min(wanted, left)
        left -= counts[name]
    return counts


def linked_rows(left: Sequence[Hashable], right: Sequence[Hashable]) -> list[int]:
    """Groups rows that share their left or their right key, be it by way of other rows.

    Whoever splits pairs of texts between groups puts neither a left nor a right text on two sides.

    Args:
        left: one key for each row.
        right: another for each row.

    Returns:
        For each row the number of the first row of its group.

    Example:
        >>> linked_rows(["yes", "no", "yes", "maybe"], ["ja", "nein", "doch", "nein"])
        [0, 1, 0, 1]
    """
    parents = list(range(len(left)))

    def first_of(row: int) -> int:
        while parents[row] != row:
            parents[row] = row = parents[parents[row]]
        return row

    for keys in (left, right):
        seen: dict[Hashable, int] = {}
        for row, key in enumerate(keys):
            one, other = sorted((first_of(seen.setdefault(key, row)), first_of(row)))
            parents[other] = one
    return [first_of(row) for row in range(len(left))]


def stratified_cap(labels: Sequence[int], limit: int, seed: int | str) -> list[int]:
    """A seeded sample of `min(limit, len(labels))` rows that keeps the class proportions.

    Every class keeps at least one row while `limit` allows; the remaining places go by largest remainder.

    Returns:
        Ascending row numbers.
    """
    rows_by_label: dict[int, list[int]] = defaultdict(list)
    for row, label in enumerate(labels):
        rows_by_label[label].append(row)
    sizes = {label: len(rows_by_label[label]) for label in sorted(rows_by_label)}
    chosen: list[int] = []
    for label, count in _apportion(sizes, limit).items():
        chosen += random.Random(f"{seed}/{label}").sample(rows_by_label[label], count)
    return sorted(chosen)


def _apportion(sizes: Mapping[int, int], limit: int) -> dict[int, int]:
    """Places for each class: proportional to its size, at least one each, in sum `min(limit, total)`."""
    total = sum(sizes.values())
    if limit >= total:
        return dict(sizes)
    if limit < len(sizes):
        largest = sorted(sizes, key=lambda label: (-sizes[label], label))
        return {label: int(label in largest[:limit]) for label in sizes}
    quota = {label: size * limit / total for label, size in sizes.items()}
    counts = {label: max(1, int(quota[label])) for label in sizes}
    while (left := limit - sum(counts.values())) != 0:
        step = 1 if left > 0 else -1
        # Up: the class furthest below its quota. Down (after raising tiny classes to one): the furthest
        # above.
        open_ = [label for label in sizes if 1 <= counts[label] + step <= sizes[label]]
        counts[max(open_, key=lambda label: step * (quota[label] - counts[label]))] += step
    return counts


def without_overlaps(keys: Mapping[str, Sequence[str]]) -> dict[str, list[int]]:
    """Row numbers to keep so that no text is in two splits, when the splits were given.

    What is reported on stays whole: a text that is in test leaves dev and train, one that is in dev leaves
    train.

    Args:
        keys: for each split its rows' keys, see `text_key`.
    """
    taken: set[str] = set()
    kept: dict[str, list[int]] = {}
    for split in ("test", "dev", "train"):
        if split in keys:
            kept[split] = [row for row, key in enumerate(keys[split]) if key not in taken]
            taken.update(keys[split])
    return kept
