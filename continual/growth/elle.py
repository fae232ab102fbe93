"""Function-preserving initialisation as published in ELLE."""

import random
from collections.abc import Sequence
from typing import ClassVar

from continual.growth.expansion import Expansion, generator
from continual.growth.maps import Copies
from continual.growth.sizes import Amount, Sizes
from continual.limits import at_least


class Elle(Expansion):
    """Width and depth expansion of ELLE (Qin et al. 2022, arXiv 2203.06311), after its released code.

    Width: each new unit copies one that is drawn uniformly; one map for the residual stream, for each layer maps of its
    own for heads and feed-forward units. What reads a unit that has replicas divides the weight among them, the
    original included, and noise on the replicas' part breaks the symmetry. Units are not replicated equally often,
    which changes the statistics of layer norms, so the function is kept approximately.

    Depth: layers drawn without replacement are duplicated behind themselves and compute what they compute, so the
    function is kept approximately too; within one growth none is duplicated twice before all have been. The released
    code remembers over several growths which original layers were duplicated; here each growth draws anew.

    Where relative position biases of heads are shared by all layers (MPNet, T5), so is the map of heads; where query
    heads share keys and values (Llama), whole groups are replicated. Both follow from the architectures and are ours:
    the paper grows BERT and GPT.

    Args:
        noise: Standard deviation of the noise; 0.01 in the released code.
    """

    name = "elle"
    identity: ClassVar[bool] = False

    def __init__(self, noise: float = 0.01) -> None:
        at_least(0, noise, "growth.noise")
        self.noise = noise

    def check(self, sizes: Sizes, amount: Amount) -> None:
        """See `Expansion.check`; all can be added."""

    def units(self, old: int, new: int, seed: int) -> Copies:
        """See `Expansion.units`."""
        return Copies.drawn(old, new, generator(seed))

    def duplicated(self, layers: int, more: int, seed: int) -> Sequence[int]:
        """See `Expansion.duplicated`."""
        rounds, rest = divmod(more, layers)
        return [*range(layers)] * rounds + random.Random(seed).sample(range(layers), rest)
