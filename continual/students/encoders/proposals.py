"""Where the candidates of the augmentation come from: neighbours by word embeddings, and a masked language model."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from continual.backbone.encoder import Encoder
from continual.errors import ConfigError
from continual.students.encoders.augmentation import AugmentationConfig, Proposer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_PAIR = 128
"""Tokens of a masked text and the original beside it, at most."""

_MASKED_AT_ONCE = 32


def proposer_of(backbone: Encoder, config: AugmentationConfig) -> Proposer:
    """What is at hand: the masked language model of the settings, or the backbone's word embeddings."""
    neighbours = Neighbours(backbone, config.candidates)
    return neighbours if config.model is None else Masked(config.model, config.candidates, neighbours)


class Neighbours:
    """The words of the vocabulary whose embeddings are nearest by cosine; see `Proposer`.

    Args:
        backbone: Whose word embeddings and tokenizer are used.
        candidates: How many.
    """

    def __init__(self, backbone: Encoder, candidates: int) -> None:
        self.tokenizer, self.candidates = backbone.tokenizer, candidates
        self.embeddings = backbone.model.get_input_embeddings().weight.detach().float().cpu()
        self.words, tokens = _whole_words(self.tokenizer)
        self.vectors = F.normalize(self.embeddings[tokens], dim=1)
        self._kept: dict[str, list[str]] = {}

    def propose(self, words: Sequence[str], places: Sequence[int]) -> dict[int, list[str]]:
        """See `Proposer.propose`; what stands around a word plays no part."""
        return {place: self.of(words[place].lower()) for place in places}

    def of(self, word: str) -> list[str]:
        """The nearest words, the nearest first, without the word itself."""
        if word not in self._kept:
            pieces = self.tokenizer(word, add_special_tokens=False)["input_ids"]
            vector = F.normalize(self.embeddings[pieces].mean(0), dim=0)
            nearest = torch.topk(self.vectors @ vector, min(self.candidates + 1, len(self.words))).indices
            self._kept[word] = [self.words[place] for place in nearest if self.words[place] != word][: self.candidates]
        return self._kept[word]


class Masked:
    """What a masked language model expects in the place of a word; see `Proposer`.

    Args:
        path: Folder or hub name of the model.
        candidates: How many.
        neighbours: Asked for words of several pieces.
    """

    def __init__(self, path: str, candidates: int, neighbours: Neighbours) -> None:
        from continual.backbone.pretrained import load

        self.model, self.tokenizer = load(path, "AutoModelForMaskedLM", lambda config: {})
        self.model.eval().requires_grad_(False)
        if self.tokenizer.mask_token_id is None:
            raise ConfigError(f"augmentation.model is {path!r}, which knows no mask; give a masked language model.")
        self.candidates, self.neighbours = candidates, neighbours

    def propose(self, words: Sequence[str], places: Sequence[int]) -> dict[int, list[str]]:
        """See `Proposer.propose`."""
        found: dict[int, list[str]] = {}
        single = [place for place in places if len(self._pieces(words[place])) == 1]
        for start in range(0, len(single), _MASKED_AT_ONCE):
            part = single[start : start + _MASKED_AT_ONCE]
            found |= dict(zip(part, self._masked(words, part), strict=True))
        return {place: found.get(place) or self.neighbours.of(words[place].lower()) for place in places}

    @torch.no_grad()
    def _masked(self, words: Sequence[str], places: Sequence[int]) -> list[list[str]]:
        text, mask = "".join(words), self.tokenizer.mask_token
        masked = ["".join([*words[:place], mask, *words[place + 1 :]]) for place in places]
        batch = self.tokenizer(
            masked,
            [text] * len(masked),
            truncation=True,
            max_length=_PAIR,
            padding=True,
            return_tensors="pt",
        )
        is_mask = batch["input_ids"] == self.tokenizer.mask_token_id
        logits = self.model(**batch).logits
        # A mask that was cut away has no candidates.
        return [
            self._words(row[hidden][0], words[place].lower()) if bool(hidden.any()) else []
            for row, hidden, place in zip(logits, is_mask, places, strict=True)
        ]

    def _words(self, logits: Tensor, word: str) -> list[str]:
        tokens = torch.topk(logits, self.candidates).indices.tolist()
        texts = self.tokenizer.convert_ids_to_tokens(tokens)
        likely = [self.tokenizer.convert_tokens_to_string([text]).strip() for text in texts if text[:2] != "##"]
        return [it for it in likely if it.isalpha() and it.lower() != word]

    def _pieces(self, word: str) -> list[int]:
        return self.tokenizer(word, add_special_tokens=False)["input_ids"]


def _whole_words(tokenizer: "PreTrainedTokenizerBase") -> tuple[list[str], Tensor]:
    """The vocabulary's entries that are words by themselves, and their ids, [words]."""
    found: dict[str, int] = {}
    special = set(tokenizer.all_special_tokens)
    for token, number in sorted(tokenizer.get_vocab().items(), key=lambda item: item[1]):
        word = token.lstrip("Ġ▁")
        # Behind `##`, and in byte-level vocabularies without a mark in front, stand the ends of words.
        if token not in special and word.isalpha() and word.isascii() and len(word) > 1:
            found.setdefault(word.lower(), number)
    return list(found), torch.tensor(list(found.values()), dtype=torch.long)
