"""The model that baselines train: a copy of the backbone's transformer with a linear classifier that grows."""

import contextlib
import copy
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

import continual.baselines._avalanche  # noqa: F401  (before the first import of Avalanche)

# isort: split

from avalanche.models import DynamicModule

from continual.backbone.blocks import layers_of
from continual.backbone.body import Perturbation
from continual.backbone.encoder import Encoder, pooled
from continual.backbone.states import CHUNK
from continual.backbone.texts import EncodedTexts, by_length
from continual.baselines.export import REAL, SEGMENT, TOKEN, padded
from continual.seeding import seed_of
from continual.training.hype import FreshNoise

if TYPE_CHECKING:
    from continual.settings import LearnerSettings

_DEVIATION = 0.02
"""Of the weights of a fresh unit, as BERT's own classifiers begin."""


class GrowingHead(DynamicModule):
    """A linear layer whose outputs grow as labels appear, as Avalanche's strategies ask of it.

    A fresh unit is drawn from a generator of its own, so that it does not depend on when the label came.

    Args:
        width: Size of a text's vector.
        seed: The run's seed.
    """

    def __init__(self, width: int, seed: int) -> None:
        super().__init__()
        self._seed = seed
        self.weight = nn.Parameter(torch.empty(0, width))
        self.bias = nn.Parameter(torch.empty(0))

    def adaptation(self, experience: object) -> None:
        """Makes room for the classes of an Avalanche experience."""
        self.grow(max(experience.classes_in_this_experience) + 1)

    def grow(self, units: int) -> None:
        """Appends units until there are `units`."""
        missing = range(len(self.bias), units)
        if missing:
            fresh = torch.stack([self._fresh(unit) for unit in missing])
            self.weight = nn.Parameter(torch.cat([self.weight.detach(), fresh]))
            self.bias = nn.Parameter(torch.cat([self.bias.detach(), torch.zeros(len(missing))]))

    def forward(self, vectors: Tensor) -> Tensor:
        """Logits [batch, units] of vectors [batch, width]."""
        return nn.functional.linear(vectors, self.weight, self.bias)

    def _fresh(self, unit: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed_of(self._seed, "unit", str(unit)))
        return torch.randn(self.weight.shape[1], generator=generator) * _DEVIATION


class Classifier(nn.Module):
    """A trainable copy of an encoder and a linear classifier on its pooled last states.

    The transformer runs as its makers wrote it, its dropout included. It can be given to any Avalanche strategy that
    trains on `export.avalanche_benchmark`.

    Args:
        encoder: The backbone; it is copied and left as it is.
        dropout: Dropout on a text's vector before the classifier.
        seed: The run's seed.
        perturb: What the input of every layer goes through in training (HyPe), in place of the transformer's own
            dropout. Only for families whose layers are known, see `blocks.FAMILIES`.
    """

    def __init__(
        self, encoder: Encoder, dropout: float = 0.1, seed: int = 0, perturb: Perturbation | None = None
    ) -> None:
        super().__init__()
        self.body: nn.Module = copy.deepcopy(encoder.model).requires_grad_(True)
        self.dropout = nn.Dropout(dropout)
        self.head = GrowingHead(encoder.width, seed)
        self._pooling, self._pad = encoder.pooling, encoder.pad_token
        self._segments = getattr(encoder.model.config, "type_vocab_size", 0) > 1
        self._perturb = perturb
        self._layers = list(layers_of(self.body) or [])  # found now: PEFT wraps the body, and leaves its layers

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits [batch, units] of tokens int64 [batch, longest, 3], see `export`."""
        mask = tokens[..., REAL]
        extra = {"token_type_ids": tokens[..., SEGMENT]} if self._segments else {}
        with self._perturbed():
            states = self.body(input_ids=tokens[..., TOKEN], attention_mask=mask, **extra).last_hidden_state
        return self.head(self.dropout(pooled(states, mask.bool(), self._pooling)))

    @torch.no_grad()
    def logits(self, texts: EncodedTexts) -> Tensor:
        """Logits [texts, units] of all texts, without dropout, in batches that depend on nothing but their lengths."""
        training = self.training
        self.eval()
        found = torch.empty(len(texts), len(self.head.bias))
        for rows in by_length(texts.ids.lengths, CHUNK):
            found[rows] = self(padded(texts, rows, self._pad))
        self.train(training)
        return found

    def train(self, mode: bool = True) -> "Classifier":
        """See `nn.Module.train`; a body that is perturbed has no dropout, as in HyPe's paper."""
        super().train(mode)
        if self._perturb is not None:
            self.body.eval()
        return self

    @contextlib.contextmanager
    def _perturbed(self) -> Iterator[None]:
        """Within the context, and in training, every layer of the body gets its input perturbed."""
        noisy = self._layers if self._perturb is not None and self.training else []
        hooks = [layer.register_forward_pre_hook(self._given, with_kwargs=True) for layer in noisy]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _given(self, layer: nn.Module, inputs: tuple, named: dict) -> tuple[tuple, dict]:
        """What a layer is given; its states come first or by name."""
        if inputs:
            return (self._perturb(inputs[0]), *inputs[1:]), named
        return inputs, named | {"hidden_states": self._perturb(named["hidden_states"])}

    def trained(self) -> dict[str, nn.Parameter]:
        """What training changes, by name."""
        return {name: value for name, value in self.named_parameters() if value.requires_grad}

    def weights(self) -> dict[str, Tensor]:
        """Everything that must be stored."""
        return {name: value.detach() for name, value in self.state_dict().items()}

    def load(self, weights: dict[str, Tensor]) -> None:
        """Puts back what `weights` gave, whatever the number of units."""
        self.head.grow(len(weights["head.bias"]))
        self.load_state_dict(weights)


def classifier(encoder: Encoder, settings: "LearnerSettings") -> Classifier:
    """A fresh model for a run's settings: its dropout, its seed and its noise."""
    training = settings.training
    perturb = FreshNoise(training.hype, training.hype_scale) if training.perturbs else None
    return Classifier(encoder, training.dropout, settings.seed, perturb)
