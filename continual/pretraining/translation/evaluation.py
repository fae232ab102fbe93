"""How good a translation model is on text that it has not learned from."""

import math
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from continual.backbone.generation import Decoding
from continual.backbone.likelihood import IGNORED, token_loss
from continual.backbone.seq2seq import Seq2Seq
from continual.backbone.texts import by_length
from continual.pretraining.translation.config import Direction, EvaluationConfig
from continual.pretraining.translation.pairs import EncodedPairs, decoder_batch, encode_pairs, padded
from continual.pretraining.translation.pool import Pairs
from continual.pretraining.translation.vocabulary import language_token
from continual.translator import plain

if TYPE_CHECKING:
    from transformers import MarianMTModel, PreTrainedTokenizerFast

_BATCH = 32
_LONGEST = 256
"""Tokens of a held-out text, far below the model's positions: likelihood is of the beginning of longer ones."""


@dataclass(frozen=True)
class HeldOut:
    """Held-out pairs as token ids, for each domain and each way such as `en-de`."""

    parts: dict[tuple[str, str], EncodedPairs]

    @classmethod
    def of(cls, domains: dict[str, Pairs], direction: Direction, tokenizer: "PreTrainedTokenizerFast") -> "HeldOut":
        """From sentences."""
        parts = {}
        for name, pairs in domains.items():
            for way in direction.ways:
                encoded, _ = encode_pairs(pairs, direction, tokenizer, ways=[way])
                parts[name, "-".join(way)] = _cut(encoded)
        return cls(parts)

    def all(self) -> EncodedPairs:
        """All pairs, one part after the other."""
        parts = self.parts.values()
        return EncodedPairs(
            [ids for part in parts for ids in part.sources],
            [ids for part in parts for ids in part.targets],
            [ids for part in parts for ids in part.tags],
        )


@dataclass(frozen=True)
class Likelihood:
    """What the model gives to reference translations.

    Attributes:
        nats: Summed negative log-likelihood of all tokens, ends included.
        tokens: How many there are.
    """

    nats: float
    tokens: int

    def scores(self) -> dict[str, float]:
        """Loss in nats for each token, and perplexity."""
        loss = self.nats / self.tokens
        return {"loss": loss, "perplexity": math.exp(min(loss, 100.0))}


@torch.inference_mode()
def likelihood(model: "MarianMTModel", pairs: EncodedPairs) -> Likelihood:
    """The likelihood of the targets given the sources, without smoothing; the model has to be in evaluation mode."""
    nats, tokens = 0.0, 0
    pad, end = model.config.pad_token_id, model.config.eos_token_id
    for rows in by_length(pairs.lengths, _BATCH):
        sources = padded([[*pairs.tags[row], *pairs.sources[row], end] for row in rows], pad, model.device)
        written, said = decoder_batch([pairs.targets[row] for row in rows], pad, end, model.device)
        mask = (sources != pad).long()
        logits = model(input_ids=sources, attention_mask=mask, decoder_input_ids=written, use_cache=False).logits
        count = int((said != IGNORED).sum())
        nats += float(token_loss(logits, said)) * count
        tokens += count
    return Likelihood(nats, tokens)


def score(
    model: "MarianMTModel",
    tokenizer: "PreTrainedTokenizerFast",
    held_out: HeldOut,
    pairs: dict[str, Pairs],
    direction: Direction,
    config: EvaluationConfig,
    length: int,
) -> Iterator[dict[str, Any]]:
    """For each domain and way: loss, perplexity, and BLEU with sacreBLEU's signature where it is asked for.

    Args:
        model: In evaluation mode.
        tokenizer: Its tokenizer.
        held_out: The pairs as token ids.
        pairs: The same pairs as text.
        direction: Which languages these are.
        config: How many are translated, and how.
        length: Tokens that are translated at once, as many as the model has learned from.
    """
    for (domain, way), encoded in held_out.parts.items():
        row = {"domain": domain, "way": way, "pairs": len(encoded), **likelihood(model, encoded).scores()}
        if config.bleu:
            row |= _bleu(model, tokenizer, pairs[domain][: config.pairs], direction, way, config, length)
        yield row


def _bleu(
    model: "MarianMTModel",
    tokenizer: "PreTrainedTokenizerFast",
    pairs: Pairs,
    direction: Direction,
    way: str,
    config: EvaluationConfig,
    length: int,
) -> dict[str, Any]:
    from continual.evaluation.text_metrics import bleu_scorer

    first, second = direction.languages
    forward = way == f"{first}-{second}"
    sources, references = zip(*(pair if forward else pair[::-1] for pair in pairs), strict=True)
    target = second if forward else first
    tag = language_token(target) if direction.is_told else ""
    written = translate(model, tokenizer, list(sources), config, length, tag)
    metric = bleu_scorer(target)
    bleu = metric.corpus_score(written, [list(references)]).score
    samples = [list(sample) for sample in zip(sources[:3], written[:3], references[:3], strict=True)]
    return {"bleu": bleu, "signature": str(metric.get_signature()), "samples": samples}


def translate(
    model: "MarianMTModel",
    tokenizer: "PreTrainedTokenizerFast",
    texts: Sequence[str],
    config: EvaluationConfig,
    length: int,
    tag: str = "",
) -> list[str]:
    """Translations by beam search in the order of the texts.

    Args:
        model: The model; it stays as it is.
        tokenizer: Its tokenizer.
        texts: The sources.
        config: How they are translated.
        length: Tokens that are translated at once.
        tag: The token that says which language to write; empty where there is one direction.
    """
    # Of a copy, since a backbone freezes its model and puts hooks into it, and this one is stored afterwards.
    backbone = Seq2Seq(deepcopy(model), tokenizer, "the model", length, length, tag)
    return plain(backbone, texts, Decoding(beams=config.beams, max_new_tokens=config.max_new_tokens))


def _cut(pairs: EncodedPairs) -> EncodedPairs:
    return EncodedPairs(
        [ids[:_LONGEST] for ids in pairs.sources], [ids[:_LONGEST] for ids in pairs.targets], pairs.tags
    )
