"""The layers of generative families that read a text, entered and left wherever a prompt wants.

Layers are run by the model's own modules, so only what a family does between its embeddings and its layers stands here:
positions, masks and the last norm. A test compares each with the model's own forward pass.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from continual.backbone.body import ActivationObserver, Perturbation
from continual.backbone.change import Change
from continual.backbone.injection import acting, install
from continual.backbone.parts import PARTS

READER = "reader"
"""The stack of layers that reads the source, for `injection.acting`."""


class Reader(ABC):
    """A `Body` over the encoder of an encoder-decoder, or over all layers of a causal model.

    Args:
        model: The whole Hugging Face model.

    Attributes:
        stack: The part of it that reads.
        layers: Its layers.
        blocks: What may be changed in each.
        depth: Number of layers.
        observer: Told each layer's number and feed-forward activations, where it is set.
        perturb: What every layer's input goes through before the layer sees it, where it is set.
    """

    layers_name: ClassVar[str] = "layers"
    final_norm: ClassVar[str | None] = None
    """The norm behind the last layer."""

    def __init__(self, model: nn.Module) -> None:
        self.stack = self._stack(model)
        self.layers = getattr(self.stack, self.layers_name)
        self.blocks = PARTS[model.config.model_type](self.stack)
        self.depth = len(self.layers)
        self.observer: ActivationObserver | None = None
        self.perturb: Perturbation | None = None
        install(model, READER, self.blocks)

    @abstractmethod
    def embed(self, ids: Tensor, mask: Tensor, types: Tensor | None = None) -> Tensor:
        """See `Body.embed`."""

    def run(
        self,
        hidden: Tensor,
        mask: Tensor,
        start: int,
        stop: int,
        soft: int = 0,
        changes: Mapping[int, Change] | None = None,
    ) -> Tensor:
        """See `Body.run`; the norm behind the last layer belongs to that layer."""
        arguments = self._arguments(hidden, mask, soft)
        with acting(READER, changes or {}, self.observer):
            for layer in self.layers[start:stop]:
                if self.perturb is not None:
                    hidden = self.perturb(hidden)
                hidden = layer(hidden, **arguments)
                hidden = hidden[0] if isinstance(hidden, tuple) else hidden
        if self.final_norm is not None and start < stop == self.depth:
            hidden = self._last(getattr(self.stack, self.final_norm)(hidden))
        return hidden

    def _last(self, hidden: Tensor) -> Tensor:
        """What becomes of the states behind the last norm."""
        return hidden

    def _stack(self, model: nn.Module) -> nn.Module:
        return model.get_encoder()

    def _arguments(self, hidden: Tensor, mask: Tensor, soft: int) -> dict[str, Any]:
        """What a layer is given beside its input; arguments as for `run`."""
        return {
            "attention_mask": None if bool(mask.all()) else mask[:, None, None, :].expand(-1, -1, mask.shape[1], -1)
        }


class MarianReader(Reader):
    """Marian's encoder."""

    def embed(self, ids: Tensor, mask: Tensor, types: Tensor | None = None) -> Tensor:
        """See `Body.embed`."""
        stack = self.stack
        return _dropped(stack, stack.embed_tokens(ids) * stack.embed_scale + stack.embed_positions(ids.shape))


class BartReader(Reader):
    """BART's encoder."""

    def embed(self, ids: Tensor, mask: Tensor, types: Tensor | None = None) -> Tensor:
        """See `Body.embed`."""
        stack = self.stack
        return _dropped(stack, stack.layernorm_embedding(stack.embed_tokens(ids) + stack.embed_positions(ids)))


class MBartReader(BartReader):
    """mBART's encoder: BART's with norms before the parts of a layer, and one behind the last."""

    final_norm = "layer_norm"


class T5Reader(Reader):
    """T5's encoder. From and to soft tokens the relative position bias is zero."""

    layers_name = "block"
    final_norm = "final_layer_norm"

    def embed(self, ids: Tensor, mask: Tensor, types: Tensor | None = None) -> Tensor:
        """See `Body.embed`."""
        return self.stack.dropout(self.stack.embed_tokens(ids))

    def _last(self, hidden: Tensor) -> Tensor:
        return self.stack.dropout(hidden)

    def _arguments(self, hidden: Tensor, mask: Tensor, soft: int) -> dict[str, Any]:
        length = hidden.shape[1] - soft
        text = self.layers[0].layer[0].SelfAttention.compute_bias(length, length, device=hidden.device)
        bias = nn.functional.pad(text, (soft, 0, soft, 0))
        return {**super()._arguments(hidden, mask, soft), "position_bias": bias}


