"""What the axes of each family's weights mean, so that one procedure can grow them all.

A new family is one `Family` here. Every weight of the model must be described; an unknown one is refused rather than
left at its old size.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from continual.errors import BackboneError
from continual.growth.maps import DECODER, READER
from continual.growth.sizes import Sizes, StackSizes

# What lies along an axis. "reads" marks the side where a weight reads units: copies share its weight.
KEEP = "keep"
WIDE, WIDE_READS = "wide", "wide reads"
HEADS, HEADS_READ = "heads", "heads read"
KEYS = "keys"
INNER, INNER_READS = "inner", "inner reads"
HEAD_NUMBERS = "head numbers"
"""One number for each head."""
FUSED = "fused"
"""Queries, keys and values of one module, side by side."""

Axes = tuple[str, ...]


@dataclass(frozen=True)
class Stack:
    """Where the layers of a stack lie.

    Attributes:
        prefix: What the names of their weights begin with, before the layer's number.
        weights: The axes of each weight of a layer, by the end of its name.
        outputs: The modules that write to the residual stream.
        norms: Norms that stand behind the parts of a layer, in order; none where they stand before.
        first: Weights that only the first layer has.
    """

    prefix: str
    weights: Mapping[str, Axes]
    outputs: tuple[str, ...]
    norms: tuple[str, ...] = ()
    first: tuple[str, ...] = ()


@dataclass(frozen=True)
class Family:
    """A family of models.

    Attributes:
        stacks: By `maps.READER` and `maps.DECODER`.
        others: The axes of the weights outside the layers.
        sizes: Reads a configuration.
        resized: `(sizes, stacks by name) -> settings` of the grown configuration.
        one_head_map: Whether all layers share what belongs to a head, a relative position bias.
        last_norm: The norm before a head that is tied to the embeddings: it carries what the head cannot. Of encoders
            it belongs to the head itself and is described among `others`.
        scaled: The embeddings are scaled by the root of the width.
        untie: A tied head must become the head's own, since the states before it are used otherwise too.
    """

    stacks: Mapping[str, Stack]
    others: Mapping[str, Axes]
    sizes: Callable[[Any], Sizes]
    resized: Callable[[Sizes], dict[str, Any]]
    one_head_map: bool = False
    last_norm: str | None = None
    scaled: bool = False
    untie: bool = False


def _linear(name: str, outputs: str, inputs: str) -> dict[str, Axes]:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def _transposed(name: str, outputs: str, inputs: str) -> dict[str, Axes]:
    """`transformers`' Conv1D, whose weight is [inputs, outputs]."""
    return {f"{name}.weight": (inputs, outputs), f"{name}.bias": (outputs,)}


def _norm(name: str, axis: str = WIDE) -> dict[str, Axes]:
    return {f"{name}.weight": (axis,), f"{name}.bias": (axis,)}


def _table(name: str) -> dict[str, Axes]:
    return {f"{name}.weight": (KEEP, WIDE)}


def _bert_like(attention: dict[str, Axes], output: str, norm: str, **settings: Any) -> Family:
    """BERT and its kin, with the heads of masked language models where there are any."""
    layer = attention | _linear("intermediate.dense", INNER, WIDE_READS) | _linear("output.dense", WIDE, INNER_READS)
    layer |= _norm(norm) | _norm("output.LayerNorm")
    embeddings = [_table(f"embeddings.{name}_embeddings") for name in ("word", "position", "token_type")]
    others: dict[str, Axes] = {name: axes for table in embeddings for name, axes in table.items()}
    others |= _norm("embeddings.LayerNorm") | _linear("pooler.dense", WIDE, WIDE_READS)
    others |= {"encoder.relative_attention_bias.weight": (KEEP, HEAD_NUMBERS)}
    for head, own in (("cls.predictions.transform", "LayerNorm"), ("lm_head", "layer_norm")):
        # The decoder is tied to the embeddings, which nobody may divide: the norm before it is divided instead.
        others |= _linear(f"{head}.dense", WIDE, WIDE_READS) | _norm(f"{head}.{own}", WIDE_READS)
    for head in ("cls.predictions", "lm_head"):
        others |= {f"{head}.bias": (KEEP,), f"{head}.decoder.bias": (KEEP,)} | _table(f"{head}.decoder")
    stack = Stack("encoder.layer.", layer, (output, "output.dense"), (norm, "output.LayerNorm"))
    return Family({READER: stack}, others, _bert_sizes, _bert_resized, **settings)


