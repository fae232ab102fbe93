"""One prompt and its classifier on the frozen backbone: what a training changes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from continual.backbone.body import Perturbation
from continual.backbone.encoder import Encoder
from continual.backbone.frozen import FrozenView
from continual.backbone.states import CHUNK
from continual.backbone.texts import by_length
from continual.training.steered import SteeredModel
from continual.tuning.base import Tuning, pooled_state
from continual.tuning.head import Scaling

if TYPE_CHECKING:
    from continual.training.examples import Examples


@dataclass(frozen=True)
class Classifier:
    """A linear classifier of pooled states.

    Attributes:
        weight: Of standardised states, [labels, width].
        bias: [labels].
        scaling: How the states are standardised.
    """

    weight: Tensor
    bias: Tensor
    scaling: Scaling

    def folded(self) -> tuple[Tensor, Tensor]:
        """Weight [labels, width] and bias [labels] for states that are not standardised."""
        return self.scaling.fold(self.weight, self.bias)


class PromptModel(SteeredModel):
    """The frozen backbone steered by one prompt, with a linear classifier on its pooled last states.

    Args:
        encoder: The backbone; it is used, not owned, so its weights are no parameters of this module.
        tuning: The prompt's kind.
        tensors: The prompt's tensors at the start; they are copied. Those that the tuning calls fixed are not trained.
        labels: How many labels the task has.
        scaling: How the pooled states are standardised.
    """

    def __init__(
        self, encoder: Encoder, tuning: Tuning, tensors: Mapping[str, Tensor], labels: int, scaling: Scaling
    ) -> None:
        super().__init__(encoder, tuning, tensors)
        # From zero: before the first step, a prediction is that of the ground alone.
        self.weight = nn.Parameter(torch.zeros(labels, tuning.reading_width(encoder)))
        self.bias = nn.Parameter(torch.zeros(labels))
        self.scaling = scaling

    @classmethod
    def begin(
        cls,
        encoder: Encoder,
        tuning: Tuning,
        tensors: Mapping[str, Tensor],
        labels: int,
        view: FrozenView,
        classifier: "Classifier | None" = None,
    ) -> "PromptModel":
        """A model that starts from `tensors`.

        Its classifier is given, or says nothing and has its scaling from the texts of `view`.
        """
        model = cls(encoder, tuning, tensors, labels, Scaling.none(tuning.reading_width(encoder)))
        if classifier is None:
            model.scaling = Scaling.of(model.all_features(view))
        else:
            model.scaling = classifier.scaling
            model.load(model.trained() | {"weight": classifier.weight, "bias": classifier.bias})
        return model

    @property
    def classifier(self) -> "Classifier":
        """A copy of the classifier."""
        return Classifier(self.weight.detach().clone(), self.bias.detach().clone(), self.scaling)

    def features(self, view: FrozenView, rows: Tensor, perturb: Perturbation | None = None) -> Tensor:
        """What is read of some texts under the prompt, standardised, [rows, width].

        Args:
            view: What the frozen model makes of the texts.
            rows: Which texts.
            perturb: What the input of every layer from the prompt's entry on goes through first.
        """
        encoder = self.encoder if perturb is None else self.encoder.perturbed(perturb)
        read = pooled_state(self.tuning, encoder, view.seen(rows), self.tensors)
        return (read - self.scaling.mean) / self.scaling.scale

    @torch.no_grad()
    def all_features(self, view: FrozenView) -> Tensor:
        """`features` of all texts of a view, [texts, width]."""
        features = torch.empty(len(view), self.tuning.reading_width(self.encoder))
        for rows in by_length(view.states.lengths, CHUNK):
            features[rows] = self.features(view, rows)
        return features

    @property
    def heads(self) -> list[nn.Parameter]:
        """What is trained at the heads' learning rate."""
        return [self.weight, self.bias]

    @property
    def dropout_width(self) -> int:
        """How many features of each text dropout may leave out."""
        return self.weight.shape[1]

    def answers(
        self, examples: "Examples", rows: Tensor, perturb: Perturbation | None = None, factors: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """See `Trainable.answers`: logits with the ground's, [rows, labels], and label numbers, [rows]."""
        features = self.features(examples.view, rows, perturb)
        if factors is not None:
            features = features * factors
        return examples.ground[rows] + self.classify(features), examples.labels[rows]

    def score(self, examples: "Examples") -> tuple[float, float]:
        """Accuracy and mean cross-entropy, in nats, on labelled texts."""
        logits = self.logits(examples)
        accuracy = (logits.argmax(1) == examples.labels).float().mean()
        return float(accuracy), float(F.cross_entropy(logits, examples.labels))

    def classify(self, features: Tensor) -> Tensor:
        """What the prompt adds to the ground, [rows, labels], from standardised features."""
        return features @ self.weight.T + self.bias

    @torch.no_grad()
    def logits(self, examples: "Examples") -> Tensor:
        """Logits of all texts, the ground's included, [texts, labels], without dropout."""
        return examples.ground + self.classify(self.all_features(examples.view))
