"""What the tunings have in common that change layers and add no position to the text."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence

from torch import Tensor

from continual.backbone.blocks import FAMILIES
from continual.backbone.change import Change
from continual.backbone.encoder import Encoder
from continual.backbone.steering import Steering
from continual.errors import BackboneError, ConfigError
from continual.tuning.base import Tensors, Tuning, equal_stack


class LayerTuning(Tuning):
    """A tuning that changes every layer from `layer` on.

    Args:
        layer: First layer that is changed (0-based); the layers below are computed once and kept.
    """

    def __init__(self, layer: int) -> None:
        if layer < 0:
            raise ConfigError(f"tuning.layer is {layer}, expected 0 or more; change it.")
        self.layer = layer

    @abstractmethod
    def change(self, encoder: Encoder, tensors: Tensors, place: int) -> Change:
        """What the tensors of one prompt, or of `stack`, change in the layer `self.layer + place`."""

    def entry(self, encoder: Encoder) -> int:
        """See `Tuning.entry`."""
        if not encoder.stepwise:
            raise BackboneError(
                f"tuning={self.name} needs a backbone of one of the families {', '.join(FAMILIES)}, but "
                f"{encoder.name!r} is of family {encoder.family!r}; use tuning=input."
            )
        if self.layer >= encoder.depth:
            raise BackboneError(
                f"tuning.layer is {self.layer}, but the backbone {encoder.name!r} has layers 0 to "
                f"{encoder.depth - 1}; choose one of them."
            )
        return self.layer

    def layers(self, encoder: Encoder, hidden: Tensor, mask: Tensor, tensors: Tensors) -> Iterator[Tensor]:
        """See `Tuning.layers`."""
        for place, layer in enumerate(range(self.layer, encoder.depth)):
            changes = {layer: self.change(encoder, tensors, place)}
            hidden = encoder.run(hidden, mask, layer, layer + 1, changes=changes)
            yield hidden

    def steering(self, encoder: Encoder, tensors: Tensors) -> Steering:
        """See `Tuning.steering`."""
        layers = range(self.entry(encoder), encoder.depth)
        changes = {layer: self.change(encoder, tensors, place) for place, layer in enumerate(layers)}
        return Steering(entry=self.layer, changes=changes)

    def stack(self, prompts: Sequence[Tensors]) -> dict[str, Tensor]:
        """See `Tuning.stack`.

        Raises:
            ConfigError: The prompts differ in shape.
        """
        return equal_stack(self.name, prompts)


def of_layer(value: Tensor, place: int, axes: int) -> Tensor:
    """The part of a tensor that belongs to one layer, with a leading axis for the prompts of a batch.

    Args:
        value: [layers, ...] of one prompt, or [prompts, layers, ...] as `stack` gives it.
        place: Which of the layers.
        axes: How many axes the tensor of one prompt has.
    """
    return value[None, place] if value.dim() == axes else value[:, place]
