"""What a prompt may change in a layer of the frozen network.

Every tensor here has a leading axis for prompts: of size 1 where one prompt serves the whole batch, of the batch's size
where each example has its own. That is what lets one forward pass carry many prompts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LINEAR = ("query", "key", "value", "output", "up", "down")
"""The linear layers of a block by the names of `blocks.Block`."""


@dataclass(frozen=True)
class Prefix:
    """Keys and values that every position may attend to, before those of the text.

    Attributes:
        keys: [prompts, prefix, width].
        values: [prompts, prefix, width].
        real: True where a prefix position is real, [prompts, prefix]; None means all are.
    """

    keys: Tensor
    values: Tensor
    real: Tensor | None = None


@dataclass(frozen=True)
class Affine:
    """Gain and bias of a layer norm, in place of the model's own.

    A norm that neither centres nor has a bias (T5 and Llama divide by the root of the mean square) gets one here.

    Attributes:
        gain: [prompts, width].
        bias: [prompts, width].
    """

    gain: Tensor
    bias: Tensor

    def __call__(self, norm: nn.Module, hidden: Tensor) -> Tensor:
        """What `norm` makes of states [batch, length, width] with this gain and bias."""
        if not isinstance(norm, nn.LayerNorm):
            standard = F.rms_norm(hidden, hidden.shape[-1:], eps=norm.variance_epsilon)
            return standard * self.gain[:, None] + self.bias[:, None]
        if len(self.gain) == len(self.bias) == 1:
            return F.layer_norm(hidden, norm.normalized_shape, self.gain[0], self.bias[0], norm.eps)
        standard = F.layer_norm(hidden, norm.normalized_shape, eps=norm.eps)
        return standard * self.gain[:, None] + self.bias[:, None]


@dataclass(frozen=True)
class LowRank:
    """A product of two thin matrices that is added to a frozen linear layer.

    Attributes:
        first: [prompts, inputs, rank].
        second: [prompts, rank, outputs]; it carries any factor.
    """

    first: Tensor
    second: Tensor

    def __call__(self, states: Tensor) -> Tensor:
        """What is added for the layer's input [batch, length, inputs], [batch, length, outputs]."""
        return _product(_product(states, self.first), self.second)


@dataclass(frozen=True)
class Adapter:
    """A bottleneck around which its input is carried: `x + up(gelu(down(x)))`.

    GELU is the tanh approximation, as in the released code of Compacter (`gelu_new`).

    Attributes:
        down: [prompts, width, bottleneck].
        down_bias: [prompts, bottleneck].
        up: [prompts, bottleneck, width].
        up_bias: [prompts, width].
    """

    down: Tensor
    down_bias: Tensor
    up: Tensor
    up_bias: Tensor

    def __call__(self, states: Tensor) -> Tensor:
        """The states [batch, length, width] after the adapter."""
        inner = F.gelu(_product(states, self.down) + self.down_bias[:, None], approximate="tanh")
        return states + _product(inner, self.up) + self.up_bias[:, None]


@dataclass(frozen=True)
class Change:
    """All that a prompt changes in one layer; what is None or missing stays as the model has it.

    Attributes:
        prefix: Keys and values in front of those of the layer's own positions.
        low_rank: What is added to linear layers, by their name in `LINEAR`.
        adapter1: Stands between the attention's output and the skip connection around it.
        norm1: For the layer norm after attention.
        adapter2: Stands between the feed-forward part's output and the skip connection around it.
        norm2: For the layer norm after the feed-forward part.
    """

    prefix: Prefix | None = None
    low_rank: Mapping[str, LowRank] = field(default_factory=dict)
    adapter1: Adapter | None = None
    norm1: Affine | None = None
    adapter2: Adapter | None = None
    norm2: Affine | None = None


UNCHANGED = Change()


def _product(states: Tensor, matrices: Tensor) -> Tensor:
    """States [batch, length, inputs] times matrices [prompts, inputs, outputs]."""
    # One matrix for all is one large product; broadcast, it would be copied for each example.
    return states @ matrices[0] if len(matrices) == 1 else torch.bmm(states, matrices)
