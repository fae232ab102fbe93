"""For each text a mixture of source prompts."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from continual.backbone.frozen import Seen
from continual.limits import above, at_least
from continual.tuning.base import Tensors
from continual.tuning.composed.base import OWN, Composed, of_part, part, require_prompt

SOURCES, NETWORK = "sources", "network"
_FIXED = (f"{SOURCES}/", f"{NETWORK}/gain", f"{NETWORK}/shift")


class Attention(Composed):
    """ATTEMPT's mixture of prompts (Asai et al. 2022, arXiv 2205.11961).

    With `x` the largest value of each coordinate over a text's tokens, and `p_j` likewise over the tokens of prompt j:

        a = softmax_j( <p_j, LayerNorm(W_up SiLU(W_down x))> / T )
        P = P_own + sum_j a_j P_j        over the sources and the own prompt

    `W_down`, `W_up` and the own prompt are trained; sources and layer norm are not. The released code takes `x` from
    the word embeddings of T5's input, padding included; here it is taken from the states of the text's own tokens at
    the layer that the prompt enters, which are the word embeddings for `tuning=input`.

    Args:
        base: The tuning of every prompt: `input`, `late` or `deep`.
        bottleneck: Units of the attention network.
        temperature: T; width times e where it is None, as in the released configurations.
        attention_pace: Learning rate of the network over that of the prompt.
    """

    name = "attention"
    per_text = True

    def __init__(
        self,
        base: Mapping[str, Any],
        bottleneck: int = 100,
        temperature: float | None = None,
        attention_pace: float = 1.0,
    ) -> None:
        super().__init__(base)
        require_prompt(self.base, "Attention over prompts")
        at_least(1, bottleneck, "method.bottleneck")
        at_least(0, attention_pace, "method.attention_pace")
        if temperature is not None:
            above(0, temperature, "method.temperature")
        self.bottleneck, self.temperature, self.attention_pace = bottleneck, temperature, attention_pace

    def spec(self) -> dict[str, Any]:
        """See `Tuning.spec`."""
        return super().spec() | {
            "bottleneck": self.bottleneck,
            "temperature": self.temperature,
            "attention_pace": self.attention_pace,
        }

    def fixed(self, name: str) -> bool:
        """See `Tuning.fixed`."""
        return name.startswith(_FIXED)

    def pace(self, name: str) -> float:
        """See `Tuning.pace`."""
        return self.attention_pace if name.startswith(f"{NETWORK}/") else super().pace(name)

    def network(self, width: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Fresh weights of the attention network, as `nn.Linear` draws them."""
        shapes = {"down": (self.bottleneck, width), "up": (width, self.bottleneck)}
        drawn = {
            name: (2 * torch.rand(shape, generator=generator) - 1) / math.sqrt(shape[1])
            for name, shape in shapes.items()
        }
        return part(NETWORK, drawn | {"gain": torch.ones(width), "shift": torch.zeros(width)})

    def compose(self, tensors: Tensors, seen: Seen) -> Tensors:
        """See `Tuning.compose`."""
        own, sources = of_part(OWN, tensors), of_part(SOURCES, tensors)
        if not sources:  # all attention is on the own prompt
            return {name: (2 * value).expand(len(seen.mask), *value.shape) for name, value in own.items()}
        weights = self.weights(tensors, seen)
        mixed = {}
        for name, value in own.items():
            candidates = torch.cat([sources[name], value[None]])
            mixed[name] = value + torch.tensordot(weights, candidates, dims=1)
        return mixed

    def weights(self, tensors: Tensors, seen: Seen) -> Tensor:
        """How much of each source, and last of the own prompt, goes into each text's prompt, [batch, sources + 1]."""
        own, sources, net = (of_part(name, tensors) for name in (OWN, SOURCES, NETWORK))
        count = len(next(iter(sources.values())))
        prompts = [{name: value[place] for name, value in sources.items()} for place in range(count)]
        keys = torch.stack([self.base.tokens(prompt).amax(0) for prompt in [*prompts, own]])
        query = F.silu(text_maximum(seen) @ net["down"].T) @ net["up"].T
        query = F.layer_norm(query, query.shape[-1:], net["gain"], net["shift"])
        return torch.softmax(query @ keys.T / (self.temperature or query.shape[-1] * math.e), dim=1)


def text_maximum(seen: Seen) -> Tensor:
    """The largest value of each coordinate over a text's own tokens, [batch, width]."""
    return seen.hidden.masked_fill(~seen.mask[..., None], -math.inf).amax(1)


def mixture(own: Tensors, sources: Sequence[Tensors], network: Tensors) -> dict[str, Tensor]:
    """The tensors of an attention mixture.

    Args:
        own: The task's own prompt, as tensors of the base.
        sources: The prompts of other tasks likewise.
        network: See `Attention.network`.
    """
    tensors = part(OWN, own) | dict(network)
    if sources:
        tensors |= part(SOURCES, {name: torch.stack([source[name] for source in sources]) for name in own})
    return tensors
