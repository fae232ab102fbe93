"""For each text the nearest prompts of a small pool that all tasks share."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from continual.backbone.encoder import Encoder
from continual.backbone.frozen import Seen
from continual.backbone.states import States
from continual.errors import ConfigError
from continual.tuning.base import Tensors
from continual.tuning.composed.base import OWN, TOKENS, Composed, of_part, part, require_prompt

KEYS = f"{OWN}/keys"


class Selection(Composed):
    """L2P's pool of prompts (Wang et al. 2022, arXiv 2112.08654).

    The query is the text's vector under the frozen model without prompts. The prompts of the `top` keys with the
    largest cosine are put one behind another. The pool is small, trained by every task and shared by all.

    Args:
        base: The tuning of each prompt; its length is that of one prompt of the pool.
        size: Prompts in the pool.
        top: How many of them a text gets.
    """

    name = "selection"
    per_text = True

    def __init__(self, base: Mapping[str, Any], size: int = 10, top: int = 5) -> None:
        super().__init__(base)
        require_prompt(self.base, "L2P")
        if not 1 <= top <= size:
            raise ConfigError(f"method.top is {top} and method.size {size}, expected 1 <= top <= size.")
        self.size, self.top = size, top

    def spec(self) -> dict[str, Any]:
        """See `Tuning.spec`."""
        return super().spec() | {"size": self.size, "top": self.top}

    def initial(self, encoder: Encoder, states: States | None, generator: torch.Generator) -> dict[str, Tensor]:
        """See `Tuning.initial`; the prompts are [size, ...] and the keys, uniform in [0, 1), [size, width]."""
        drawn = [self.base.initial(encoder, states, generator) for _ in range(self.size)]
        pool = {name: torch.stack([one[name] for one in drawn]) for name in drawn[0]}
        return part(OWN, pool) | {KEYS: torch.rand(self.size, encoder.width, generator=generator)}

    def compose(self, tensors: Tensors, seen: Seen) -> Tensors:
        """See `Tuning.compose`."""
        chosen = self.similarity(tensors, seen.embedding).topk(self.top, dim=1).indices
        pool = {name: value for name, value in of_part(OWN, tensors).items() if name != "keys"}
        return {name: _behind_each_other(value[chosen]) for name, value in pool.items()}

    def similarity(self, tensors: Tensors, queries: Tensor) -> Tensor:
        """Cosine of queries [batch, width] and keys, [batch, size]."""
        return F.normalize(queries, dim=1) @ F.normalize(tensors[KEYS], dim=1).T

    def pull(self, tensors: Tensors, queries: Tensor) -> Tensor:
        """Mean over texts of the summed cosines with the chosen keys: what L2P's surrogate loss raises, a scalar."""
        return self.similarity(tensors, queries).topk(self.top, dim=1).values.sum(1).mean()

    def lent(self, tensors: Tensors) -> Tensors | None:
        """None: no prompt of the pool stands for a task."""
        return None

    def tokens(self, tensors: Tensors) -> Tensor:
        """The tokens of all prompts of the pool, [tokens, width]."""
        pool = {name: value for name, value in of_part(OWN, tensors).items() if name != "keys"}
        each = [self.base.tokens({name: value[place] for name, value in pool.items()}) for place in range(self.size)]
        return torch.cat(each)


def _behind_each_other(chosen: Tensor) -> Tensor:
    """[batch, top, ..., tokens, width] to [batch, ..., top * tokens, width]."""
    return chosen.movedim(1, TOKENS - 1).flatten(TOKENS - 1, TOKENS)
