"""What an expansion is: it decides maps, and how the weights of copies differ from those of their originals."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch

from continual.growth.maps import Copies, GrowthMap, LayerMap, StackMap
from continual.growth.sizes import Amount, Sizes, StackSizes
from continual.seeding import seed_of


class Expansion(ABC):
    """A way to enlarge a model. See `EXPANSIONS`."""

    name: ClassVar[str] = ""

    exact: ClassVar[bool] = False
    """Whether a grown model computes what it did, up to rounding; `continual grow` refuses one that does not."""

    identity: ClassVar[bool]
    """Whether added layers begin as the identity; otherwise they compute what their originals compute."""

    tilt: ClassVar[float] = 0.0
    """How unequally copies share each weight that reads their kind; equal copies would learn the same for ever."""

    noise: float = 0.0
    """Deviation of what is added to the weights that read replicated units, on the replicas alone."""

    def map(self, family: str, sizes: Sizes, amount: Amount, seed: int, one_head_map: bool) -> GrowthMap:
        """Decides what is copied.

        Args:
            family: The model's family.
            sizes: The model's sizes.
            amount: How much it grows.
            seed: Decides what is random.
            one_head_map: Whether all layers share the copies of heads, because they share what belongs to a head.

        Raises:
            ConfigError: The expansion cannot grow a model by so much.
        """
        larger = self.larger(sizes, amount)
        residual = self.units(sizes.width, larger.width, seed_of(seed, "growth", "residual"))
        stacks = {
            name: self._stack(name, sizes.stacks[name], larger.stacks[name], sizes.head, seed, one_head_map)
            for name in sizes.stacks
        }
        return GrowthMap(self.name, family, residual, stacks, self.identity, self.tilt)

    def larger(self, sizes: Sizes, amount: Amount) -> Sizes:
        """The sizes of the grown model. Raises as `map`."""
        self.check(sizes, amount)
        return amount.of(sizes)

    @abstractmethod
    def check(self, sizes: Sizes, amount: Amount) -> None:
        """Refuses an amount that the expansion cannot add, whatever heads there are. Raises as `map`."""

    @abstractmethod
    def units(self, old: int, new: int, seed: int) -> Copies:
        """Which old unit each new one copies."""

    @abstractmethod
    def duplicated(self, layers: int, more: int, seed: int) -> Sequence[int]:
        """The numbers of the `more` layers out of `layers` that are duplicated; one may appear several times."""

    def _stack(self, name: str, old: StackSizes, new: StackSizes, head: int, seed: int, one_head_map: bool) -> StackMap:
        added = list(self.duplicated(old.layers, new.layers - old.layers, seed_of(seed, "growth", name, "layers")))
        layers: list[LayerMap] = []
        for source in range(old.layers):
            copies = 1 + added.count(source)
            for place in range(copies):
                own = ("0",) if one_head_map else (str(len(layers)),)
                keys = self.units(old.keys, new.keys, seed_of(seed, "growth", name, "heads", *own))
                inner = self.units(old.inner, new.inner, seed_of(seed, "growth", name, "inner", str(len(layers))))
                heads = keys.blocks(old.heads // old.keys)
                layers.append(LayerMap(source, place, copies, heads, keys, inner))
        return StackMap(tuple(layers), head)


def generator(seed: int) -> torch.Generator:
    """Randomness of its own."""
    return torch.Generator().manual_seed(seed)
