"""A trained key/value prefix in the attention of every layer."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from continual.backbone.blocks import FAMILIES
from continual.backbone.encoder import Encoder
from continual.backbone.states import States
from continual.errors import BackboneError, ConfigError
from continual.tuning.base import Tensors, Tuning, pad_stack


class DeepPrompt(Tuning):
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
        if length < 1 or layer < 0:
            raise ConfigError(
                f"tuning.length is {length} and tuning.layer {layer}, expected at least 1 and 0; change them."
            )
        self.length, self.layer, self.scale = length, layer, scale

    def spec(self) -> dict[str, Any]:
        """See `Tuning.spec`."""
        return {"name": self.name, "length": self.length, "layer": self.layer, "scale": self.scale}

    def entry(self, encoder: Encoder) -> int:
        """See `Tuning.entry`."""
        if encoder.family not in FAMILIES:
            raise BackboneError(
                f"A deep prompt needs a backbone of one of the families {', '.join(FAMILIES)}, but "
                f"{encoder.name!r} is of family {encoder.family!r}; use tuning=input."
            )
        if self.layer >= encoder.depth:
            raise BackboneError(
                f"tuning.layer is {self.layer}, but the backbone {encoder.name!r} has layers 0 to "
                f"{encoder.depth - 1}; choose one of them."
            )
        return self.layer

    def initial(self, encoder: Encoder, states: States | None, generator: torch.Generator) -> dict[str, Tensor]:
        """See `Tuning.initial`; the table is [layers, 2, length, width] with keys first."""
        layers = encoder.depth - self.entry(encoder)
        shape = (layers, 2, self.length, encoder.width)
        return {"prefix": torch.randn(shape, generator=generator) * self.scale}

    def layers(self, encoder: Encoder, hidden: Tensor, mask: Tensor, tensors: Tensors) -> Iterator[Tensor]:
        """See `Tuning.layers`."""
        prefix, real = tensors["prefix"], tensors.get("prefix_mask")
        if prefix.dim() == 4:
            prefix = prefix[None]
        for place, layer in enumerate(range(self.layer, encoder.depth)):
            prefixes = {layer: (prefix[:, place, 0], prefix[:, place, 1])}
            hidden = encoder.run(hidden, mask, layer, layer + 1, prefixes=prefixes, prefix_mask=real)
            yield hidden

    def stack(self, prompts: Sequence[Tensors]) -> dict[str, Tensor]:
        """See `Tuning.stack`; shorter prefixes are filled up and hidden from attention."""
        stacked, mask = pad_stack([tensors["prefix"] for tensors in prompts], axis=2)
        return {"prefix": stacked} if mask is None else {"prefix": stacked, "prefix_mask": mask}

    def tokens(self, tensors: Tensors) -> Tensor:
        """See `Tuning.tokens`; keys and values of all layers count as tokens."""
        return tensors["prefix"].flatten(0, 2)