def _bert_sizes(config: Any) -> Sizes:
    heads = config.num_attention_heads
    stack = StackSizes(config.num_hidden_layers, heads, heads, config.intermediate_size)
    return Sizes(config.hidden_size, config.hidden_size // heads, {READER: stack})


def _bert_resized(sizes: Sizes) -> dict[str, Any]:
    stack = sizes.stacks[READER]
    return {
        "hidden_size": sizes.width,
        "num_hidden_layers": stack.layers,
        "num_attention_heads": stack.heads,
        "intermediate_size": stack.inner,
    }


def _bert() -> Family:
    attention: dict[str, Axes] = {}
    for name in ("query", "key", "value"):
        attention |= _linear(f"attention.self.{name}", HEADS, WIDE_READS)
    attention |= _linear("attention.output.dense", WIDE, HEADS_READ)
    return _bert_like(attention, "attention.output.dense", "attention.output.LayerNorm")


def _mpnet() -> Family:
    attention: dict[str, Axes] = {}
    for name in ("q", "k", "v"):
        attention |= _linear(f"attention.attn.{name}", HEADS, WIDE_READS)
    attention |= _linear("attention.attn.o", WIDE, HEADS_READ)
    return _bert_like(attention, "attention.attn.o", "attention.LayerNorm", one_head_map=True)


def _marian() -> Family:
    def attention(module: str) -> dict[str, Axes]:
        weights: dict[str, Axes] = _norm(f"{module}_layer_norm") | _linear(f"{module}.out_proj", WIDE, HEADS_READ)
        for name in ("q_proj", "k_proj", "v_proj"):
            weights |= _linear(f"{module}.{name}", HEADS, WIDE_READS)
        return weights

    def stack(prefix: str, *modules: str) -> Stack:
        weights: dict[str, Axes] = _linear("fc1", INNER, WIDE_READS) | _linear("fc2", WIDE, INNER_READS)
        weights |= _norm("final_layer_norm")
        for module in modules:
            weights |= attention(module)
        outputs = (*(f"{module}.out_proj" for module in modules), "fc2")
        norms = (*(f"{module}_layer_norm" for module in modules), "final_layer_norm")
        return Stack(prefix, weights, outputs, norms)

    others: dict[str, Axes] = {"final_logits_bias": (KEEP, KEEP)} | _table("shared") | _table("lm_head")
    for name in ("encoder", "decoder"):
        others |= _table(f"{name}.embed_tokens") | _table(f"{name}.embed_positions")
    return Family(
        {READER: stack("encoder.layers.", "self_attn"), DECODER: stack("decoder.layers.", "self_attn", "encoder_attn")},
        others,
        _marian_sizes,
        _marian_resized,
        last_norm="decoder.layers.{last}.final_layer_norm",
        scaled=True,
    )


def _marian_sizes(config: Any) -> Sizes:
    stacks = {
        READER: StackSizes(
            config.encoder_layers,
            config.encoder_attention_heads,
            config.encoder_attention_heads,
            config.encoder_ffn_dim,
        ),
        DECODER: StackSizes(
            config.decoder_layers,
            config.decoder_attention_heads,
            config.decoder_attention_heads,
            config.decoder_ffn_dim,
        ),
    }
    if stacks[READER].heads != stacks[DECODER].heads:
        raise BackboneError(
            "The Marian model has heads of different sizes in encoder and decoder, expected equal ones; it cannot grow."
        )
    return Sizes(config.d_model, config.d_model // config.encoder_attention_heads, stacks)


def _marian_resized(sizes: Sizes) -> dict[str, Any]:
    settings: dict[str, Any] = {"d_model": sizes.width}
    for side, name in (("encoder", READER), ("decoder", DECODER)):
        stack = sizes.stacks[name]
        settings |= {
            f"{side}_layers": stack.layers,
            f"{side}_attention_heads": stack.heads,
            f"{side}_ffn_dim": stack.inner,
        }
    return settings


def _t5() -> Family:
    def part(place: int, module: str) -> dict[str, Axes]:
        start = f"layer.{place}"
        weights: dict[str, Axes] = {f"{start}.layer_norm.weight": (WIDE,)}
        if module == "DenseReluDense":
            weights |= {f"{start}.{module}.{name}.weight": (INNER, WIDE_READS) for name in ("wi", "wi_0", "wi_1")}
            return weights | {f"{start}.{module}.wo.weight": (WIDE, INNER_READS)}
        weights |= {f"{start}.{module}.{name}.weight": (HEADS, WIDE_READS) for name in "qkv"}
        return weights | {
            f"{start}.{module}.o.weight": (WIDE, HEADS_READ),
            f"{start}.{module}.relative_attention_bias.weight": (KEEP, HEAD_NUMBERS),
        }

    def stack(prefix: str, *modules: str) -> Stack:
        weights = {name: axes for place, module in enumerate(modules) for name, axes in part(place, module).items()}
        outputs = tuple(
            f"layer.{place}.{module}.{'wo' if module == 'DenseReluDense' else 'o'}"
            for place, module in enumerate(modules)
        )
        return Stack(prefix, weights, outputs, first=("layer.0.SelfAttention.relative_attention_bias.weight",))

    others: dict[str, Axes] = _table("shared") | _table("lm_head")
    for name in ("encoder", "decoder"):
        others |= _table(f"{name}.embed_tokens") | {f"{name}.final_layer_norm.weight": (WIDE,)}
    return Family(
        {
            READER: stack("encoder.block.", "SelfAttention", "DenseReluDense"),
            DECODER: stack("decoder.block.", "SelfAttention", "EncDecAttention", "DenseReluDense"),
        },
        others,
        _t5_sizes,
        _t5_resized,
        one_head_map=True,
        last_norm="decoder.final_layer_norm",
    )


def _t5_sizes(config: Any) -> Sizes:
    sides = ((READER, config.num_layers), (DECODER, config.num_decoder_layers))
    stacks = {name: StackSizes(layers, config.num_heads, config.num_heads, config.d_ff) for name, layers in sides}
    return Sizes(config.d_model, config.d_kv, stacks, bound=False)


def _t5_resized(sizes: Sizes) -> dict[str, Any]:
    reader, decoder = sizes.stacks[READER], sizes.stacks[DECODER]
    return {
        "d_model": sizes.width,
        "num_layers": reader.layers,
        "num_decoder_layers": decoder.layers,
        "num_heads": reader.heads,
        "d_ff": reader.inner,
    }


def _gpt2() -> Family:
    layer: dict[str, Axes] = _norm("ln_1") | _norm("ln_2") | _transposed("attn.c_attn", FUSED, WIDE_READS)
    layer |= _transposed("attn.c_proj", WIDE, HEADS_READ)
    layer |= _transposed("mlp.c_fc", INNER, WIDE_READS) | _transposed("mlp.c_proj", WIDE, INNER_READS)
    stack = Stack("h.", layer, ("attn.c_proj", "mlp.c_proj"))
    others: dict[str, Axes] = _table("wte") | _table("wpe") | _norm("ln_f") | {"lm_head.weight": (KEEP, WIDE_READS)}
    return Family({READER: stack}, others, _gpt2_sizes, _gpt2_resized, untie=True)


def _gpt2_sizes(config: Any) -> Sizes:
    inner = config.n_inner or 4 * config.n_embd
    stack = StackSizes(config.n_layer, config.n_head, config.n_head, inner)
    return Sizes(config.n_embd, config.n_embd // config.n_head, {READER: stack})


def _gpt2_resized(sizes: Sizes) -> dict[str, Any]:
    stack = sizes.stacks[READER]
    return {"n_embd": sizes.width, "n_layer": stack.layers, "n_head": stack.heads, "n_inner": stack.inner}


def _llama() -> Family:
    layer: dict[str, Axes] = {"input_layernorm.weight": (WIDE,), "post_attention_layernorm.weight": (WIDE,)}
    for name, axis in (("q_proj", HEADS), ("k_proj", KEYS), ("v_proj", KEYS)):
        layer |= _linear(f"self_attn.{name}", axis, WIDE_READS)
    layer |= _linear("self_attn.o_proj", WIDE, HEADS_READ) | _linear("mlp.down_proj", WIDE, INNER_READS)
    for name in ("gate_proj", "up_proj"):
        layer |= _linear(f"mlp.{name}", INNER, WIDE_READS)
    stack = Stack("layers.", layer, ("self_attn.o_proj", "mlp.down_proj"))
    others: dict[str, Axes] = _table("embed_tokens") | {"norm.weight": (WIDE,), "lm_head.weight": (KEEP, WIDE_READS)}
    return Family({READER: stack}, others, _llama_sizes, _llama_resized, untie=True)


def _llama_sizes(config: Any) -> Sizes:
    heads, keys = config.num_attention_heads, config.num_key_value_heads
    head = getattr(config, "head_dim", None) or config.hidden_size // heads
    stack = StackSizes(config.num_hidden_layers, heads, keys, config.intermediate_size)
    return Sizes(config.hidden_size, head, {READER: stack}, bound=False, divided=True)


def _llama_resized(sizes: Sizes) -> dict[str, Any]:
    stack = sizes.stacks[READER]
    return _bert_resized(sizes) | {"num_key_value_heads": stack.keys, "head_dim": sizes.head}


FAMILIES: dict[str, Callable[[], Family]] = {
    "bert": _bert,
    "roberta": _bert,
    "xlm-roberta": _bert,
    "camembert": _bert,
    "mpnet": _mpnet,
    "marian": _marian,
    "t5": _t5,
    "mt5": _t5,
    "gpt2": _gpt2,
    "llama": _llama,
}


def family_of(model: nn.Module) -> Family:
    """How a model's weights are described.

    Raises:
        BackboneError: Models of its family cannot grow.
    """
    name = model.config.model_type
    if name not in FAMILIES:
        raise BackboneError(
            f"A model of family {name!r} cannot grow, expected one of {', '.join(FAMILIES)}; choose such a model, or "
            "do without growth."
        )
    return FAMILIES[name]()
