"""A prompt that a hypernetwork writes from a task embedding."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from continual.backbone.frozen import Seen
from continual.limits import at_least
from continual.tuning.base import Tensors
from continual.tuning.composed.base import OWN, TOKENS, Composed, of_part, part, require_prompt

SHARED, START, NETWORK = "shared", "start", "network"
EMBEDDING = f"{OWN}/embedding"


class Generated(Composed):
    """`[start + h(e) ; shared]`: CPT-RD's task-conditioned prompt hypernetwork (Zuo et al. 2022, arXiv 2203.11720).

    `h` writes one token (of every layer, for a deep prompt) at a time: `h(e)_i = W_out tanh(W_task e + c_i) / hidden`
    with an embedding `e` of the task and one `c_i` of the token's place, chunked as in von Oswald et al. 2020 (arXiv
    1906.00695). The publication does not give the network's shape: this one is ours. A step of Adam moves each weight
    by the learning rate, and so a sum over all hidden units by many times that; divided by their number, a prompt that
    is written moves about as fast as one that is trained itself. `start` stays as it was drawn or given. `shared` is
    what all domains have in common.

    Args:
        base: The tuning of the prompt: `input`, `late` or `deep`.
        embedding: Size of a task embedding.
        hidden: Units of the network.
        train_shared: Whether the shared prompt is trained too.
    """

    name = "generated"

    def __init__(
        self, base: Mapping[str, Any], embedding: int = 16, hidden: int = 64, train_shared: bool = False
    ) -> None:
        super().__init__(base)
        require_prompt(self.base, "CPT-RD")
        at_least(1, embedding, "method.embedding")
        at_least(1, hidden, "method.hidden")
        self.embedding, self.hidden, self.train_shared = embedding, hidden, train_shared

    def spec(self) -> dict[str, Any]:
        """See `Tuning.spec`."""
        return super().spec() | {
            "embedding": self.embedding,
            "hidden": self.hidden,
            "train_shared": self.train_shared,
        }

    def fixed(self, name: str) -> bool:
        """See `Tuning.fixed`."""
        return name.startswith(f"{START}/") or (not self.train_shared and name.startswith(f"{SHARED}/"))

    def network(self, shapes: Mapping[str, torch.Size], generator: torch.Generator) -> dict[str, Tensor]:
        """Fresh weights for prompts with tensors of these shapes, with which `h` writes numbers of about 0.02."""
        tensors: dict[str, Tensor] = {}
        for name, shape in shapes.items():
            places = math.prod(shape[:-1])
            tensors |= {
                f"{name}-task": torch.randn(self.hidden, self.embedding, generator=generator) / self.embedding**0.5,
                f"{name}-place": torch.randn(places, self.hidden, generator=generator) * 0.5,
                f"{name}-out": torch.randn(shape[-1], self.hidden, generator=generator) * 0.02 * self.hidden**0.5,
            }
        return part(NETWORK, tensors)

    def written(self, network: Tensors, embedding: Tensor, shapes: Mapping[str, torch.Size]) -> dict[str, Tensor]:
        """`h(e)` as tensors of the base.

        Args:
            network: The weights, named as `network` names them.
            embedding: The task's, [embedding].
            shapes: Of the tensors to be written.
        """
        made = {}
        for name, shape in shapes.items():
            task, place, out = (network[f"{NETWORK}/{name}-{kind}"] for kind in ("task", "place", "out"))
            made[name] = (torch.tanh(embedding @ task.T + place) @ out.T / out.shape[1]).view(shape)
        return made

    def beginning(self, begin: Tensors, shared: Tensors, network: Tensors, embedding: Tensor) -> dict[str, Tensor]:
        """The tensors of a domain whose own prompt is `begin` before anything is learned.

        Args:
            begin: That prompt, as tensors of the base.
            shared: The shared prompt, likewise.
            network: The weights of `h`.
            embedding: The domain's, [embedding].
        """
        written = self.written(network, embedding, {name: value.shape for name, value in begin.items()})
        start = {name: value - written[name] for name, value in begin.items()}
        return part(START, start) | part(SHARED, shared) | dict(network) | {EMBEDDING: embedding}

    def prompt(self, tensors: Tensors) -> dict[str, Tensor]:
        """The domain's own prompt: start plus what the network writes."""
        start = of_part(START, tensors)
        written = self.written(tensors, tensors[EMBEDDING], {name: value.shape for name, value in start.items()})
        return {name: value + written[name] for name, value in start.items()}

    def compose(self, tensors: Tensors, seen: Seen) -> Tensors:
        """See `Tuning.compose`."""
        shared = of_part(SHARED, tensors)
        return {name: torch.cat([value, shared[name]], TOKENS) for name, value in self.prompt(tensors).items()}

    def lent(self, tensors: Tensors) -> Tensors | None:
        """The domain's own prompt."""
        return self.prompt(tensors)
