"""One prompt and its head on the frozen backbone: what a training changes."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from continual.backbone.encoder import Encoder
from continual.backbone.frozen import FrozenView
from continual.backbone.readout import Readout
from continual.backbone.states import CHUNK
from continual.backbone.texts import by_length
from continual.tuning.base import Tuning
from continual.tuning.dictionary import Dictionary
from continual.tuning.head import Evidence, Head, Weights, fold


class PromptModel(nn.Module):
    """The frozen backbone steered by one prompt, with a linear head on its readout.

    Args:
        encoder: The backbone; it is used, not owned, so its weights are no parameters of this module.
        tuning: The prompt's kind.
        readout: What the head sees.
        tensors: The prompt's tensors at the start; they are copied.
        head: The head at the start; it is copied. A model without one gives features only.
    """

    def __init__(
        self,
        encoder: Encoder,
        tuning: Tuning,
        readout: Readout,
        tensors: Mapping[str, Tensor],
        head: Head | None = None,
    ) -> None:
        super().__init__()
        self._frozen = (encoder,)  # in a tuple, so that nn.Module does not adopt the backbone
        self.tuning = tuning
        self.readout = readout
        self.prompt = nn.ParameterDict({name: nn.Parameter(value.clone()) for name, value in tensors.items()})
        if head is not None:
            self.weight = nn.Parameter(head.weights.features.clone())
            self.bias = nn.Parameter(head.weights.bias.clone())
            # No prompt changes a text's terms, so their weights stay at the optimum that they were fitted to.
            self.term_weight, self.dictionary = head.weights.terms, head.dictionary
            self.mean, self.scale, self.penalty = head.mean, head.scale, head.penalty

    def with_head(self, head: Head) -> "PromptModel":
        """A copy of this model with `head`."""
        return PromptModel(self.encoder, self.tuning, self.readout, dict(self.prompt), head)

    @property
    def encoder(self) -> Encoder:
        """The backbone."""
        return self._frozen[0]

    def features(self, view: FrozenView, rows: Tensor) -> Tensor:
        """Features of some texts under the prompt, not standardised, [rows, features]."""
        hidden, mask = view.states.batch(rows)
        layers = self.tuning.layers(self.encoder, hidden, mask, self.prompt)
        return self.readout.prompted(self.encoder, view.entry, view.features[rows], layers, mask)

    @torch.no_grad()
    def raw_features(self, view: FrozenView) -> Tensor:
        """Features of all texts of a view under the prompt, not standardised, [texts, features]."""
        features = torch.empty_like(view.features)
        for rows in by_length(view.states.lengths, CHUNK):
            features[rows] = self.features(view, rows)
        return features

    def evidence(self, view: FrozenView, dictionary: Dictionary) -> Evidence:
        """What a head with `dictionary` reads of all texts of a view under the prompt, not standardised."""
        return Evidence(self.raw_features(view), dictionary.bags(view.terms))

    def standardise(self, features: Tensor) -> Tensor:
        """Features with the head's mean and scale taken out."""
        return (features - self.mean) / self.scale

    def classify(self, features: Tensor) -> Tensor:
        """Logits [rows, labels] from standardised features; those of the terms are still to be added."""
        return features @ self.weight.T + self.bias

    def term_logits(self, view: FrozenView) -> Tensor:
        """What the texts' terms add to their logits, [texts, labels]."""
        return self.dictionary.bags(view.terms).logits(self.term_weight)

    def regulariser(self) -> Tensor:
        """The penalty on those of the head's weights that change, a scalar to be added to the loss."""
        return self.penalty * self.weight.square().sum()

    @torch.no_grad()
    def logits(self, view: FrozenView) -> Tensor:
        """Logits of all texts of a view, [texts, labels], without dropout."""
        logits = self.term_logits(view)
        for rows in by_length(view.states.lengths, CHUNK):
            logits[rows] += self.classify(self.standardise(self.features(view, rows)))
        return logits

    def head_weights(self) -> Weights:
        """What the head has learned."""
        return Weights(self.weight.detach(), self.term_weight, self.bias.detach())

    def folded_head(self) -> tuple[Tensor, Tensor]:
        """Weight [labels, features] and bias [labels] of the head on features that are not standardised."""
        return fold(self.weight.detach(), self.bias.detach(), self.mean, self.scale)

    @property
    def size(self) -> int:
        """How many numbers were trained, those of the head included."""
        return sum(value.numel() for value in self.parameters()) + self.term_weight.numel()

    def trained(self) -> dict[str, Tensor]:
        """Copies of all that training changes, by name."""
        return {name: value.detach().clone() for name, value in self.named_parameters()}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Puts back what `trained` gave."""
        with torch.no_grad():
            for name, value in self.named_parameters():
                value.copy_(tensors[name])
