"""Texts as a language model reads them: windows of token ids, framed by special tokens and a domain prompt."""

import itertools
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from continual.errors import BackboneError, LearningError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_TOKENISED_AT_ONCE = 512


@dataclass(frozen=True)
class Window:
    """A text, or a piece of one that is too long.

    Attributes:
        ids: Tokens without special ones, held in four bytes each.
        prompt: Tokens of the domain's prompt, which stand before it.
        asked: Places in `ids` that the model is asked for; None where the objective chooses anew each time.
        ends: Whether the text ends with it.
    """

    ids: Sequence[int]
    prompt: tuple[int, ...] = ()
    asked: tuple[int, ...] | None = None
    ends: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.ids, array):  # all texts of all domains are held as windows
            object.__setattr__(self, "ids", array("i", self.ids))

    def prompted(self, prompt: Sequence[int]) -> "Window":
        """The same text under a prompt."""
        return replace(self, prompt=tuple(prompt))


@dataclass(frozen=True)
class Batch:
    """Windows below each other.

    Attributes:
        ids: What stands there, [texts, length].
        attention: 1 at real tokens, [texts, length].
        ordinary: True at tokens of the texts themselves, [texts, length].
    """

    ids: Tensor
    attention: Tensor
    ordinary: Tensor


@dataclass(frozen=True)
class Frame:
    """What a tokenizer puts around a text: `start, prompt, text, end`.

    Attributes:
        start: Ids before a text.
        end: Ids behind it.
        pad: Fills up short texts.
        counts_end: Whether the end of a text is to be predicted, as causal models do, which otherwise learn no lengths.
    """

    start: tuple[int, ...]
    end: tuple[int, ...]
    pad: int
    counts_end: bool

    @classmethod
    def of(cls, tokenizer: "PreTrainedTokenizerBase", causal: bool) -> "Frame":
        """The frame of a tokenizer: found by reading a text with and without special tokens.

        A causal text begins with the start token, or the end token where the family has but one (GPT-2), so that the
        first token of a text is predicted too, and ends with the end token.

        Raises:
            BackboneError: The tokenizer lacks a token that is needed.
        """
        if causal:
            end = tokenizer.eos_token_id
            if end is None:
                raise BackboneError("The model's tokenizer has no end token; give one that has (eos_token).")
            start = end if tokenizer.bos_token_id is None else tokenizer.bos_token_id
            pad = end if tokenizer.pad_token_id is None else tokenizer.pad_token_id
            return cls((start,), (end,), pad, True)
        bare = tokenizer("a", add_special_tokens=False)["input_ids"]
        whole = tokenizer("a")["input_ids"]
        begin = next(place for place in range(len(whole)) if whole[place : place + len(bare)] == bare)
        if tokenizer.mask_token_id is None or tokenizer.pad_token_id is None:
            raise BackboneError(
                "The model's tokenizer has no mask or no padding token, which a masked model needs; give another model "
                "or model.kind=causal."
            )
        return cls(tuple(whole[:begin]), tuple(whole[begin + len(bare) :]), tokenizer.pad_token_id, False)

    @property
    def size(self) -> int:
        """Tokens around a text, without a prompt."""
        return len(self.start) + len(self.end)

    def length(self, window: Window) -> int:
        """Tokens of a framed window."""
        return self.size + len(window.prompt) + len(window.ids)

    def batch(self, windows: Sequence[Window]) -> Batch:
        """Framed windows, filled up to the longest."""
        width = max(map(self.length, windows))
        ids = torch.full((len(windows), width), self.pad)
        attention = torch.zeros(len(windows), width, dtype=torch.long)
        ordinary = torch.zeros(len(windows), width, dtype=torch.bool)
        for row, window in enumerate(windows):
            framed = (*self.start, *window.prompt, *window.ids, *self.end)
            first = self.offset(window)
            last = first + len(window.ids) + (len(self.end) if self.counts_end and window.ends else 0)
            ids[row, : len(framed)] = torch.tensor(framed)
            attention[row, : len(framed)] = 1
            ordinary[row, first:last] = True
        return Batch(ids, attention, ordinary)

    def offset(self, window: Window) -> int:
        """Where the text itself begins."""
        return len(self.start) + len(window.prompt)


def windows(tokenizer: "PreTrainedTokenizerBase", texts: Sequence[str], size: int, domain: str) -> list[Window]:
    """The windows of texts, in their order; the pieces of a long text are as long as each other, give or take one.

    Args:
        tokenizer: Of the model.
        texts: Of one domain.
        size: Tokens of a window, at most.
        domain: For the message.

    Raises:
        LearningError: No text has a token.
    """
    found = []
    for start in range(0, len(texts), _TOKENISED_AT_ONCE):
        part = list(texts[start : start + _TOKENISED_AT_ONCE])
        for ids in tokenizer(part, add_special_tokens=False, verbose=False)["input_ids"]:
            pieces = -(-len(ids) // size)
            cuts = [len(ids) * piece // pieces for piece in range(pieces + 1)] if pieces else []
            found += [Window(ids[low:high], ends=high == len(ids)) for low, high in itertools.pairwise(cuts)]
    if not found:
        raise LearningError(f"The texts of the domain {domain!r} hold no token; give others.")
    return found
