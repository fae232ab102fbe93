"""Low-rank additions to frozen linear layers."""

import math
from typing import Any

import torch
from torch import Tensor

from continual.backbone.change import LINEAR, Change, LowRank
from continual.backbone.encoder import Encoder
from continual.backbone.states import States
from continual.errors import ConfigError
from continual.limits import above, at_least
from continual.tuning.base import Tensors
from continual.tuning.layered import LayerTuning, of_layer


class Lora(LayerTuning):
    """A product of two thin matrices beside each chosen linear layer: `x W + (alpha / rank) x A B`.

    LoRA (Hu et al. 2021, arXiv 2106.09685). B starts at zero, so that at the start nothing is changed. The paper draws
    A from a Gaussian that it does not describe; as its released code does, we draw uniformly from +-1 / sqrt(inputs).
    The addition stays apart from the frozen weights, since one batch may carry many of them.

    Args:
        rank: Columns of A and rows of B.
        alpha: The addition is scaled by `alpha / rank`, so that the rank can change without the learning rate.
        layer: First layer with additions (0-based); the layers below are computed once and kept.
        targets: Which linear layers of a block: some of query, key, value, output, up, down.
    """

    name = "lora"

    def __init__(
        self, rank: int = 8, alpha: float = 8.0, layer: int = 0, targets: tuple[str, ...] | str = ("query", "value")
    ) -> None:
        super().__init__(layer)
        at_least(1, rank, "tuning.rank")
        above(0, alpha, "tuning.alpha")
        chosen = [targets] if isinstance(targets, str) else list(targets)
        if not chosen or any(name not in LINEAR or chosen.count(name) > 1 for name in chosen):
            raise ConfigError(f"tuning.targets is {chosen}, expected different ones of {', '.join(LINEAR)}.")
        self.rank, self.alpha, self.targets = rank, float(alpha), chosen

    def spec(self) -> dict[str, Any]:
        """See `Tuning.spec`."""
        return {
            "name": self.name,
            "rank": self.rank,
            "alpha": self.alpha,
            "layer": self.layer,
            "targets": list(self.targets),
        }

    def initial(self, encoder: Encoder, states: States | None, generator: torch.Generator) -> dict[str, Tensor]:
        """See `Tuning.initial`; for each target A, [layers, inputs, rank], and B, [layers, rank, outputs]."""
        layers = encoder.depth - self.entry(encoder)
        block = encoder.body.blocks[self.layer]
        tensors = {}
        for target in self.targets:
            linear = getattr(block, target)
            drawn = torch.rand(layers, linear.in_features, self.rank, generator=generator)
            tensors[f"{target}_a"] = (2 * drawn - 1) / math.sqrt(linear.in_features)
            tensors[f"{target}_b"] = torch.zeros(layers, self.rank, linear.out_features)
        return tensors

    def change(self, encoder: Encoder, tensors: Tensors, place: int) -> Change:
        """See `LayerTuning.change`."""
        return Change(low_rank={target: self._pair(tensors, target, place) for target in self.targets})

    def _pair(self, tensors: Tensors, target: str, place: int) -> LowRank:
        first, second = (of_layer(tensors[f"{target}_{half}"], place, axes=3) for half in "ab")
        return LowRank(first, second * (self.alpha / self.rank))
