"""A prompt seen through a small network while it is trained."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from continual.backbone.encoder import Encoder
from continual.backbone.frozen import Seen
from continual.backbone.states import States
from continual.errors import ConfigError
from continual.tuning.base import Tensors
from continual.tuning.composed.base import OWN, of_part, part
from continual.tuning.composed.chain import Chain

NETWORK = "network"


class Reparametrised(Chain):
    """A chain whose own prompt is `P' = P + up(tanh(down(P)))` while it is trained.

    The residual reparametrisation of Progressive Prompts (Razdaibiedina et al. 2023, arXiv 2301.12314). It changes how
    training moves and not what can be reached, so `folded` leaves an ordinary chain behind.

    Args:
        base: The tuning of each link.
        bottleneck: Units of the network; the released code has 800.
    """

    name = "reparametrised"

    def __init__(self, base: Mapping[str, Any], bottleneck: int = 800) -> None:
        super().__init__(base)
        if bottleneck < 1:
            raise ConfigError(f"method.reparametrise is {bottleneck}, expected 0 for none, or at least 1.")
        self.bottleneck = bottleneck

    def spec(self) -> dict[str, Any]:
        """See `Tuning.spec`."""
        return super().spec() | {"bottleneck": self.bottleneck}

    def initial(self, encoder: Encoder, states: States | None, generator: torch.Generator) -> dict[str, Tensor]:
        """See `Tuning.initial`."""
        return super().initial(encoder, states, generator) | self.network(encoder.width, generator)

    def network(self, width: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Fresh weights of the network; `up` is zero, so that the prompt starts as itself."""
        down = torch.randn(self.bottleneck, width, generator=generator) / width**0.5
        return part(NETWORK, {"down": down, "up": torch.zeros(width, self.bottleneck)})

    def compose(self, tensors: Tensors, seen: Seen) -> Tensors:
        """See `Tuning.compose`."""
        return self.whole(self.folded(tensors))

    def folded(self, tensors: Tensors) -> dict[str, Tensor]:
        """The tensors of the ordinary chain that says the same."""
        net = of_part(NETWORK, tensors)
        own = {
            name: value + torch.tanh(value @ net["down"].T) @ net["up"].T
            for name, value in of_part(OWN, tensors).items()
        }
        return {name: value for name, value in tensors.items() if not name.startswith(f"{NETWORK}/")} | part(OWN, own)
