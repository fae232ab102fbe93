"""The task's own prompt in front of earlier ones that stay as they are."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from continual.backbone.frozen import Seen
from continual.tuning.base import Tensors
from continual.tuning.composed.base import EARLIER, OWN, TOKENS, Extended, of_part, part, require_prompt


class Chain(Extended):
    """`[P_k ; P_{k-1} ; ... ; P_1]`, newest first; only `P_k` is trained (Progressive Prompts, arXiv 2301.12314).

    Args:
        base: The tuning of each link: `input`, `late` or `deep`.
    """

    name = "chain"

    def __init__(self, base: Mapping[str, Any]) -> None:
        super().__init__(base)
        require_prompt(self.base, "A chain")

    def compose(self, tensors: Tensors, seen: Seen) -> Tensors:
        """See `Tuning.compose`."""
        return self.whole(tensors)

    def whole(self, tensors: Tensors) -> dict[str, Tensor]:
        """All links as one prompt of the base."""
        earlier = of_part(EARLIER, tensors)
        own = of_part(OWN, tensors)
        return {name: torch.cat([value, earlier[name]], TOKENS) if earlier else value for name, value in own.items()}


def chained(own: Tensors, earlier: Sequence[Tensors]) -> dict[str, Tensor]:
    """The tensors of a chain.

    Args:
        own: The task's own prompt, as tensors of the base.
        earlier: Earlier prompts likewise, newest first.
    """
    tensors = part(OWN, own)
    if earlier:
        tensors |= part(EARLIER, {name: torch.cat([link[name] for link in earlier], TOKENS) for name in own})
    return tensors
