"""Where the modules lie that a prompt may change, in the layers of each generative family."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from continual.backbone.change import LINEAR


@dataclass(frozen=True)
class Linear:
    """A linear layer, or the part of one that several share.

    Attributes:
        module: The module that computes it.
        in_features: Size of its input.
        out_features: Size of its own part of the output.
        start: Where that part begins.
    """

    module: nn.Module
    in_features: int
    out_features: int
    start: int = 0


@dataclass(frozen=True)
class Parts:
    """The modules of a layer; names as in `blocks.Block`.

    Where the feed-forward part is gated (T5 1.1, Llama), `up` is the half without an activation function. `norm1` and
    `norm2` belong to self-attention and to the feed-forward part, before (T5, mBART, GPT-2, Llama) or behind it.

    Attributes:
        attention: The self-attention.
    """

    attention: nn.Module
    query: Linear
    key: Linear
    value: Linear
    output: Linear
    up: Linear
    down: Linear
    norm1: nn.Module
    norm2: nn.Module

    def linear_modules(self) -> list[list[tuple[str, Linear]]]:
        """The names of the linear layers with what they stand for, those that share a module together."""
        groups: dict[int, list[tuple[str, Linear]]] = {}
        for name in LINEAR:
            linear = getattr(self, name)
            groups.setdefault(id(linear.module), []).append((name, linear))
        return list(groups.values())


def bart_parts(stack: nn.Module) -> list[Parts]:
    """Encoder or decoder of BART, mBART and Marian."""
    return [
        Parts(
            attention=layer.self_attn,
            query=_linear(layer.self_attn.q_proj),
            key=_linear(layer.self_attn.k_proj),
            value=_linear(layer.self_attn.v_proj),
            output=_linear(layer.self_attn.out_proj),
            up=_linear(layer.fc1),
            down=_linear(layer.fc2),
            norm1=layer.self_attn_layer_norm,
            norm2=layer.final_layer_norm,
        )
        for layer in stack.layers
    ]


def t5_parts(stack: nn.Module) -> list[Parts]:
    """Encoder or decoder of T5 and mT5."""
    return [_t5_layer(block.layer[0], block.layer[-1]) for block in stack.block]


def _t5_layer(first: nn.Module, last: nn.Module) -> Parts:
    attention, feed_forward = first.SelfAttention, last.DenseReluDense
    return Parts(
        attention=attention,
        query=_linear(attention.q),
        key=_linear(attention.k),
        value=_linear(attention.v),
        output=_linear(attention.o),
        up=_linear(feed_forward.wi_1 if hasattr(feed_forward, "wi_1") else feed_forward.wi),
        down=_linear(feed_forward.wo),
        norm1=first.layer_norm,
        norm2=last.layer_norm,
    )


def gpt2_parts(stack: nn.Module) -> list[Parts]:
    """GPT-2, where one module computes queries, keys and values."""
    return [_gpt2_layer(layer) for layer in stack.h]


def _gpt2_layer(layer: nn.Module) -> Parts:
    fused, width = layer.attn.c_attn, layer.attn.split_size
    query, key, value = (Linear(fused, width, width, start) for start in (0, width, 2 * width))
    return Parts(
        attention=layer.attn,
        query=query,
        key=key,
        value=value,
        output=_conv(layer.attn.c_proj),
        up=_conv(layer.mlp.c_fc),
        down=_conv(layer.mlp.c_proj),
        norm1=layer.ln_1,
        norm2=layer.ln_2,
    )


def llama_parts(stack: nn.Module) -> list[Parts]:
    """Llama and what is built like it, such as SmolLM2."""
    return [
        Parts(
            attention=layer.self_attn,
            query=_linear(layer.self_attn.q_proj),
            key=_linear(layer.self_attn.k_proj),
            value=_linear(layer.self_attn.v_proj),
            output=_linear(layer.self_attn.o_proj),
            up=_linear(layer.mlp.up_proj),
            down=_linear(layer.mlp.down_proj),
            norm1=layer.input_layernorm,
            norm2=layer.post_attention_layernorm,
        )
        for layer in stack.layers
    ]


def _linear(module: nn.Linear) -> Linear:
    return Linear(module, module.in_features, module.out_features)


def _conv(module: nn.Module) -> Linear:
    """`transformers`' Conv1D: a linear layer whose weight lies transposed."""
    inputs, outputs = module.weight.shape
    return Linear(module, inputs, outputs)


PARTS: dict[str, Callable[[nn.Module], list[Parts]]] = {
    "marian": bart_parts,
    "bart": bart_parts,
    "mbart": bart_parts,
    "t5": t5_parts,
    "mt5": t5_parts,
    "gpt2": gpt2_parts,
    "llama": llama_parts,
}
