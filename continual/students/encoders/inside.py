"""What an encoder computes on the way, with gradients: states after every layer, attention scores, queries and keys.

Scores are a function of the state that enters a layer, so they are computed from it again for the layers that are
compared, and nothing has to be hooked into the pass.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from continual.backbone.blocks import FAMILIES
from continual.backbone.encoder import Encoder
from continual.backbone.texts import EncodedTexts
from continual.distillation.online import Relations
from continual.errors import BackboneError


@dataclass(frozen=True)
class Inside:
    """One pass of an encoder over some texts.

    Attributes:
        encoder: Whose pass it is.
        states: Before the first layer and after each, each [texts, tokens, width].
        mask: True where a token is real, [texts, tokens].
    """

    encoder: Encoder
    states: list[Tensor]
    mask: Tensor

    @property
    def vectors(self) -> Tensor:
        """One vector for each text, [texts, width], as the backbone makes it."""
        return self.encoder.pool(self.states[-1], self.mask)

    def relations(self, layer: int) -> Relations:
        """Queries and keys of a layer (from 0), each [texts, tokens, width]."""
        block = self.encoder.body.blocks[layer]
        return Relations(block.query(self.states[layer]), block.key(self.states[layer]))

    def scores(self, layer: int) -> Tensor:
        """`Q K^T / sqrt(d)` of a layer (from 0) without mask and position bias, [texts, heads, tokens, tokens]."""
        heads = self.encoder.body.blocks[layer].num_heads
        split = self.relations(layer)
        texts, tokens, width = split.query.shape
        query, key = (it.view(texts, tokens, heads, -1).transpose(1, 2) for it in (split.query, split.key))
        return query @ key.transpose(2, 3) / (width // heads) ** 0.5


def look(encoder: Encoder, texts: EncodedTexts, rows: Tensor) -> Inside:
    """Runs an encoder over some texts, on the device where it is.

    Args:
        encoder: Its layers must be run one by one, see `require_layers`.
        texts: All texts.
        rows: Which of them.
    """
    device = next(encoder.model.parameters()).device
    batch = texts.batch(rows, encoder.pad_token)
    ids, mask, types = (None if it is None else it.to(device) for it in batch)
    states = [encoder.embed(ids, mask, types)]
    for layer in range(encoder.depth):
        states.append(encoder.run(states[-1], mask, layer, layer + 1))
    return Inside(encoder, states, mask)


@torch.no_grad()
def look_only(encoder: Encoder, texts: EncodedTexts, rows: Tensor) -> Inside:
    """`look` at a model that does not learn."""
    return look(encoder, texts, rows)


def require_layers(encoder: Encoder) -> None:
    """Refuses an encoder whose layers cannot be seen.

    Raises:
        BackboneError: It is no encoder, or of a family that is run as a whole.
    """
    if type(encoder) is not Encoder or not encoder.stepwise:
        raise BackboneError(
            f"The backbone {encoder.name!r} is of family {encoder.family!r}, expected an encoder whose layers can be "
            f"seen; choose one of the families {', '.join(FAMILIES)}."
        )
