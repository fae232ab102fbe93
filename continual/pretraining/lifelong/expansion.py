"""How a model grows before it learns a domain, by the expansions of `continual.growth`."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from continual.growth.expansion import Expansion
    from continual.growth.sizes import Amount
    from continual.pretraining.lifelong.config import StrategyConfig


@dataclass(frozen=True)
class Expanding:
    """An expansion, and by how much.

    Attributes:
        expansion: One of `continual.growth.EXPANSIONS`.
        amount: What is added each time.
    """

    expansion: "Expansion"
    amount: "Amount"

    @classmethod
    def of(cls, strategy: "StrategyConfig") -> "Expanding":
        """What a strategy names.

        Raises:
            ConfigError: There is no such expansion, or nothing is added.
        """
        from continual.growth import EXPANSIONS
        from continual.growth.sizes import Amount

        amount = Amount(strategy.added_layers, strategy.added_width, strategy.added_inner)
        return cls(EXPANSIONS.load(strategy.expansion)(), amount)

    def check(self, model: "PreTrainedModel", times: int) -> None:
        """Refuses a model that cannot grow so often. Raises as `grow`."""
        from continual.growth.weights import check_growable

        check_growable(model, self.expansion, self.amount, times)

    def grow(self, model: "PreTrainedModel", seed: int) -> "PreTrainedModel":
        """A larger model of the same class and vocabulary, all of whose weights learn; the given one is not changed.

        Args:
            model: A masked or causal model.
            seed: Decides all that is random.

        Raises:
            BackboneError: Models of its family cannot grow.
            ConfigError: The expansion cannot make a model of that size.
        """
        from continual.growth.weights import grown, plan

        chosen = plan(model, self.expansion, self.amount, seed)
        return grown(model, chosen, self.expansion.noise, seed).requires_grad_(True)
