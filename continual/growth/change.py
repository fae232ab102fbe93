"""How much growth has changed what a model computes, measured on fixed sentences."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from continual.growth.maps import GrowthMap
from continual.transfer.probe import PROBE_TEXTS

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Difference:
    """How far outputs lie apart.

    Attributes:
        what: `logits`, or `states` of a model without a language model head.
        largest: Largest absolute difference of any number.
        scale: Largest absolute number before growth.
        sentences: On how many sentences.
    """

    what: str
    largest: float
    scale: float
    sentences: int


@torch.no_grad()
def difference(
    old: nn.Module, new: nn.Module, tokenizer: "PreTrainedTokenizerBase", plan: GrowthMap, sentences: int = 16
) -> Difference:
    """Compares a grown model with the one that it was made from.

    Args:
        old: The model before growth.
        new: The grown one.
        tokenizer: Of both.
        plan: What was copied.
        sentences: How many of the probe's sentences are read. An encoder-decoder writes what it reads.
    """
    largest, scale, what = 0.0, 0.0, "states"
    for text in PROBE_TEXTS[:sentences]:
        ids = torch.tensor([tokenizer(text)["input_ids"]])
        (what, one), (_, other) = _output(old, ids), _output(new, ids)
        one = plan.residual.copied(one, 2) if what == "states" else one
        largest = max(largest, float((one - other).abs().max()))
        scale = max(scale, float(one.abs().max()))
    return Difference(what, largest, scale, sentences)


def _output(model: nn.Module, ids: Tensor) -> tuple[str, Tensor]:
    targets = {"decoder_input_ids": ids} if model.config.is_encoder_decoder else {}
    found = model(input_ids=ids, **targets)
    logits = getattr(found, "logits", None)
    return ("states", found.last_hidden_state) if logits is None else ("logits", logits)
