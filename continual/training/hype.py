"""HyPe: noise on the hidden states that the layers are given in training."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


def noise(kind: str, shape: Sequence[int], generator: torch.Generator | None = None) -> Tensor:
    """HyPe's noise of scale 1: `normal`, or `uniform` on [-1, 1)."""
    if kind == "normal":
        return torch.randn(*shape, generator=generator)
    return 2 * torch.rand(*shape, generator=generator) - 1


@dataclass(frozen=True)
class FreshNoise:
    """HyPe for a training that seeds torch's global generator itself; see `Hype`.

    Attributes:
        kind: `normal` or `uniform`.
        scale: Deviation of normal noise, bound of uniform noise.
    """

    kind: str
    scale: float

    def __call__(self, hidden: Tensor) -> Tensor:
        """The input of the next layer, [texts, positions, width], with noise of its own."""
        return hidden + self.scale * noise(self.kind, hidden.shape)


class Hype:
    """Noise for the inputs of the layers in one training step (HyPe, Yuan et al. 2023, arXiv 2212.08853).

    Before each layer, its input gets noise of its own: a number for every element, padding and soft tokens included,
    either normal, `N(0, scale^2)`, or uniform on `[-scale, scale)`. The output of the last layer stays clean, and so
    does every prediction. The released code draws uniform noise from `[0, scale)`, which shifts all states; the
    paper's, with mean zero, is the one here. The paper switches dropout inside the network off; the frozen network
    here never has any. Layers below the prompt's entry are computed once, so they are not perturbed.

    The noise is drawn for the whole batch, of which each process of a team takes the part of its own texts: together
    they compute what one process would.

    Args:
        kind: `normal` or `uniform`.
        scale: Deviation of normal noise, bound of uniform noise.
        lengths: Tokens of each text of the whole batch, [texts].
        own: Places in the batch of the texts that this process computes.
        generator: The training's own source of randomness; one number is taken from it, so that all processes leave it
            in the same state.
    """

    def __init__(self, kind: str, scale: float, lengths: Tensor, own: Tensor, generator: torch.Generator) -> None:
        self._kind, self._scale, self._lengths, self._own = kind, scale, lengths, own
        seed = int(torch.randint(2**62, (), generator=generator))
        self._generator = torch.Generator().manual_seed(seed)

    def __call__(self, hidden: Tensor) -> Tensor:
        """The input of the next layer, [own texts, positions, width], with noise of its own."""
        positions = hidden.shape[1]
        soft = positions - int(self._lengths[self._own].max())  # those in front of the text
        whole = (len(self._lengths), soft + int(self._lengths.max()), hidden.shape[2])
        drawn = noise(self._kind, whole, self._generator)
        return hidden + self._scale * drawn[self._own, :positions]
