"""How the ground of a task lies beside its prompt in the pool."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from continual.backbone.frozen import FrozenView
from continual.tuning.dictionary import Dictionary
from continual.tuning.head import Head

_GROUND = "ground."


@dataclass(frozen=True)
class StoredGround:
    """A head for use: its weights are those of raw features.

    Attributes:
        weight: [labels, features].
        bias: [labels].
        dictionary: The terms that it knows.
        terms: Their weights, [terms, labels].
    """

    weight: Tensor
    bias: Tensor
    dictionary: Dictionary
    terms: Tensor

    def logits(self, view: FrozenView, rows: Tensor) -> Tensor:
        """What is known of some texts of a view without a prompt, [rows, labels]."""
        bags = self.dictionary.bags(view.terms.take(rows))
        return view.features[rows] @ self.weight.T + bags.logits(self.terms) + self.bias


def stored_ground(head: Head) -> dict[str, Tensor]:
    """The tensors of a head as they are stored with its prompt."""
    weight, bias = head.scaling.fold(head.weights.features, head.weights.bias)
    dictionary = head.dictionary
    tensors = {
        "weight": weight,
        "bias": bias,
        "terms": dictionary.terms,
        "surprise": dictionary.surprise,
        "term_weight": head.weights.terms,
    }
    return {f"{_GROUND}{name}": value for name, value in tensors.items()}


def loaded_ground(tensors: Mapping[str, Tensor]) -> StoredGround | None:
    """The head that was stored with a prompt; None where the prompt stands on its own."""
    if f"{_GROUND}weight" not in tensors:
        return None
    weight, bias, terms, surprise, term_weight = (
        tensors[f"{_GROUND}{name}"] for name in ("weight", "bias", "terms", "surprise", "term_weight")
    )
    return StoredGround(weight, bias, Dictionary(terms, surprise), term_weight)
