"""Training the gains and biases of layer norms, alone or beside a prefix."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from continual.backbone.change import Affine, Change
from continual.backbone.encoder import Encoder
from continual.backbone.offload import weight_of
from continual.backbone.states import States
from continual.errors import ConfigError
from continual.tuning.base import Tensors, equal_stack
from continual.tuning.layered import LayerTuning, of_layer
from continual.tuning.prefix import DeepPrompt

_NORMS = {"both": ("norm1", "norm2"), "attention": ("norm1",), "feed_forward": ("norm2",)}
"""What may be chosen -> the layer norms of a block by their names in `blocks.Block`."""

_PARTS = {"both": ("gains", "biases"), "gains": ("gains",), "biases": ("biases",)}
_WEIGHTS = {"gains": "weight", "biases": "bias"}


class LayerNorm(LayerTuning):
    """Gains and biases of the layer norms after attention and after the feed-forward part.

    LN-tuning (Qi et al. 2022, arXiv 2211.08682). They start from the pretrained values, so that at the start nothing
    is changed, and prediction costs no more than without a prompt. Norms inside the layers are meant; whether the
    paper also trains the one of the embeddings is not known to us, and here it stays as it is. In the paper's ablation
    biases matter more than gains, the norm after attention more than the other, and all together are best.

    Args:
        layer: First layer whose norms are trained (0-based); the layers below are computed once and kept.
        norms: Which norms of a layer: `attention`, `feed_forward` or `both`.
        parts: What of a norm: `gains`, `biases` or `both`.
    """

    name = "layer_norm"

    def __init__(self, layer: int = 0, norms: str = "both", parts: str = "both") -> None:
        super().__init__(layer)
        for option, value, known in (("norms", norms, _NORMS), ("parts", parts, _PARTS)):
            if value not in known:
                raise ConfigError(f"tuning.{option} is {value!r}, expected one of {', '.join(known)}.")
        self.norms, self.parts = norms, parts

    def spec(self) -> dict[str, Any]:
        """See `Tuning.spec`."""
        return {"name": self.name, "layer": self.layer, "norms": self.norms, "parts": self.parts}

    def initial(self, encoder: Encoder, states: States | None, generator: torch.Generator) -> dict[str, Tensor]:
        """See `Tuning.initial`; each tensor is [layers, norms, width], and nothing of it is random."""
        layers = range(self.entry(encoder), encoder.depth)
        return {
            part: torch.stack([torch.stack(self._own(encoder, layer, part)) for layer in layers])
            for part in _PARTS[self.parts]
        }

    def change(self, encoder: Encoder, tensors: Tensors, place: int) -> Change:
        """See `LayerTuning.change`."""
        return Change(**self.affines(encoder, tensors, place))

    def affines(self, encoder: Encoder, tensors: Tensors, place: int) -> dict[str, Affine]:
        """Gain and bias of each trained norm of a layer by its name in `Change`; arguments as for `change`."""
        gains, biases = (
            of_layer(tensors[part], place, axes=3)
            if part in tensors
            else torch.stack(self._own(encoder, self.layer + place, part))[None]
            for part in _WEIGHTS
        )
        return {norm: Affine(gains[:, row], biases[:, row]) for row, norm in enumerate(_NORMS[self.norms])}

    def _own(self, encoder: Encoder, layer: int, part: str) -> list[Tensor]:
        """The pretrained values of a layer's chosen norms, each [width]; a bias that a norm lacks is zero."""
        block = encoder.body.blocks[layer]
        return [_own_value(getattr(block, norm), _WEIGHTS[part]) for norm in _NORMS[self.norms]]


def _own_value(norm: nn.Module, name: str) -> Tensor:
    return torch.zeros_like(weight_of(norm, "weight")) if getattr(norm, name, None) is None else weight_of(norm, name)


class PrefixLayerNorm(LayerTuning):
    """A key/value prefix and the layer norms, trained together.

    The best combination in the unified framework of LN-tuning (Qi et al. 2022, arXiv 2211.08682): prefix-tuning works
    on attention, the norms on what follows; both are trained jointly by the same loss.

    Args:
        length: Prefix positions in each layer.
        layer: First layer with a prefix and trained norms (0-based); the layers below are computed once and kept.
        scale: Standard deviation of fresh entries of the prefix.
        norms: Which norms of a layer: `attention`, `feed_forward` or `both`.
        parts: What of a norm: `gains`, `biases` or `both`.
    """

    name = "prefix_layer_norm"

    def __init__(
        self, length: int = 16, layer: int = 0, scale: float = 0.5, norms: str = "both", parts: str = "both"
    ) -> None:
        super().__init__(layer)
        self._prefix = DeepPrompt(length, layer, scale)
        self._norms = LayerNorm(layer, norms, parts)

    def spec(self) -> dict[str, Any]:
        """See `Tuning.spec`."""
        return {**self._prefix.spec(), **self._norms.spec(), "name": self.name}

    def initial(self, encoder: Encoder, states: States | None, generator: torch.Generator) -> dict[str, Tensor]:
        """See `Tuning.initial`."""
        self.entry(encoder)
        return self._prefix.initial(encoder, states, generator) | self._norms.initial(encoder, states, generator)

    def change(self, encoder: Encoder, tensors: Tensors, place: int) -> Change:
        """See `LayerTuning.change`."""
        prefix = self._prefix.change(encoder, tensors, place).prefix
        return Change(prefix=prefix, **self._norms.affines(encoder, tensors, place))

    def stack(self, prompts: Sequence[Tensors]) -> dict[str, Tensor]:
        """See `Tuning.stack`; shorter prefixes are filled up and hidden from attention."""
        norms = [{part: tensors[part] for part in _WEIGHTS if part in tensors} for tensors in prompts]
        return self._prefix.stack(prompts) | equal_stack(self.name, norms)

    def tokens(self, tensors: Tensors) -> Tensor:
        """See `Tuning.tokens`; those of the prefix."""
        return self._prefix.tokens(tensors)
