"""The language model that is pretrained: opened or made anew, with a head to restore tokens and symbols for domains."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from continual._torchvision import declare_missing_operators
from continual.errors import BackboneError
from continual.pretraining.byte_pairs import train_byte_pairs
from continual.pretraining.lifelong.config import CAUSAL, ModelConfig
from continual.pretraining.lifelong.memory import PastDomains, read_memory
from continual.seeding import seed_of

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase, PreTrainedTokenizerFast

_START, _PAD, _END, _MASK = "<s>", "<pad>", "</s>", "<mask>"
_ROOM = 16
"""Positions of a new model beyond its windows, for domain prompts."""


@dataclass(frozen=True)
class Opened:
    """A model before it learns.

    Attributes:
        model: A masked or causal model.
        tokenizer: Its tokenizer.
        is_new: Whether all its weights are random.
        head: Names of the weights of its language-model head, where the checkpoint came without one.
        memory: What an earlier lifelong pretraining left beside it.
    """

    model: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerBase"
    is_new: bool
    head: tuple[str, ...] = ()
    memory: PastDomains = field(default_factory=PastDomains)


def auto_class(kind: str) -> str:
    """The class of `transformers` that loads a model of this kind."""
    return "AutoModelForCausalLM" if kind == CAUSAL else "AutoModelForMaskedLM"


def open_model(config: ModelConfig, texts: Callable[[], Sequence[str]], seed: int) -> Opened:
    """The model that `config` describes.

    Args:
        config: A path, or the sizes of a new model.
        texts: Gives the texts that a new model's vocabulary is made from.
        seed: Decides weights that are drawn.

    Raises:
        BackboneError: There is no such model, or it is of another kind.
    """
    declare_missing_operators()
    with torch.random.fork_rng():
        torch.manual_seed(seed_of(seed, "weights"))
        return _new(config, texts()) if config.path is None else _opened(config)


def _new(config: ModelConfig, texts: Sequence[str]) -> Opened:
    import transformers

    tokenizer = _vocabulary(texts, config)
    tokens = {
        "vocab_size": len(tokenizer),
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    positions = config.max_length + _ROOM
    if config.kind == CAUSAL:
        dropout = dict.fromkeys(("attn_pdrop", "embd_pdrop", "resid_pdrop"), config.dropout)
        sizes = {"n_embd": config.width, "n_layer": config.layers, "n_head": config.heads, "n_inner": config.inner}
        settings = transformers.GPT2Config(n_positions=positions, **sizes, **dropout, **tokens)
    else:
        settings = transformers.BertConfig(
            hidden_size=config.width,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            intermediate_size=config.inner,
            hidden_dropout_prob=config.dropout,
            attention_probs_dropout_prob=config.dropout,
            max_position_embeddings=positions,
            type_vocab_size=1,
            **tokens,
        )
    return Opened(getattr(transformers, auto_class(config.kind)).from_config(settings), tokenizer, is_new=True)


def _vocabulary(texts: Sequence[str], config: ModelConfig) -> "PreTrainedTokenizerFast":
    from tokenizers import processors
    from transformers import PreTrainedTokenizerFast

    tokenizer = train_byte_pairs(texts, config.vocabulary, [_START, _PAD, _END, _MASK], config.kind == CAUSAL)
    if config.kind != CAUSAL:
        special = [(token, tokenizer.token_to_id(token)) for token in (_START, _END)]
        pair = f"{_START} $A {_END} $B {_END}"
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{_START} $A {_END}", pair=pair, special_tokens=special
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=_START,
        eos_token=_END,
        pad_token=_PAD,
        mask_token=None if config.kind == CAUSAL else _MASK,
        model_max_length=config.max_length,
        clean_up_tokenization_spaces=False,
    )


def _opened(config: ModelConfig) -> Opened:
    from continual.backbone.catalog import minilm_folder
    from continual.backbone.pretrained import check_complete, found, load_incomplete

    where = minilm_folder() if config.path == "minilm" else found(config.path, "lifelong")[0]

    def options_of(settings: "PretrainedConfig") -> dict[str, Any]:
        _check_kind(settings, where, config.kind)
        return {}

    model, tokenizer, missing = load_incomplete(where, auto_class(config.kind), options_of)
    body = f"{model.base_model_prefix}."
    check_complete(where, model, tokenizer, {name for name in missing if name.startswith(body)})
    # Where a bias is tied, it has a second name that the model does not list.
    head = tuple(name for name, _ in model.named_parameters() if name in missing)
    return Opened(model, tokenizer, is_new=False, head=head, memory=read_memory(Path(where)))


def _check_kind(settings: "PretrainedConfig", where: object, kind: str) -> None:
    from transformers.models.auto import modeling_auto as auto

    masked = set(auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES)
    # What can restore tokens looks both ways, unless its configuration makes a decoder of it.
    looks_ahead = settings.model_type in masked and not getattr(settings, "is_decoder", False)
    if settings.is_encoder_decoder or (kind != CAUSAL) != looks_ahead:
        other = "an encoder-decoder" if settings.is_encoder_decoder else "causal" if kind != CAUSAL else "masked"
        raise BackboneError(
            f"{where} is a {settings.model_type} model, which is {other}, expected one of model.kind={kind}; give "
            "another model.path or another model.kind."
        )


def add_symbols(opened: "PreTrainedModel", tokenizer: Any, domain: str, number: int, seed: int) -> tuple[int, ...]:
    """Adds the symbols of a domain's prompt to vocabulary and embeddings, in place.

    Args:
        opened: The model; new rows are drawn as the family draws its own.
        tokenizer: Its tokenizer; afterwards it reads `<domain:NAME>` as one token, and `<domain:NAME/2>` and so on.
        domain: Name of the domain.
        number: How many symbols.
        seed: Decides the rows.

    Returns:
        Their ids.
    """
    symbols = [f"<domain:{domain}>", *(f"<domain:{domain}/{place}>" for place in range(2, number + 1))]
    tokenizer.add_tokens(symbols, special_tokens=True)
    if len(tokenizer) > opened.get_input_embeddings().num_embeddings:
        with torch.random.fork_rng():
            torch.manual_seed(seed_of(seed, "symbols", domain))
            _resize(opened, len(tokenizer))
    return tuple(tokenizer.convert_tokens_to_ids(symbols))


def _resize(model: "PreTrainedModel", tokens: int) -> None:
    """Makes room for more tokens; a head that has a matrix of its own keeps it.

    The library makes it one with the embeddings where the configuration says so, whatever the checkpoint holds.
    """
    own = model.get_output_embeddings().weight
    apart = own is not model.get_input_embeddings().weight
    model.resize_token_embeddings(tokens, mean_resizing=False)
    head, embeddings = model.get_output_embeddings(), model.get_input_embeddings().weight
    if apart and head.weight is embeddings:
        head.weight = torch.nn.Parameter(torch.cat([own.detach(), embeddings.detach()[len(own) :]]))


def frozen_copy(model: "PreTrainedModel") -> "PreTrainedModel":
    """A teacher: the model as it is now, in evaluation mode."""
    return copy.deepcopy(model).eval().requires_grad_(False)
