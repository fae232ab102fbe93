"""Pairs of sentences as token ids, and what a batch of them is for the model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from continual.backbone.likelihood import IGNORED
from continual.pretraining.translation.config import Direction, ModelConfig
from continual.pretraining.translation.pool import Pairs
from continual.pretraining.translation.vocabulary import language_token

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Ids = list[int]


@dataclass(frozen=True)
class EncodedPairs:
    """Sources and targets without the end token.

    Attributes:
        sources: Token ids of each source.
        targets: Token ids of each target.
        tags: What stands before each source: the token of the target's language, or nothing.
    """

    sources: list[Ids]
    targets: list[Ids]
    tags: list[Ids]

    def __len__(self) -> int:
        return len(self.sources)

    @property
    def lengths(self) -> Tensor:
        """Tokens of the longer side of each pair as the model reads it, [pairs]."""
        rows = zip(self.sources, self.targets, self.tags, strict=True)
        return torch.tensor([max(len(source), len(target)) + len(tag) + 1 for source, target, tag in rows])


def encode_pairs(
    pairs: Pairs,
    direction: Direction,
    tokenizer: "PreTrainedTokenizerFast",
    config: ModelConfig | None = None,
    ways: Sequence[tuple[str, str]] | None = None,
) -> tuple[EncodedPairs, dict[str, int]]:
    """Token ids of the pairs, once for each way.

    Args:
        pairs: Sentences of the first and the second language.
        direction: Which of them are sources.
        tokenizer: Of both languages.
        config: Its limits leave pairs out; None keeps all.
        ways: (source, target) languages; all of the direction if not given.

    Returns:
        The pairs, and how many were left out for which reason.
    """
    sides = {name: _encoded([pair[at] for pair in pairs], tokenizer) for at, name in enumerate(direction.languages)}
    first, second = (sides[name] for name in direction.languages)
    reasons = [_refusal(one, other, config) for one, other in zip(first, second, strict=True)]
    kept = [place for place, reason in enumerate(reasons) if reason is None]
    counts = {reason: reasons.count(reason) for reason in ("too long", "too unequal")}
    sources, targets, tags = [], [], []
    for source, target in direction.ways if ways is None else ways:
        sources += [sides[source][place] for place in kept]
        targets += [sides[target][place] for place in kept]
        tag = [tokenizer.convert_tokens_to_ids(language_token(target))] if direction.is_told else []
        tags += [tag] * len(kept)
    return EncodedPairs(sources, targets, tags), counts


def _encoded(texts: list[str], tokenizer: "PreTrainedTokenizerFast") -> list[Ids]:
    return tokenizer(texts, add_special_tokens=False, padding=False, truncation=False)["input_ids"] if texts else []


def _refusal(first: Ids, second: Ids, config: ModelConfig | None) -> str | None:
    """Why a pair is left out, or None."""
    if config is None:
        return None
    shorter, longer = sorted((len(first), len(second)))
    if longer + 2 > config.max_length:  # the end, and the language's token where there is one
        return "too long"
    return "too unequal" if longer > config.max_ratio * shorter else None


def padded(rows: Sequence[Sequence[int]], fill: int, device: torch.device) -> Tensor:
    """Rows of numbers as one tensor, [rows, longest], with `fill` behind short ones."""
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[fill] * (longest - len(row))] for row in rows], device=device)


def decoder_batch(targets: Sequence[Ids], start: int, end: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """What the decoder reads and what it is to say, [texts, longest + 1] each.

    Padding stands on the right, where causal attention keeps it from all real tokens, so no mask is needed.

    Args:
        targets: Token ids without the end.
        start: The token that decoding starts from; also fills what is read.
        end: The token that ends a text.
        device: Where the tensors are made.
    """
    read = padded([[start, *target] for target in targets], start, device)
    said = padded([[*target, end] for target in targets], IGNORED, device)
    return read, said
