"""How a model may grow before it learns a domain. The expansions themselves live in `continual.growth`.

Any entry of `continual.growth.EXPANSIONS` that fulfils `Expansion` can be named by `strategy.expansion`; the room is
looked up only when that is asked for.
"""

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from continual.construction import construct
from continual.errors import ConfigError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Expansion(Protocol):
    """Makes a larger model that says about what the smaller one says."""

    def expand(self, model: "PreTrainedModel", seed: int) -> "PreTrainedModel":
        """The grown model, of the same class and vocabulary.

        Args:
            model: A masked or causal model; it is not changed.
            seed: Decides all that is random.
        """


def build_expansion(name: str, options: Mapping[str, Any]) -> Expansion:
    """The expansion that a strategy names.

    Args:
        name: An entry of `continual.growth.EXPANSIONS`.
        options: Its options.

    Raises:
        ConfigError: There is no such expansion, or it refuses an option.
    """
    try:
        registry = importlib.import_module("continual.growth").EXPANSIONS
    except (ModuleNotFoundError, AttributeError):
        raise ConfigError(
            f"strategy.expansion is {name!r}, but this version has no expansions; set strategy.expansion=null."
        ) from None
    return construct(registry, name, options, "strategy.expansion_options")
