"""The low-rank additions of all tasks so far, summed."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from continual.backbone.frozen import Seen
from continual.errors import ConfigError
from continual.tuning.base import Tensors
from continual.tuning.composed.base import EARLIER, OWN, Extended, of_part

FIRST, SECOND = "_a", "_b"
"""Endings of the names of the two factors, [layers, inputs, rank] and [layers, rank, outputs]."""

_RANK_AXIS = {FIRST: -1, SECOND: -2}


class LowRankSum(Extended):
    """`x W + sum_t s x A_t B_t` over the tasks so far, of which the last is trained (O-LoRA, arXiv 2310.14152).

    A sum of products of rank r is one product whose factors stand side by side, so the base computes it as it is.

    Args:
        base: A `lora` tuning; its rank is that of one task.
    """

    name = "low_rank_sum"

    def __init__(self, base: Mapping[str, Any]) -> None:
        super().__init__(base)
        if self.base.name != "lora":
            raise ConfigError(
                f"O-LoRA trains low-rank additions, which tuning={self.base.name} is not; use tuning=lora."
            )

    def compose(self, tensors: Tensors, seen: Seen) -> Tensors:
        """See `Tuning.compose`."""
        return self.joined(tensors)

    def joined(self, tensors: Tensors) -> dict[str, Tensor]:
        """The factors of all tasks, earlier ones first."""
        own, earlier = of_part(OWN, tensors), of_part(EARLIER, tensors)
        if not earlier:
            return own
        return {name: torch.cat([earlier[name], value], _RANK_AXIS[name[-2:]]) for name, value in own.items()}

    def lent(self, tensors: Tensors) -> Tensors | None:
        """None: an addition means something only on top of those before it."""
        return None

    def overlap(self, tensors: Tensors) -> Tensor:
        """`sum |A_i^T A_t|` over the entries of all layers, linear layers and earlier tasks i, a scalar.

        O-LoRA's measure of how far the newest input directions are from orthogonal to the earlier ones.
        """
        own, earlier = of_part(OWN, tensors), of_part(EARLIER, tensors)
        total = torch.zeros(())
        for name, old in earlier.items():
            if name.endswith(FIRST):
                total = total + torch.einsum("lir,lis->lrs", old, own[name]).abs().sum()
        return total
