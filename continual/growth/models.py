"""Backbones around grown models: made in memory, saved as ordinary Hugging Face folders, loaded again."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from continual.backbone.causal import Causal
from continual.backbone.encoder import Encoder
from continual.backbone.pretrained import load
from continual.backbone.seq2seq import Seq2Seq
from continual.growth.expansion import Expansion
from continual.growth.maps import GrowthMap
from continual.growth.sizes import Amount
from continual.growth.weights import grown, plan


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
    _keep_own_head(model, folder)
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
    _keep_own_head(encoder.model, folder)
    return encoder


def _loading(like: Encoder) -> tuple[str, dict[str, Any]]:
    if isinstance(like, Causal):
        return "AutoModelForCausalLM", {}
    if isinstance(like, Seq2Seq):
        return "AutoModelForSeq2SeqLM", {}
    pooled = getattr(like.model, "pooler", None) is None and like.family in ("bert", "roberta", "mpnet")
    return "AutoModel", {"add_pooling_layer": False} if pooled else {}


def _keep_own_head(model: nn.Module, folder: Path) -> None:
    """T5 is tied at every load, whatever was saved."""
    own_head = _own_head(folder)
    if own_head is not None:
        model.lm_head.weight = nn.Parameter(own_head, requires_grad=False)


def _own_head(folder: Path) -> Any:
    """The head of a T5 that is not tied to its embeddings; None for every other model."""
    from safetensors import safe_open

    from continual.files import read_json

    if read_json(folder / "config.json").get("model_type") not in ("t5", "mt5"):
        return None
    with safe_open(folder / "model.safetensors", framework="pt") as file:
        return file.get_tensor("lm_head.weight") if "lm_head.weight" in file.keys() else None  # noqa: SIM118
