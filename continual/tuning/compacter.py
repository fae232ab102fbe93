"""Adapters whose matrices are sums of Kronecker products with shared and rank-one factors."""

import math
from typing import Any

import torch
from torch import Tensor

from continual.backbone.change import Adapter, Change
from continual.backbone.encoder import Encoder
from continual.backbone.states import States
from continual.errors import BackboneError
from continual.limits import at_least
from continual.tuning.base import Tensors
from continual.tuning.layer_norm import LayerNorm
from continual.tuning.layered import LayerTuning, of_layer

_SLOW_SCALE = 1e-4
"""Standard deviation of fresh slow weights, as released: with it a fresh adapter changes next to nothing."""


class CompacterPlusPlus(LayerTuning):
    """An adapter after the feed-forward part of each layer, parameterised by hypercomplex products.

    Compacter++ (Karimi Mahabadi, Henderson and Ruder 2021, arXiv 2106.04647). An adapter is `x + up(gelu(down(x)))`,
    and each of its matrices is a sum of n Kronecker products, `W = sum_i A_i kron (s_i t_i^T)`: the n x n matrices A_i
    ("slow" weights) are one set for all layers, adapters and directions, the vectors s_i and t_i ("fast" weights) are
    each matrix's own. It stands between the part's output and the skip connection around it, as in the paper's T5.

    Initial values are those of the released code: A_i normal with deviation 1e-4, s_i and t_i Xavier-uniform with gain
    sqrt 2, biases zero, so that a fresh adapter adds next to nothing. It also trains all layer norms; here those of
    the changed layers, gains and biases (`layer_norms`).

    Args:
        reduction: Width of the backbone divided by that of the bottleneck; 8, 16 or 32 in the paper.
        phm_dim: The number n of Kronecker products; 4, 8 or 12 in the paper.
        layer: First layer with adapters (0-based); the layers below are computed once and kept.
        layer_norms: Train the layer norms of these layers too, as the released code does.
    """

    name = "compacter_pp"
    positions = ("adapter2",)
    """Where adapters stand, by the names in `Change`."""

    def __init__(self, reduction: int = 32, phm_dim: int = 4, layer: int = 0, layer_norms: bool = True) -> None:
        super().__init__(layer)
        at_least(1, reduction, "tuning.reduction")
        at_least(1, phm_dim, "tuning.phm_dim")
        self.reduction, self.phm_dim, self.layer_norms = reduction, phm_dim, layer_norms
        self._norms = LayerNorm(layer)

    def spec(self) -> dict[str, Any]:
        """See `Tuning.spec`."""
        return {
            "name": self.name,
            "reduction": self.reduction,
            "phm_dim": self.phm_dim,
            "layer": self.layer,
            "layer_norms": self.layer_norms,
        }

    def entry(self, encoder: Encoder) -> int:
        """See `Tuning.entry`.

        Raises:
            BackboneError: `phm_dim` does not divide the widths of backbone and bottleneck.
        """
        entry = super().entry(encoder)
        bottleneck = encoder.width // self.reduction
        if not bottleneck or encoder.width % self.phm_dim or bottleneck % self.phm_dim:
            raise BackboneError(
                f"tuning.phm_dim={self.phm_dim} must divide the width {encoder.width} of the backbone "
                f"{encoder.name!r} and that of the bottleneck, {encoder.width} // tuning.reduction={self.reduction} = "
                f"{bottleneck}; change one of them."
            )
        return entry

    def initial(self, encoder: Encoder, states: States | None, generator: torch.Generator) -> dict[str, Tensor]:
        """See `Tuning.initial`.

        `slow` is [n, n, n]; for the matrix from `inputs` to `outputs`, s is [layers, positions, n, inputs / n], t
        [layers, positions, n, outputs / n] and the bias [layers, positions, outputs].
        """
        layers = encoder.depth - self.entry(encoder)
        n, width, bottleneck = self.phm_dim, encoder.width, encoder.width // self.reduction
        tensors = {"slow": torch.randn(n, n, n, generator=generator) * _SLOW_SCALE}
        for direction, inputs, outputs in (("down", width, bottleneck), ("up", bottleneck, width)):
            for letter, size in (("s", inputs // n), ("t", outputs // n)):
                bound = math.sqrt(12 / (size + 1))  # gain sqrt 2, and a vector has 1 row or column
                drawn = torch.rand(layers, len(self.positions), n, size, generator=generator)
                tensors[f"{direction}_{letter}"] = (2 * drawn - 1) * bound
            tensors[f"{direction}_bias"] = torch.zeros(layers, len(self.positions), outputs)
        return tensors | (self._norms.initial(encoder, states, generator) if self.layer_norms else {})

    def change(self, encoder: Encoder, tensors: Tensors, place: int) -> Change:
        """See `LayerTuning.change`."""
        down, up = (self._matrices(tensors, direction, place) for direction in ("down", "up"))
        down_bias, up_bias = (of_layer(tensors[f"{direction}_bias"], place, axes=3) for direction in ("down", "up"))
        adapters = {
            position: Adapter(down[:, row], down_bias[:, row], up[:, row], up_bias[:, row])
            for row, position in enumerate(self.positions)
        }
        return Change(**adapters, **(self._norms.affines(encoder, tensors, place) if self.layer_norms else {}))

    def _matrices(self, tensors: Tensors, direction: str, place: int) -> Tensor:
        """The matrices of a layer in one direction, [prompts, positions, inputs, outputs]."""
        slow = tensors["slow"]
        fast = (of_layer(tensors[f"{direction}_{letter}"], place, axes=4) for letter in "st")
        return kronecker_sums(slow[None] if slow.dim() == 3 else slow, *fast)


class Compacter(CompacterPlusPlus):
    """Adapters as in `CompacterPlusPlus` after attention and after the feed-forward part of each layer.

    Compacter (Karimi Mahabadi, Henderson and Ruder 2021, arXiv 2106.04647).

    Args:
        reduction: Width of the backbone divided by that of the bottleneck; 8, 16 or 32 in the paper.
        phm_dim: The number n of Kronecker products; 4, 8 or 12 in the paper.
        layer: First layer with adapters (0-based); the layers below are computed once and kept.
        layer_norms: Train the layer norms of these layers too, as the released code does.
    """

    name = "compacter"
    positions = ("adapter1", "adapter2")


def kronecker_sums(slow: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Matrices `sum_i A_i kron (s_i t_i^T)`.

    Args:
        slow: The A_i, [prompts, n, n, n].
        rows: The s_i, [prompts, positions, n, inputs / n].
        columns: The t_i, [prompts, positions, n, outputs / n].

    Returns:
        [prompts, positions, inputs, outputs].
    """
    products = torch.einsum("ziab,zqik,zqip->zqakbp", slow, rows, columns)
    return products.flatten(4, 5).flatten(2, 3)
