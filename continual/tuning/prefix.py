"""A trained key/value prefix in the attention of every layer."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from continual.backbone.change import Change, Prefix
from continual.backbone.encoder import Encoder
from continual.backbone.states import States
from continual.limits import at_least
from continual.tuning.base import Tensors, pad_stack
from continual.tuning.layered import LayerTuning, of_layer


class DeepPrompt(LayerTuning):
    """Keys and values that every token may attend to, in each layer from `layer` on.

    Prefix-Tuning (Li and Liang 2021, arXiv 2101.00190) as used by P-Tuning v2 and PANDA: a free table without a
    re-parameterising network. Unlike soft tokens, a prefix adds no position to the costly linear layers.

    Args:
        length: Prefix positions in each layer.
        layer: First layer with a prefix (0-based); the layers below are computed once and kept.
        scale: Standard deviation of fresh entries.
    """

    name = "deep"

    def __init__(self, length: int = 16, layer: int = 0, scale: float = 0.5) -> None:
        at_least(1, length, "tuning.length")
        at_least(0, layer, "tuning.layer")
        super().__init__(layer)
        self.length, self.scale = length, scale

    def spec(self) -> dict[str, Any]:
        """See `Tuning.spec`."""
        return {"name": self.name, "length": self.length, "layer": self.layer, "scale": self.scale}

    def initial(self, encoder: Encoder, states: States | None, generator: torch.Generator) -> dict[str, Tensor]:
        """See `Tuning.initial`; the table is [layers, 2, length, width of the layers' keys] with keys first."""
        layers = encoder.depth - self.entry(encoder)
        shape = (layers, 2, self.length, encoder.body.blocks[self.layer].key.out_features)
        return {"prefix": torch.randn(shape, generator=generator) * self.scale}

    def change(self, encoder: Encoder, tensors: Tensors, place: int) -> Change:
        """See `LayerTuning.change`."""
        table = of_layer(tensors["prefix"], place, axes=4)
        return Change(prefix=Prefix(table[:, 0], table[:, 1], tensors.get("prefix_mask")))

    def stack(self, prompts: Sequence[Tensors]) -> dict[str, Tensor]:
        """See `Tuning.stack`; shorter prefixes are filled up and hidden from attention."""
        stacked, mask = pad_stack([tensors["prefix"] for tensors in prompts], axis=2)
        return {"prefix": stacked} if mask is None else {"prefix": stacked, "prefix_mask": mask}

    def tokens(self, tensors: Tensors) -> Tensor:
        """See `Tuning.tokens`; keys and values of all layers count as tokens."""
        return tensors["prefix"].flatten(0, 2)
