"""Cuts texts that are longer than a model reads into pieces that it does read."""

import re
from collections.abc import Callable, Sequence

Fits = Callable[[str], bool]
"""Whether a text is short enough."""

_WIDE_ENDS = "。！？；"
"""Ends of sentences of Chinese and Japanese, behind which the next one stands without a space."""

_SENTENCE_END = re.compile(rf"(?<=[.!?…;:])\s+|(?<=[{_WIDE_ENDS}])(?![」』”’）])\s*")
_DIVIDERS: tuple[Callable[[str], list[str]], ...] = (
    _SENTENCE_END.split,
    str.split,
    lambda text: [text[: len(text) // 2], text[len(text) // 2 :]],
)
"""From coarse to fine: sentences, words, halves of a word."""


def pieces(text: str, fits: Fits) -> list[str]:
    """A text in pieces that fit, as few as possible: of whole sentences, where a sentence is too long of whole words.

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
    return whole if fineness == len(_DIVIDERS) - 1 else _joined(whole, fits)


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
