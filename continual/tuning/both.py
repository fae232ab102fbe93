"""One tuning in the encoder of an encoder-decoder, and one in its decoder."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from continual.backbone.encoder import Encoder
from continual.backbone.seq2seq import Seq2Seq
from continual.backbone.states import States
from continual.backbone.steering import Steering
from continual.errors import ConfigError
from continual.tuning import build_tuning
from continual.tuning.base import Tensors, Tuning
from continual.tuning.layered import LayerTuning

DECODER = "decoder/"
"""What the names of the decoder's tensors begin with."""

_DEFAULT = {"name": "lora"}


class BothStacks(Tuning):
    """A tuning in the encoder and one of layers in the decoder, trained and stored together.

    What a prompt in the encoder changes is how a source is read; words that a domain needs and the model would never
    write have to be changed where it writes. A backbone without a decoder of its own, an encoder or a causal model, has
    the first part alone. Prefix-Tuning (Li and Liang 2021, arXiv 2101.00190) has prefixes in both stacks of BART; that
    the same is done with other tunings is ours.

    Args:
        base: The tuning of the encoder; LoRA by default.
        decoder: The tuning of the decoder, one of layers (`deep`, `layer_norm`, `prefix_layer_norm`, `lora`,
            `compacter`); that of the encoder by default. Prefixes are those of its self-attention.
        layer: First layer that is changed, in each of the two that does not say so itself.
    """

    name = "both"

    # The default of `base` is `_DEFAULT`: a mapping as a default would be one object for all.
    def __init__(
        self, base: Mapping[str, Any] | None = None, decoder: Mapping[str, Any] | None = None, layer: int = 0
    ) -> None:
        self.layer = layer
        self._encoder: Tuning = _built(base or _DEFAULT, layer)
        self._decoder: Tuning = _built(decoder or base or _DEFAULT, layer)
        if not isinstance(self._decoder, LayerTuning):
            raise ConfigError(
                f"tuning.decoder is {self._decoder.name}, which a decoder cannot have; use a tuning that changes "
                "layers, such as tuning.decoder={name: deep} or tuning.decoder={name: lora}."
            )

    def spec(self) -> dict[str, Any]:
        """See `Tuning.spec`."""
        return {"name": self.name, "base": self._encoder.spec(), "decoder": self._decoder.spec(), "layer": self.layer}

    def entry(self, encoder: Encoder) -> int:
        """See `Tuning.entry`; that of the encoder's part."""
        if isinstance(encoder, Seq2Seq):
            self._decoder.entry(encoder.decoder)
        return self._encoder.entry(encoder)

    def initial(self, encoder: Encoder, states: States | None, generator: torch.Generator) -> dict[str, Tensor]:
        """See `Tuning.initial`."""
        tensors = self._encoder.initial(encoder, states, generator)
        if not isinstance(encoder, Seq2Seq):
            return tensors
        return tensors | named_for_decoder(self._decoder.initial(encoder.decoder, None, generator))

    def layers(self, encoder: Encoder, hidden: Tensor, mask: Tensor, tensors: Tensors) -> Iterator[Tensor]:
        """See `Tuning.layers`: of the encoder, which the decoder's part leaves alone."""
        return self._encoder.layers(encoder, hidden, mask, split_stacks(tensors)[0])

    def steering(self, encoder: Encoder, tensors: Tensors) -> Steering:
        """See `Tuning.steering`."""
        own, decoder = split_stacks(tensors)
        steering = self._encoder.steering(encoder, own)
        if not isinstance(encoder, Seq2Seq):
            return steering
        return replace(steering, decoder=self._decoder.steering(encoder.decoder, decoder).changes)

    def stack(self, prompts: Sequence[Tensors]) -> dict[str, Tensor]:
        """See `Tuning.stack`."""
        parts = [split_stacks(tensors) for tensors in prompts]
        stacked = self._encoder.stack([own for own, _ in parts])
        decoder = self._decoder.stack([decoder for _, decoder in parts]) if parts[0][1] else {}
        return stacked | named_for_decoder(decoder)

    def tokens(self, tensors: Tensors) -> Tensor:
        """See `Tuning.tokens`: of the encoder's part."""
        return self._encoder.tokens(split_stacks(tensors)[0])


def _built(spec: Mapping[str, Any], layer: int) -> Tuning:
    """The tuning of a spec; one that enters at the input has no layer to be told."""
    given = {} if spec.get("name") == "input" else {"layer": layer}
    return build_tuning(given | dict(spec))


def named_for_decoder(tensors: Tensors) -> dict[str, Tensor]:
    """The tensors of the decoder's tuning under the names that they have beside those of the encoder's."""
    return {f"{DECODER}{name}": value for name, value in tensors.items()}


def split_stacks(tensors: Tensors) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The tensors of the encoder and those of the decoder, each under the names that its tuning knows."""
    own = {name: value for name, value in tensors.items() if not name.startswith(DECODER)}
    decoder = {name.removeprefix(DECODER): value for name, value in tensors.items() if name.startswith(DECODER)}
    return own, decoder
