"""A prompt that reads text and target in a template, at the mask and at the target's own words."""

import itertools
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from continual.backbone.encoder import Encoder
from continual.backbone.frozen import Seen
from continual.backbone.texts import EncodedTexts
from continual.errors import BackboneError, ConfigError
from continual.tuning.base import Tensors, Tuning
from continual.tuning.composed.base import OWN, Composed, of_part

PLACES = ("text", "target", "mask")
MASK, TARGET = 1, 2
"""Marks of tokens; all others are 0."""

_PIECES = re.compile(r"(\{\w+\})")


class Templated(Composed):
    """A target-aware template with a verbaliser of label vectors (TAPD, Jiang et al. 2022, arXiv 2206.13214).

    The text and its target are put into a template such as `{text} . The attitude to {target} is {mask} .`. With `m`
    the last state at the mask and `t` the mean of the last states of the target's tokens, what is classified is
    `[m ; t ; m * t]`: each label is a vector `(a, b, c)` that scores `<a, m> + <b, t> + sum_d c_d m_d t_d`, so that a
    label is chosen by how stance and target go together and not by a word. No formula of the paper's score could be
    verified; this one is ours.

    Args:
        base: The tuning whose prompt steers the network.
        template: With `{text}`, `{target}` and `{mask}` once each.
    """

    name = "templated"

    def __init__(self, base: Mapping[str, Any], template: str) -> None:
        super().__init__(base)
        pieces = [piece for piece in _PIECES.split(template) if piece.strip()]
        found = [piece.strip("{}") for piece in pieces if _PIECES.fullmatch(piece)]
        if sorted(found) != sorted(PLACES):
            raise ConfigError(
                f"The template {template!r} has the places {', '.join(found) or 'none'}, expected {{text}}, {{target}} "
                "and {mask} once each; correct it."
            )
        self.template, self._pieces = template, pieces

    @property
    def reading(self) -> str:
        """See `Tuning.reading`."""
        return self.template

    def spec(self) -> dict[str, Any]:
        """See `Tuning.spec`."""
        return super().spec() | {"template": self.template}

    def entry(self, encoder: Encoder) -> int:
        """See `Tuning.entry`."""
        if encoder.tokenizer.mask_token_id is None:
            raise BackboneError(
                f"A template needs a mask token, which the tokenizer of {encoder.name!r} does not have; choose a "
                "backbone that was trained with one."
            )
        return self.base.entry(encoder)

    def compose(self, tensors: Tensors, seen: Seen) -> Tensors:
        """See `Tuning.compose`."""
        return of_part(OWN, tensors)

    def texts(self, encoder: Encoder, texts: EncodedTexts) -> EncodedTexts:
        """The texts in the template; a text that is too long loses its end, and one without a target has none."""
        if texts.marks is not None:
            return texts
        whole = texts.ids.values.tolist()
        bounds = texts.ids.offsets.tolist()
        rows = [self._render(encoder, whole[start:end]) for start, end in itertools.pairwise(bounds)]
        ids = [[token for token, _ in row] for row in rows]
        marks = [[mark for _, mark in row] for row in rows]
        types = None if texts.types is None else [[0] * len(row) for row in rows]
        marked = EncodedTexts.from_lists(marks, None).ids
        made = EncodedTexts.from_lists(ids, types, texts.pairs)
        return EncodedTexts(made.ids, made.types, made.pairs, marked)

    def reading_alike(self, tuning: Tuning) -> Tuning:
        """See `Tuning.reading_alike`: in the same template."""
        return Templated(tuning.spec(), self.template)

    def read(self, encoder: Encoder, seen: Seen, states: Tensor) -> Tensor:
        """See `Tuning.read`: `[m ; t ; m * t]`, [batch, 3 width]."""
        assert seen.marks is not None  # the texts went through `texts`
        mask, target = (_mean_where(states, (seen.marks == mark) & seen.mask) for mark in (MASK, TARGET))
        return torch.cat([mask, target, mask * target], dim=1)

    def reading_width(self, encoder: Encoder) -> int:
        """See `Tuning.reading_width`."""
        return 3 * encoder.width

    def _render(self, encoder: Encoder, tokens: list[int]) -> list[tuple[int, int]]:
        """Token ids with their marks, special tokens around them."""
        tokenizer = encoder.tokenizer
        text, target = (
            _behind_a_space(tokenizer, ids) if self._follows_a_space(place) else ids
            for place, ids in zip(("{text}", "{target}"), _parts(tokens, _framing(tokenizer)), strict=True)
        )
        filled: dict[str, list[tuple[int, int]]] = {
            "{text}": [(token, 0) for token in text],
            "{target}": [(token, TARGET) for token in target],
            "{mask}": [(tokenizer.mask_token_id, MASK)],
        }
        fixed = {piece: self._fixed_ids(tokenizer, piece) for piece in self._pieces if piece not in filled}
        others = sum(len(fixed.get(piece, filled.get(piece, ()))) for piece in self._pieces if piece != "{text}")
        start, end = _frame(tokenizer)
        filled["{text}"] = filled["{text}"][: max(0, encoder.max_length - others - len(start) - len(end))]
        middle = [item for piece in self._pieces for item in (filled.get(piece) or fixed.get(piece, []))]
        return [*start, *middle, *end]

    def _follows_a_space(self, place: str) -> bool:
        before = self._pieces.index(place) - 1
        return before >= 0 and self._pieces[before][-1:].isspace()

    def _fixed_ids(self, tokenizer: Any, piece: str) -> list[tuple[int, int]]:
        return [(token, 0) for token in _ids(tokenizer, piece.rstrip())]


def _framing(tokenizer: Any) -> set[int]:
    """The special tokens that stand around texts; unknown words and masks are special too, and stand within them."""
    kinds = ("cls_token_id", "sep_token_id", "bos_token_id", "eos_token_id", "pad_token_id")
    return {number for kind in kinds if (number := getattr(tokenizer, kind)) is not None}


def _parts(tokens: list[int], special: set[int]) -> tuple[list[int], list[int]]:
    """Text and target of a tokenised pair: what lies before and behind the last inner special token."""
    inner = tokens[1:-1] if tokens and tokens[-1] in special else tokens
    cut = max((place for place, token in enumerate(inner) if token in special), default=None)
    if cut is None:
        return inner, []
    return [token for token in inner[:cut] if token not in special], inner[cut + 1 :]


def _behind_a_space(tokenizer: Any, tokens: list[int]) -> list[int]:
    """The tokens of words in the midst of a sentence; byte-level vocabularies have others at its beginning."""
    if _ids(tokenizer, "a") == _ids(tokenizer, " a"):
        return tokens
    return _ids(tokenizer, " " + tokenizer.decode(tokens, clean_up_tokenization_spaces=False).lstrip())


def _ids(tokenizer: Any, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def _frame(tokenizer: Any) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """The special tokens before and behind a single text."""
    alone = tokenizer(tokenizer.mask_token)["input_ids"]
    place = alone.index(tokenizer.mask_token_id)
    return [(token, 0) for token in alone[:place]], [(token, 0) for token in alone[place + 1 :]]


def _mean_where(states: Tensor, chosen: Tensor) -> Tensor:
    """Mean state of the chosen tokens, [batch, width]; zero where there is none."""
    weights = chosen.float()
    return torch.einsum("bl,blw->bw", weights, states) / weights.sum(1, keepdim=True).clamp(min=1)
