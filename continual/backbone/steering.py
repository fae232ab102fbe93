"""All that a prompt does to a generative model in one forward pass."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from continual.backbone.change import Change


@dataclass(frozen=True)
class Steering:
    """What a prompt puts before the text and changes in the layers.

    Every tensor has a leading axis for prompts: of size 1 where one prompt serves the whole batch, of the batch's size
    where each example has its own.

    Attributes:
        soft: Vectors before the text's own positions, [prompts, soft, width]; None for none.
        real: True where a soft vector is real, [prompts, soft]; None means all are.
        entry: The layer before which soft vectors enter, and the first that is changed.
        changes: What changes in the layers that read the source, by the number of the layer.
        decoder: What changes in the decoder of an encoder-decoder, by the number of the layer; prefixes are those of
            its self-attention.
    """

    soft: Tensor | None = None
    real: Tensor | None = None
    entry: int = 0
    changes: Mapping[int, Change] = field(default_factory=dict)
    decoder: Mapping[int, Change] = field(default_factory=dict)

    def enter(self, hidden: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, int]:
        """Puts the soft vectors in front of the text.

        Args:
            hidden: States before layer `entry`, [batch, length, width].
            mask: True where a position is real, [batch, length].

        Returns:
            States [batch, soft + length, width], their mask, and the number of soft positions.
        """
        if self.soft is None:
            return hidden, mask, 0
        batch, length = hidden.shape[0], self.soft.shape[1]
        real = mask.new_ones(batch, length) if self.real is None else self.real.expand(batch, -1)
        whole = torch.cat([self.soft.expand(batch, -1, -1), hidden], dim=1)
        return whole, torch.cat([real, mask], dim=1), length

    def repeat(self, times: int) -> "Steering":
        """The same for a batch in which each example stands `times` times in a row."""
        return _mapped(self, lambda value: value if len(value) == 1 else value.repeat_interleave(times, dim=0))

    def take(self, rows: Tensor) -> "Steering":
        """The same for some examples of the batch."""
        return _mapped(self, lambda value: value if len(value) == 1 else value[rows])


UNSTEERED = Steering()


def _mapped(thing: Any, function: Callable[[Tensor], Tensor]) -> Any:
    """A copy of nested dataclasses and mappings with `function` applied to every tensor."""
    if isinstance(thing, Tensor):
        return function(thing)
    if isinstance(thing, Mapping):
        return {key: _mapped(value, function) for key, value in thing.items()}
    if dataclasses.is_dataclass(thing):
        values = {item.name: getattr(thing, item.name) for item in dataclasses.fields(thing)}
        return type(thing)(**{name: _mapped(value, function) for name, value in values.items()})
    return thing
