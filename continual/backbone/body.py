"""How the layers of a loaded model are run: step by step where the family is known, as one block where not."""

from collections.abc import Callable, Mapping
from typing import Protocol

import torch
from torch import Tensor, nn

from continual.backbone.blocks import FAMILIES, blocks_of
from continual.backbone.change import UNCHANGED, Change, Prefix
from continual.errors import BackboneError

ActivationObserver = Callable[[int, Tensor], None]
Perturbation = Callable[[Tensor], Tensor]
"""`states -> states`, both [batch, length, width]: what a layer is given in place of its input."""


class Body(Protocol):
    """The part of an encoder between token ids and last hidden states.

    Attributes:
        depth: How many layers can be run one by one.
        observer: Told each layer's number and feed-forward activations, where it is set and they are visible.
    """

    depth: int
    observer: ActivationObserver | None

    def embed(self, ids: Tensor, mask: Tensor, types: Tensor | None) -> Tensor:
        """States before the first layer, [batch, length, width], from token ids [batch, length]."""

    def run(
        self,
        hidden: Tensor,
        mask: Tensor,
        start: int,
        stop: int,
        soft: int = 0,
        changes: Mapping[int, Change] | None = None,
    ) -> Tensor:
        """Runs layers `start` to `stop` (exclusive).

        Args:
            hidden: States before layer `start`, [batch, length, width].
            mask: True where a position is real, [batch, length].
            start: First layer to run.
            stop: One past the last layer to run.
            soft: How many of the leading positions are soft tokens, which have no place in the text.
            changes: What a prompt changes, by the number of the layer.
        """


class BlockwiseBody:
    """Families whose block is known (`blocks.FAMILIES`): every layer can be entered and changed.

    Attributes:
        perturb: What every layer's input goes through before the layer sees it, where it is set.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.blocks = blocks_of(model) or []
        self.depth = len(self.blocks)
        self.observer: ActivationObserver | None = None
        self.perturb: Perturbation | None = None

    def embed(self, ids: Tensor, mask: Tensor, types: Tensor | None) -> Tensor:
        """See `Body.embed`."""
        extra = {} if types is None else {"token_type_ids": types}
        hidden = self.model.embeddings(input_ids=ids, **extra)
        project = getattr(self.model, "embeddings_project", None)  # ELECTRA: narrow embeddings
        return hidden if project is None else project(hidden)

    def run(
        self,
        hidden: Tensor,
        mask: Tensor,
        start: int,
        stop: int,
        soft: int = 0,
        changes: Mapping[int, Change] | None = None,
    ) -> Tensor:
        """See `Body.run`."""
        positions = self._position_bias(hidden, soft)
        plain = _combine(positions, _mask_bias(mask, hidden.dtype), 0)
        for number in range(start, stop):
            block = self.blocks[number]
            change = UNCHANGED if changes is None else changes.get(number, UNCHANGED)
            bias = plain if change.prefix is None else self._with_prefix(positions, mask, change.prefix)
            if self.perturb is not None:
                hidden = self.perturb(hidden)
            hidden = block.attend(hidden, bias, change)
            activations = block.expand(hidden, change)
            if self.observer is not None:
                self.observer(number, activations)
            hidden = block.contract(hidden, activations, change)
        return hidden

    def _position_bias(self, hidden: Tensor, soft: int) -> Tensor | None:
        """MPNet's relative position bias, [1, heads, length, length]; zero from and to soft tokens."""
        if self.model.config.model_type != "mpnet":
            return None
        text = self.model.encoder.compute_position_bias(hidden[:1, soft:])
        return nn.functional.pad(text, (soft, 0, soft, 0))

    def _with_prefix(self, positions: Tensor | None, mask: Tensor, prefix: Prefix) -> Tensor | None:
        batch, length = mask.shape[0], prefix.keys.shape[1]
        real = mask.new_ones(batch, length) if prefix.real is None else prefix.real.expand(batch, -1)
        return _combine(positions, _mask_bias(torch.cat([real, mask], dim=1), prefix.keys.dtype), length)


class WholeModelBody:
    """Any other encoder, run as one block: soft tokens can be put at the input and nowhere else."""

    depth = 1

    def __init__(self, model: nn.Module) -> None:
        narrow, width = model.get_input_embeddings().embedding_dim, model.config.hidden_size
        if narrow != width:
            raise BackboneError(
                f"The backbone family {model.config.model_type!r} is run as a whole, so its word embeddings must be as "
                f"wide as its states, but they are {narrow} and {width} wide; use another backbone."
            )
        self.model = model
        self.observer: ActivationObserver | None = None

    def embed(self, ids: Tensor, mask: Tensor, types: Tensor | None) -> Tensor:
        """See `Body.embed`; these are the bare word embeddings, since the model adds positions itself.

        It also adds segment 0 to every position, so that a second text's tokens carry the difference of the segments.
        """
        hidden = self.model.get_input_embeddings()(ids)
        segments = getattr(getattr(self.model, "embeddings", None), "token_type_embeddings", None)
        if types is None or segments is None:
            return hidden
        return hidden + segments(types) - segments(torch.zeros_like(types))

    def run(
        self,
        hidden: Tensor,
        mask: Tensor,
        start: int,
        stop: int,
        soft: int = 0,
        changes: Mapping[int, Change] | None = None,
    ) -> Tensor:
        """See `Body.run`.

        Raises:
            BackboneError: Changes of layers were asked for.
        """
        if changes is not None:
            family = self.model.config.model_type
            raise BackboneError(
                f"The backbone family {family!r} is run as a whole, so only prompts at the input are possible; "
                f"use tuning=input or a backbone of one of the families {', '.join(FAMILIES)}."
            )
        if stop <= start:
            return hidden
        return self.model(inputs_embeds=hidden, attention_mask=mask.long()).last_hidden_state


def _mask_bias(mask: Tensor, dtype: torch.dtype) -> Tensor | None:
    """Additive bias [batch, 1, 1, length] that hides padding, or None when there is none (the fast path)."""
    if bool(mask.all()):
        return None
    bias = torch.zeros(mask.shape, dtype=dtype, device=mask.device)
    return bias.masked_fill(~mask, torch.finfo(dtype).min)[:, None, None, :]


def _combine(positions: Tensor | None, hidden_keys: Tensor | None, prefix: int) -> Tensor | None:
    """Sum of the position bias, widened by `prefix` unbiased keys, and the padding bias."""
    if positions is None:
        return hidden_keys
    if prefix:
        positions = nn.functional.pad(positions, (prefix, 0))
    return positions if hidden_keys is None else positions + hidden_keys
