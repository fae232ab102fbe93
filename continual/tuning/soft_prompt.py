"""Soft tokens in front of the text, at the input or before a later layer."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from continual.backbone.encoder import Encoder
from continual.backbone.states import States
from continual.backbone.steering import Steering
from continual.errors import BackboneError, ConfigError
from continual.limits import at_least
from continual.tuning.base import Tensors, Tuning, pad_stack


class LatePrompt(Tuning):
    """Soft tokens inserted before layer `layer` (Late Prompt Tuning, Liu et al. 2022, arXiv 2210.11292).

    The layers below never see the prompt: their output is computed once for each text, and neither the forward nor
    the backward pass of training touches them again. The paper generates its prompt from the text; ours is one
    free matrix for each task, which is what a pool can store and compare.

    Args:
        length: Number of soft tokens.
        layer: They enter before this layer (0-based); 0 is the input.
        init: How fresh tokens are drawn: `states` copies states of training texts' tokens at that layer, `normal`
            draws from a normal distribution with standard deviation `scale`.
        scale: Standard deviation for `normal`.
    """

    name = "late"

    def __init__(self, length: int = 16, layer: int = 3, init: str = "states", scale: float = 0.5) -> None:
        at_least(1, length, "tuning.length")
        at_least(0, layer, "tuning.layer")
        if init not in ("states", "normal"):
            raise ConfigError(f"tuning.init is {init!r}, expected states or normal.")
        self.length, self.layer, self.init, self.scale = length, layer, init, scale

    def spec(self) -> dict[str, Any]:
        """See `Tuning.spec`."""
        return {
            "name": self.name,
            "length": self.length,
            "layer": self.layer,
            "init": self.init,
            "scale": self.scale,
        }

    def entry(self, encoder: Encoder) -> int:
        """See `Tuning.entry`."""
        if self.layer >= encoder.depth:
            raise BackboneError(
                f"tuning.layer is {self.layer}, but the backbone {encoder.name!r} can be entered before layers "
                f"0 to {encoder.depth - 1} only; choose one of them or use tuning=input."
            )
        if not encoder.stepwise and self.length + encoder.max_length > encoder.positions:
            # Run as a whole, a model gives soft tokens positions of the text.
            raise BackboneError(
                f"The backbone {encoder.name!r} has {encoder.positions} positions, too few for tuning.length="
                f"{self.length} and {encoder.max_length} tokens of text; set backbone.max_length="
                f"{encoder.positions - self.length}."
            )
        return self.layer

    def initial(self, encoder: Encoder, states: States | None, generator: torch.Generator) -> dict[str, Tensor]:
        """See `Tuning.initial`."""
        if states is None or self.init == "normal":
            return {"prompt": torch.randn(self.length, encoder.width, generator=generator) * self.scale}
        return {"prompt": _sample_states(states, self.length, generator)}

    def layers(self, encoder: Encoder, hidden: Tensor, mask: Tensor, tensors: Tensors) -> Iterator[Tensor]:
        """See `Tuning.layers`."""
        prompt, real = tensors["prompt"], tensors.get("prompt_mask")
        batch, length = hidden.shape[0], prompt.shape[-2]
        if real is None:
            real = mask.new_ones(batch, length)
        whole = torch.cat([prompt.expand(batch, -1, -1), hidden], dim=1)
        visible = torch.cat([real, mask], dim=1)
        for layer in range(self.layer, encoder.depth):
            whole = encoder.run(whole, visible, start=layer, stop=layer + 1, soft=length)
            yield whole[:, length:]

    def steering(self, encoder: Encoder, tensors: Tensors) -> Steering:
        """See `Tuning.steering`."""
        prompt = tensors["prompt"]
        soft = prompt[None] if prompt.dim() == 2 else prompt
        return Steering(soft=soft, real=tensors.get("prompt_mask"), entry=self.entry(encoder))

    def stack(self, prompts: Sequence[Tensors]) -> dict[str, Tensor]:
        """See `Tuning.stack`; shorter prompts are filled up and hidden from attention."""
        stacked, mask = pad_stack([tensors["prompt"] for tensors in prompts], axis=0)
        return {"prompt": stacked} if mask is None else {"prompt": stacked, "prompt_mask": mask}

    def tokens(self, tensors: Tensors) -> Tensor:
        """See `Tuning.tokens`."""
        return tensors["prompt"]


class InputPrompt(LatePrompt):
    """Soft tokens in front of the text (prompt tuning, Lester et al. 2021, arXiv 2104.08691).

    They enter behind the embedding layer, so they carry no position, as in Su et al. 2022 (arXiv 2111.06719).

    Args:
        length: Number of soft tokens.
        init: As for `LatePrompt`: `states` starts from embedded tokens of the training texts.
        scale: Standard deviation for `normal`.
    """

    name = "input"

    def __init__(self, length: int = 16, init: str = "states", scale: float = 0.5) -> None:
        super().__init__(length=length, layer=0, init=init, scale=scale)

    def spec(self) -> dict[str, Any]:
        """See `Tuning.spec`."""
        return {"name": self.name, "length": self.length, "init": self.init, "scale": self.scale}


def _sample_states(states: States, count: int, generator: torch.Generator) -> Tensor:
    """Copies of `count` token states, each from a text and a place drawn at random."""
    rows = torch.randint(len(states), (count,), generator=generator)
    hidden, mask = states.batch(rows)
    places = (torch.rand(count, generator=generator) * mask.sum(1)).long()
    return hidden[torch.arange(count), places].clone()
