"""What the ground of a task is read from: a text's frozen states summarised over tokens, from several layers.

The last layer alone hides much that a task may need, and all of them blur single words, so the head is told the text's
surface terms too (`backbone/terms.py`). Layer 0 is the embedding layer.
No prompt takes part in it, so it is computed once for each text.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from continual.backbone.encoder import Encoder
from continual.construction import coerce_fields
from continual.errors import ConfigError
from continual.limits import at_least

SUMMARIES = ("pool", "max", "min")


@dataclass(frozen=True)
class Readout:
    """Which layers and summaries make a text's features.

    Attributes:
        layers: `all` takes the states before the first layer and after each, `last` the last layer only, `none` no
            states. With `none` and no terms a prompt alone classifies, as in plain prompt tuning.
        summaries: Of the tokens' states: `pool` is the backbone's own pooling (mean or [CLS]), `max` and `min` the
            largest and smallest value of each dimension.
        terms: How many surface terms (word pieces and character runs) a task's dictionary may have; 0 leaves them out.
    """

    layers: str = "all"
    summaries: tuple[str, ...] = ("pool", "max", "min")
    terms: int = 16384

    def __post_init__(self) -> None:
        coerce_fields(self, "readout")
        if self.layers not in ("all", "last", "none"):
            raise ConfigError(f"readout.layers is {self.layers!r}, expected all, last or none.")
        if not self.summaries or any(name not in SUMMARIES for name in self.summaries):
            raise ConfigError(
                f"readout.summaries is {self.summaries!r}, expected one or more of {', '.join(SUMMARIES)}."
            )
        at_least(0, self.terms, "readout.terms")

    def spec(self) -> dict[str, Any]:
        """The options, JSON-able."""
        return {"layers": self.layers, "summaries": list(self.summaries), "terms": self.terms}

    def takes(self, layer: int, encoder: Encoder) -> bool:
        """Whether states after `layer` layers are part of the features (0: before the first layer)."""
        return self.layers == "all" or (self.layers == "last" and layer == encoder.depth)

    def width(self, encoder: Encoder) -> int:
        """The number of features of a text."""
        taken = sum(self.takes(layer, encoder) for layer in range(encoder.depth + 1))
        return taken * len(self.summaries) * encoder.width

    def summarise(self, encoder: Encoder, hidden: Tensor, mask: Tensor) -> Tensor:
        """The features that one layer's states contribute, [batch, summaries * width]."""
        return torch.cat([_summary(name, encoder, hidden, mask) for name in self.summaries], dim=1)


def _summary(name: str, encoder: Encoder, hidden: Tensor, mask: Tensor) -> Tensor:
    if name == "pool":
        return encoder.pool(hidden, mask)
    limits, padding = torch.finfo(hidden.dtype), ~mask[..., None]
    if name == "max":
        return hidden.masked_fill(padding, limits.min).amax(dim=1)
    return hidden.masked_fill(padding, limits.max).amin(dim=1)
