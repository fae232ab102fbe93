"""Growth that changes nothing: added layers begin as the identity, units are replicated in whole multiples."""

from collections.abc import Sequence
from typing import ClassVar

from continual.errors import ConfigError
from continual.growth.expansion import Expansion
from continual.growth.maps import Copies
from continual.growth.sizes import Amount, Sizes


class Exact(Expansion):
    """An expansion of ours that preserves the function up to rounding.

    Depth: a copy's output matrices are zero, so it adds nothing to the residual stream. Where norms stand before the
    parts (T5, GPT-2, Llama) that is the identity. Where they stand behind (BERT, RoBERTa, MPNet, Marian), `LN(x + 0)`
    is not x but x without its mean, scale and the affine of the norm before. So the affine of the original's last norm
    moves to the last norm of its last copy, and all norms between have gain 1 and bias 0: normalising what is
    normalised changes nothing but for the norm's epsilon, relative `eps / 2 * |1 / v - 1|` for a state of variance v.

    Width: mean, variance and mean square over units stay what they are if every unit is replicated equally often, so
    states grow by whole multiples. Feed-forward units, whose activations no norm sees, may grow by any number. What
    reads replicas divides each weight among them, and not equally: from 3/4 to 5/4 of an equal share, and which replica
    gets more is drawn for each line of weights. The sum stays, so the function does; the gradients of replicas differ
    in direction, so that they learn different things.
    """

    name = "exact"
    exact: ClassVar[bool] = True
    identity: ClassVar[bool] = True
    tilt: ClassVar[float] = 0.25

    def check(self, sizes: Sizes, amount: Amount) -> None:
        """See `Expansion.check`."""
        if amount.width % sizes.width:
            wider = sizes.width + amount.width
            raise ConfigError(
                f"The added width would make states of {sizes.width} numbers {wider} wide, but exact growth "
                f"keeps the statistics of layer norms for whole multiples alone; add {sizes.width}, or grow by elle."
            )

    def units(self, old: int, new: int, seed: int) -> Copies:
        """See `Expansion.units`: copies lie beside their originals; nothing is random."""
        return Copies.spread(old, new)

    def duplicated(self, layers: int, more: int, seed: int) -> Sequence[int]:
        """See `Expansion.duplicated`: from the top, where prompts act and little is to be computed anew."""
        return [layers - 1 - number % layers for number in range(more)]
