"""The frozen backbone under one prompt that is trained, whatever the kind of task."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import Tensor, nn

from continual.backbone.encoder import Encoder
from continual.training.trainable import ByRows, Trainable
from continual.tuning.base import Tuning

if TYPE_CHECKING:
    from continual.training.examples import Material
    from continual.training.model import Classifier


class SteeredModel(Trainable):
    """The frozen backbone steered by one prompt.

    Args:
        encoder: The backbone; it is used, not owned, so its weights are no parameters of this module.
        tuning: The prompt's kind.
        tensors: The prompt's tensors at the start; they are copied. Those that the tuning calls fixed are not trained.

    Attributes:
        prompt: The tensors that are trained.
    """

    def __init__(self, encoder: Encoder, tuning: Tuning, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        self._frozen = (encoder,)  # in a tuple, so that nn.Module does not adopt the backbone
        self.tuning = tuning
        copies = {name: value.detach().clone() for name, value in tensors.items()}
        self._fixed = {name: value for name, value in copies.items() if tuning.fixed(name)}
        self.prompt = nn.ParameterDict(
            {name: nn.Parameter(value) for name, value in copies.items() if name not in self._fixed}
        )

    @abstractmethod
    def logits(self, examples: "Material") -> ByRows:
        """Logits of all examples without dropout and gradients: what a teacher says."""

    @property
    def paces(self) -> list[tuple[nn.Parameter, float]]:
        """See `Trainable.paces`: those that the tuning sets."""
        return [(value, self.tuning.pace(name)) for name, value in self.prompt.items()]

    @property
    def classifier(self) -> "Classifier | None":
        """A copy of the classifier; None where there is none."""
        return None

    @property
    def encoder(self) -> Encoder:
        """The backbone."""
        return self._frozen[0]

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The prompt's tensors, trained and fixed ones."""
        return {**self._fixed, **self.prompt}
