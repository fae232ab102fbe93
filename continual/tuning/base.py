"""The interface of everything that can be trained for a task on the frozen backbone."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from continual.backbone.encoder import Encoder
from continual.backbone.frozen import Seen
from continual.backbone.states import States
from continual.backbone.steering import Steering
from continual.backbone.texts import EncodedTexts
from continual.errors import ConfigError

Tensors = Mapping[str, Tensor]

TRAINED = "tuning."
"""What the names of a stored prompt's trained tensors begin with; its head, keys and signature lie beside them."""


class Tuning(ABC):
    """A way to steer a frozen encoder with a few trained tensors.

    The tensors live outside: one object serves all prompts of its shape, and one batch may carry a different
    prompt for each example (`stack`). A tuning may also be a *composition* (`continual/tuning/composed`): it makes the
    tensors of another tuning, its `base`, for each text anew.
    """

    name: ClassVar[str] = ""

    per_text: ClassVar[bool] = False
    """Whether `compose` makes tensors for each text."""

    reading: str = ""
    """What tells this way to read a text (`texts`, `read`) from others; texts that are read alike share a batch."""

    @property
    def base(self) -> "Tuning":
        """The tuning whose tensors enter the network; this one unless it is a composition."""
        return self

    def compose(self, tensors: Tensors, seen: Seen) -> Tensors:
        """The tensors of `base` for a batch: as they are, or one set for each text with a leading batch axis."""
        return tensors

    def fixed(self, name: str) -> bool:
        """Whether training leaves the tensor `name` alone."""
        return False

    def texts(self, encoder: Encoder, texts: EncodedTexts) -> EncodedTexts:
        """The texts as the prompt wants to read them: as they are, or put into a template."""
        return texts

    def reading_alike(self, tuning: "Tuning") -> "Tuning":
        """Another tuning, reading texts as this one does."""
        return tuning

    def read(self, encoder: Encoder, seen: Seen, states: Tensor) -> Tensor:
        """The vector that is classified, [batch, `reading_width`], from the last states [batch, length, width]."""
        return encoder.pool(states, seen.mask)

    def reading_width(self, encoder: Encoder) -> int:
        """The size of what `read` gives."""
        return encoder.width

    def lent(self, tensors: Tensors) -> "Tensors | None":
        """What other tasks may start from, as tensors of `base`; None where there is no such thing."""
        return tensors

    @abstractmethod
    def spec(self) -> dict[str, Any]:
        """The options that rebuild this object, JSON-able, with its `name`."""

    @abstractmethod
    def entry(self, encoder: Encoder) -> int:
        """The first layer that the prompt touches. States before it do not depend on the prompt and can be kept.

        Raises:
            BackboneError: The backbone cannot be tuned this way.
        """

    @abstractmethod
    def initial(self, encoder: Encoder, states: States | None, generator: torch.Generator) -> dict[str, Tensor]:
        """Fresh tensors for one prompt.

        Args:
            encoder: The backbone.
            states: States before `entry` of the task's training texts, from which soft tokens are drawn if given.
            generator: The source of randomness.
        """

    @abstractmethod
    def layers(self, encoder: Encoder, hidden: Tensor, mask: Tensor, tensors: Tensors) -> Iterator[Tensor]:
        """The states of the text's own tokens after each layer from `entry` on, each [batch, length, width].

        Args:
            encoder: The backbone.
            hidden: States before `entry`, [batch, length, width].
            mask: True where a token is real, [batch, length].
            tensors: The tensors of one prompt for the whole batch, or of `stack` with one prompt for each example.
        """

    def steering(self, encoder: Encoder, tensors: Tensors) -> Steering:
        """The same as `layers` does, as a generative backbone wants it told.

        Args:
            encoder: The backbone, or `Seq2Seq.decoder`.
            tensors: As for `layers`.

        Raises:
            ConfigError: The tuning cannot steer a generative model.
        """
        raise ConfigError(f"tuning={self.name} cannot steer a generative model; use tuning=input or tuning=deep.")

    @abstractmethod
    def stack(self, prompts: Sequence[Tensors]) -> dict[str, Tensor]:
        """The tensors of several prompts of this shape with a leading batch axis, one prompt for each example."""

    def tokens(self, tensors: Tensors) -> Tensor:
        """The prompt as a list of vectors, [tokens, width], for metrics that compare prompts directly.

        By default there are none: the entries of most modules mean nothing apart from the layer that they change, and
        such metrics give no score.
        """
        return torch.zeros(0, 0)

    def pace(self, name: str) -> float:
        """The learning rate of the tensor `name`, as a multiple of `training.learning_rate`, which suits prompts."""
        return 1.0


def final_states(tuning: Tuning, encoder: Encoder, hidden: Tensor, mask: Tensor, tensors: Tensors) -> Tensor:
    """The states of the text's own tokens after the last layer, [batch, length, width]; see `Tuning.layers`."""
    for states in tuning.layers(encoder, hidden, mask, tensors):
        hidden = states
    return hidden


def pooled_state(tuning: Tuning, encoder: Encoder, seen: Seen, tensors: Tensors) -> Tensor:
    """One vector for each text under the prompt, [batch, `reading_width`]."""
    tensors = tuning.compose(tensors, seen)
    return tuning.read(encoder, seen, final_states(tuning.base, encoder, seen.hidden, seen.mask, tensors))


def trained_tensors(stored: Tensors) -> dict[str, Tensor]:
    """The tensors of a stored prompt that its tuning trained, under the tuning's own names."""
    return {name.removeprefix(TRAINED): value for name, value in stored.items() if name.startswith(TRAINED)}


def equal_stack(name: str, prompts: Sequence[Tensors]) -> dict[str, Tensor]:
    """Stacks prompts of a tuning whose tensors cannot be filled up to one size.

    Args:
        name: The tuning, for the message.
        prompts: Tensors with equal names and shapes.

    Raises:
        ConfigError: Names or shapes differ.
    """
    shapes = [{key: tuple(value.shape) for key, value in tensors.items()} for tensors in prompts]
    for other in shapes[1:]:
        if other != shapes[0]:
            key = next(key for key in {**shapes[0], **other} if shapes[0].get(key) != other.get(key))
            raise ConfigError(
                f"Prompts of tuning={name} can share a batch only where they have the same shape, but {key} is "
                f"{shapes[0].get(key, 'missing')} in one and {other.get(key, 'missing')} in another; "
                "give their texts in batches of their own."
            )
    return {key: torch.stack([tensors[key] for tensors in prompts]) for key in shapes[0]}


def pad_stack(tensors: Sequence[Tensor], axis: int) -> tuple[Tensor, Tensor | None]:
    """Stacks tensors that differ in size along `axis`.

    Returns:
        The stacked tensor [n, ...] with zeros behind short ones, and the mask [n, longest] of real places, or None
        when all are of one length.
    """
    sizes = [tensor.shape[axis] for tensor in tensors]
    longest = max(sizes)
    if min(sizes) == longest:
        return torch.stack(list(tensors)), None
    padded = []
    for tensor in tensors:
        shape = list(tensor.shape)
        shape[axis] = longest - shape[axis]
        padded.append(torch.cat([tensor, tensor.new_zeros(shape)], dim=axis))
    mask = torch.arange(longest)[None, :] < torch.tensor(sizes)[:, None]
    return torch.stack(padded), mask