class CausalReader(Reader):
    """The layers of a causal model."""

    @abstractmethod
    def words(self, ids: Tensor) -> Tensor:
        """The embeddings of tokens without positions, [batch, length, width], as the model takes them."""

    def placed(self, states: Tensor, positions: Tensor) -> Tensor:
        """What the model must be given at `positions` so that its first layer sees `states`; both [batch, length]."""
        return states

    def positions(self, mask: Tensor, soft: Tensor | int = 0) -> Tensor:
        """Positions [batch, length] that count from 0 at the text's first token, from -m at the first soft token.

        Args:
            mask: True where a position is real, [batch, length], on whichever side the padding is.
            soft: How many of the real positions of each row are soft tokens, m: a number, or [batch, 1].
        """
        return mask.long().cumsum(1) - 1 - soft

    def _stack(self, model: nn.Module) -> nn.Module:
        return model.base_model

    def _arguments(self, hidden: Tensor, mask: Tensor, soft: int) -> dict[str, Any]:
        if bool(mask.all()):
            return {"attention_mask": None}  # attention is causal by itself
        earlier = mask.new_ones(mask.shape[1], mask.shape[1]).tril()
        itself = torch.eye(mask.shape[1], dtype=torch.bool, device=mask.device)
        # Padding in front of a text would otherwise see nothing, and the softmax over nothing is no number.
        return {"attention_mask": (earlier & mask[:, None, None, :]) | itself}


class Gpt2Reader(CausalReader):
    """GPT-2; soft tokens have no position."""

    layers_name = "h"
    final_norm = "ln_f"

    def embed(self, ids: Tensor, mask: Tensor, types: Tensor | None = None) -> Tensor:
        """See `Body.embed`."""
        return self.stack.drop(self.words(ids) + self.stack.wpe(self.positions(mask)))

    def words(self, ids: Tensor) -> Tensor:
        """See `CausalReader.words`."""
        return self.stack.wte(ids)

    def placed(self, states: Tensor, positions: Tensor) -> Tensor:
        """See `CausalReader.placed`: the model will add its position embeddings, so they are taken away first."""
        return states - self.stack.wpe(positions)

    def positions(self, mask: Tensor, soft: Tensor | int = 0) -> Tensor:
        """See `CausalReader.positions`; 0 for what is before the text, where no embedding is."""
        return super().positions(mask, soft).clamp(min=0)


class LlamaReader(CausalReader):
    """Llama and its kin. Rotary positions are relative, so those of soft tokens may be negative."""

    final_norm = "norm"

    def embed(self, ids: Tensor, mask: Tensor, types: Tensor | None = None) -> Tensor:
        """See `Body.embed`."""
        return self.words(ids)

    def words(self, ids: Tensor) -> Tensor:
        """See `CausalReader.words`."""
        return self.stack.embed_tokens(ids)

    def _arguments(self, hidden: Tensor, mask: Tensor, soft: int) -> dict[str, Any]:
        positions = self.positions(mask, mask[:, :soft].sum(1, keepdim=True))
        rotary = self.stack.rotary_emb(hidden, position_ids=positions)
        return {**super()._arguments(hidden, mask, soft), "position_embeddings": rotary}


def _dropped(stack: nn.Module, states: Tensor) -> Tensor:
    """Embeddings as the model itself trains on them; a frozen model, which is in evaluation mode, drops nothing."""
    return nn.functional.dropout(states, stack.dropout, stack.training)


SEQ2SEQ_READERS: dict[str, type[Reader]] = {
    "marian": MarianReader,
    "t5": T5Reader,
    "mt5": T5Reader,
    "bart": BartReader,
    "mbart": MBartReader,
}
CAUSAL_READERS: dict[str, type[CausalReader]] = {"gpt2": Gpt2Reader, "llama": LlamaReader}
