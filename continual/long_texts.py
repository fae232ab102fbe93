"""Cuts texts that are longer than a model reads into pieces that it does read."""

import re
from collections.abc import Callable, Sequence

Fits = Callable[[str], bool]
"""Whether a text is short enough."""

_WIDE_ENDS = "。！？；"
"""Ends of sentences of Chinese and Japanese, behind which the next one stands without a space."""

_SENTENCE_END = re.compile(rf"(?<=[.!?…])(?<!\b[^\W\d_]\.)\s+|(?<=[{_WIDE_ENDS}])(?![」』”’）])\s*")
"""Behind a letter and a full stop (z. B., J. Smith) no sentence ends."""

_CLAUSE_END = re.compile(r"(?<=[,;:])\s+")

_DIVIDERS: tuple[Callable[[str], list[str]], ...] = (
    _SENTENCE_END.split,
    _CLAUSE_END.split,
    str.split,
    lambda text: [text[: len(text) // 2], text[len(text) // 2 :]],
)
"""From coarse to fine: sentences, clauses, words, halves of a word."""

_JOINED = (1, 2)
"""Clauses and words that fit together are put together again. Sentences are not: models of translation learn from
single sentences, and leave much out of several at once."""


def pieces(text: str, fits: Fits) -> list[str]:
    """A text that fits as it is, any other in sentences; one that is too long in as few parts as possible.

    Args:
        text: The text, not blank.
        fits: Whether a piece is short enough; a single character must be.
    """
    return [text] if fits(text) else _divided(text, fits, 0)


def _divided(text: str, fits: Fits, fineness: int) -> list[str]:
    if len(text) < 2:
        return [text]
    parts = [part for part in _DIVIDERS[fineness](text) if part]
    finer = min(fineness + 1, len(_DIVIDERS) - 1)
    if len(parts) == 1:
        return _divided(text, fits, finer)
    whole = [piece for part in parts for piece in ([part] if fits(part) else _divided(part, fits, finer))]
    return _joined(whole, fits) if fineness in _JOINED else whole


def _joined(parts: Sequence[str], fits: Fits) -> list[str]:
    """Neighbours put together for as long as they fit."""
    joined = [parts[0]]
    for part in parts[1:]:
        space = "" if joined[-1][-1] in _WIDE_ENDS else " "
        both = f"{joined[-1]}{space}{part}"
        if fits(both):
            joined[-1] = both
        else:
            joined.append(part)
    return joined
