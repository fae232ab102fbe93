"""Backbones around grown models: made in memory, saved as ordinary Hugging Face folders, loaded again."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from continual.backbone.causal import Causal
from continual.backbone.encoder import Encoder
from continual.backbone.pretrained import load
from continual.backbone.seq2seq import Seq2Seq
from continual.growth.expansion import Expansion
from continual.growth.maps import GrowthMap
from continual.growth.sizes import Amount
from continual.growth.weights import grown, plan

if TYPE_CHECKING:
    from transformers import PretrainedConfig


def grown_encoder(encoder: Encoder, expansion: Expansion, amount: Amount, seed: int) -> tuple[Encoder, GrowthMap]:
    """A larger backbone with the tokenizer, pooling and lengths of the given one, and what was copied.

    Raises:
        BackboneError: Models of its family cannot grow.
        ConfigError: The expansion cannot make a model of that size.
    """
    chosen = plan(encoder.model, expansion, amount, seed)
    return wrapped(encoder, grown(encoder.model, chosen, expansion.noise, seed), f"{encoder.name}+"), chosen


def wrapped(like: Encoder, model: nn.Module, name: str) -> Encoder:
    """A backbone of the kind and with the settings of another around a model of the same class."""
    if isinstance(like, Causal):
        return Causal(model, like.tokenizer, name, like.max_length, like.max_target, like.between, like.prefix)
    if isinstance(like, Seq2Seq):
        return Seq2Seq(model, like.tokenizer, name, like.max_length, like.max_target, like.prefix)
    return Encoder(model, like.tokenizer, name, like.pooling, like.max_length)


def load_like(like: Encoder, folder: Path, name: str) -> Encoder:
    """The backbone in a folder that `backbone.saving` filled, of the kind and with the settings of another.

    Raises:
        BackboneError: The folder holds no such model.
    """
    auto, options = _loading(like)
    model, _ = load(folder, auto, lambda config: options)
    return wrapped(like, model, name)


def reopened(folder: Path, name: str, settings: Mapping[str, Any]) -> Encoder:
    """The backbone in a folder that `save_backbone` filled, without the one that it has grown from.

    Args:
        folder: Where it lies.
        name: What it is called.
        settings: Of `backbone.opening.opening`.

    Raises:
        BackboneError: The folder holds no such model.
    """
    from continual.backbone import BACKBONES

    options = {key: value for key, value in settings.items() if key != "kind"}
    encoder = BACKBONES.load(settings["kind"])(path=str(folder), **options)
    encoder.name = name
    return encoder


def _loading(like: Encoder) -> tuple[str, dict[str, Any]]:
    if isinstance(like, Causal):
        return "AutoModelForCausalLM", {}
    if isinstance(like, Seq2Seq):
        return "AutoModelForSeq2SeqLM", {}
    return "AutoModel", without_pooler(like.model.config) if getattr(like.model, "pooler", None) is None else {}


def without_pooler(config: "PretrainedConfig") -> dict[str, bool]:
    """The options by which `AutoModel` leaves out a BERT's layer on the first token, where the family has one."""
    from transformers import MODEL_MAPPING

    known = type(config) in MODEL_MAPPING and inspect.signature(MODEL_MAPPING[type(config)]).parameters
    return {"add_pooling_layer": False} if known and "add_pooling_layer" in known else {}
