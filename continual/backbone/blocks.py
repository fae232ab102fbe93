"""One view of the transformer block of several encoder families.

A prompt that works inside the network (soft tokens at layer k, or any `Change` of a layer) needs access that the
Hugging Face modules do not give alike. All post-norm encoders compute the same block, so it is written once here over
the *modules of the loaded model* (weights are shared, not copied); a test checks for each family that the result
equals the model's own forward.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from continual.backbone.change import UNCHANGED, Affine, Change
from continual.errors import BackboneError


@dataclass(frozen=True)
class Block:
    """A post-norm transformer block: `x = norm1(x + attention(x)); x = norm2(x + feed_forward(x))`."""

    query: nn.Linear
    key: nn.Linear
    value: nn.Linear
    output: nn.Linear
    norm1: nn.LayerNorm
    up: nn.Linear
    activation: Callable[[Tensor], Tensor]
    down: nn.Linear
    norm2: nn.LayerNorm
    num_heads: int

    def attend(self, hidden: Tensor, bias: Tensor | None, change: Change = UNCHANGED) -> Tensor:
        """The attention half of the block.

        Args:
            hidden: States, [batch, length, width].
            bias: Additive attention bias, broadcastable to [batch, heads, length, prefix + length], or None.
            change: What a prompt changes in this layer.

        Returns:
            States after the first layer norm, [batch, length, width].
        """
        query, key, value = (self._linear(name, hidden, change) for name in ("query", "key", "value"))
        if change.prefix is not None:
            batch = hidden.shape[0]
            key = torch.cat([change.prefix.keys.expand(batch, -1, -1), key], dim=1)
            value = torch.cat([change.prefix.values.expand(batch, -1, -1), value], dim=1)
        mixed = F.scaled_dot_product_attention(self._heads(query), self._heads(key), self._heads(value), attn_mask=bias)
        attended = self._linear("output", mixed.transpose(1, 2).reshape(hidden.shape), change)
        if change.adapter1 is not None:
            attended = change.adapter1(attended)
        return _normed(self.norm1, hidden + attended, change.norm1)

    def expand(self, hidden: Tensor, change: Change = UNCHANGED) -> Tensor:
        """The activations of the feed-forward units, [batch, length, inner width]."""
        return self.activation(self._linear("up", hidden, change))

    def contract(self, hidden: Tensor, activations: Tensor, change: Change = UNCHANGED) -> Tensor:
        """The end of the block from its middle: states after the second layer norm, [batch, length, width]."""
        fed = self._linear("down", activations, change)
        if change.adapter2 is not None:
            fed = change.adapter2(fed)
        return _normed(self.norm2, hidden + fed, change.norm2)

    def __call__(self, hidden: Tensor, bias: Tensor | None = None, change: Change = UNCHANGED) -> Tensor:
        """The whole block; arguments as for `attend`."""
        hidden = self.attend(hidden, bias, change)
        return self.contract(hidden, self.expand(hidden, change), change)

    def _linear(self, name: str, states: Tensor, change: Change) -> Tensor:
        """What one of the block's linear layers makes of its input, with what the change adds to it."""
        result = getattr(self, name)(states)
        added = change.low_rank.get(name)
        return result if added is None else result + added(states)

    def _heads(self, states: Tensor) -> Tensor:
        batch, length, width = states.shape
        return states.view(batch, length, self.num_heads, width // self.num_heads).transpose(1, 2)


def _normed(norm: nn.LayerNorm, hidden: Tensor, affine: Affine | None) -> Tensor:
    return norm(hidden) if affine is None else affine(norm, hidden)


def blocks_of(model: nn.Module) -> list[Block] | None:
    """The blocks of a loaded encoder, or None when its family is not one of `FAMILIES`."""
    family = FAMILIES.get(model.config.model_type)
    return None if family is None else family(model)


def layers_of(model: nn.Module) -> nn.ModuleList | None:
    """The layers of a loaded encoder as its makers wrote them, or None when its family is not one of `FAMILIES`."""
    kind = model.config.model_type
    if kind not in FAMILIES:
        return None
    return model.transformer.layer if kind == "distilbert" else model.encoder.layer


def _bert_blocks(model: nn.Module) -> list[Block]:
    if model.config.is_decoder:
        raise BackboneError("The model is configured as a decoder; load it as an encoder (is_decoder=False).")
    return [
        Block(
            query=layer.attention.self.query,
            key=layer.attention.self.key,
            value=layer.attention.self.value,
            output=layer.attention.output.dense,
            norm1=layer.attention.output.LayerNorm,
            up=layer.intermediate.dense,
            activation=layer.intermediate.intermediate_act_fn,
            down=layer.output.dense,
            norm2=layer.output.LayerNorm,
            num_heads=model.config.num_attention_heads,
        )
        for layer in layers_of(model) or []
    ]


def _mpnet_blocks(model: nn.Module) -> list[Block]:
    return [
        Block(
            query=layer.attention.attn.q,
            key=layer.attention.attn.k,
            value=layer.attention.attn.v,
            output=layer.attention.attn.o,
            norm1=layer.attention.LayerNorm,
            up=layer.intermediate.dense,
            activation=layer.intermediate.intermediate_act_fn,
            down=layer.output.dense,
            norm2=layer.output.LayerNorm,
            num_heads=model.config.num_attention_heads,
        )
        for layer in layers_of(model) or []
    ]


def _distilbert_blocks(model: nn.Module) -> list[Block]:
    return [
        Block(
            query=layer.attention.q_lin,
            key=layer.attention.k_lin,
            value=layer.attention.v_lin,
            output=layer.attention.out_lin,
            norm1=layer.sa_layer_norm,
            up=layer.ffn.lin1,
            activation=layer.ffn.activation,
            down=layer.ffn.lin2,
            norm2=layer.output_layer_norm,
            num_heads=model.config.n_heads,
        )
        for layer in layers_of(model) or []
    ]


FAMILIES: dict[str, Callable[[nn.Module], list[Block]]] = {
    "bert": _bert_blocks,
    "roberta": _bert_blocks,
    "xlm-roberta": _bert_blocks,
    "camembert": _bert_blocks,
    "electra": _bert_blocks,
    "mpnet": _mpnet_blocks,
    "distilbert": _distilbert_blocks,
}
