"""How many operations an encoder has to do, and how many a second the machine can.

The bound of a step is the time that its matrix products would take at the rate of one large product on the same
machine. A product of a [tokens, in] by an [in, out] matrix costs 2 * tokens * in * out operations forward and as many
backward, where only the gradient of its input is needed: the weights are frozen.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from benchmarks.measure import timed
from continual.backbone.encoder import Encoder
from continual.backbone.products import helps, quicken


@dataclass(frozen=True)
class Shape:
    """The sizes that decide the work of a layer.

    Attributes:
        width: Size of a state.
        inner: Size of the feed-forward layer.
        prefix: Key/value vectors that a prompt adds to the layer.
    """

    width: int
    inner: int
    prefix: int = 0

    @classmethod
    def of(cls, encoder: Encoder, prefix: int = 0) -> "Shape":
        """Of an encoder's layers."""
        return cls(encoder.width, encoder.model.config.intermediate_size, prefix)

    def _parts(self, lengths: Sequence[int]) -> tuple[int, int, int]:
        """Multiplications of one square matrix, of the feed-forward layer, and of attention."""
        tokens = sum(lengths)
        attention = sum(2 * length * (length + self.prefix) * self.width for length in lengths)
        return tokens * self.width**2, tokens * 2 * self.width * self.inner, attention

    def forward(self, lengths: Sequence[int], layers: int) -> int:
        """Operations of the matrix products of a forward pass.

        Args:
            lengths: Tokens of each text.
            layers: How many layers.
        """
        square, fed, attention = self._parts(lengths)
        return 2 * layers * (4 * square + fed + attention)

    def step(self, lengths: Sequence[int], layers: int) -> int:
        """Operations of the matrix products of a training step, through `layers` layers from the prompt's entry on."""
        square, fed, attention = self._parts(lengths)
        # Backward, weights being frozen: as much for the inputs of the products, and in attention, where both sides
        # depend on the prompt, twice as much. The lowest layer's own input does not depend on the prompt: nothing goes
        # back through its query, key and value, and in attention little more than the gradient of the weights is
        # needed.
        upper = 4 * square + fed + 2 * attention
        lowest = square + fed + attention // 2
        return self.forward(lengths, layers) + 2 * ((layers - 1) * upper + lowest)


def matmul_rate(
    size: int = 2048,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    settle: Callable[[], object] = lambda: None,
) -> float:
    """Operations a second of a large matrix product, by the quicker of the libraries that torch brings for it.

    Args:
        size: Rows and columns.
        device: Where it is computed.
        dtype: Of both matrices.
        settle: Waits until the device has done what it was asked for.
    """
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    ways = [lambda: left @ right]
    if helps() and device == "cpu":
        layer = quicken(torch.nn.Linear(size, size, bias=False)).to(dtype).requires_grad_(False)
        ways.append(lambda: layer(left))

    def rate(product: Callable[[], object]) -> float:
        def body() -> None:
            product()
            settle()

        return 2 * size**3 / timed(body, repeats=9, warmup=3).median

    return max(map(rate, ways))
