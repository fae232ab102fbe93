"""What a grown model is made of: which old unit each new unit copies, and which old layer each new layer.

A map says everything that growth decides. The weights, and whatever a pool holds for the old model, follow from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from continual.errors import PoolError


@dataclass(frozen=True, eq=False)
class Copies:
    """Which old unit each new unit is a copy of.

    Attributes:
        sources: For each new unit the number of an old one, int64, [new].
        old: How many old units there are; each has at least one copy.
    """

    sources: Tensor
    old: int

    @classmethod
    def same(cls, units: int) -> "Copies":
        """Every unit once."""
        return cls(torch.arange(units), units)

    @classmethod
    def spread(cls, old: int, new: int) -> "Copies":
        """Copies beside their originals, spread evenly: new unit i copies old unit `i * old // new`."""
        return cls(torch.arange(new) * old // new, old)

    @classmethod
    def drawn(cls, old: int, new: int, generator: torch.Generator) -> "Copies":
        """The old units in their order, behind them copies drawn uniformly (ELLE)."""
        extra = torch.randint(old, (new - old,), generator=generator)
        return cls(torch.cat([torch.arange(old), extra]), old)

    def __len__(self) -> int:
        return len(self.sources)

    @property
    def counts(self) -> Tensor:
        """For each new unit how many there are of its kind, itself included, float32, [new]."""
        return torch.bincount(self.sources, minlength=self.old)[self.sources].float()

    @property
    def extra(self) -> Tensor:
        """True for new units that are not the first of their kind, [new]."""
        first = torch.full((self.old,), len(self.sources))
        first = first.scatter_reduce(0, self.sources, torch.arange(len(self.sources)), "amin")
        return torch.arange(len(self.sources)) != first[self.sources]

    @property
    def unchanged(self) -> bool:
        """Whether nothing is copied."""
        return len(self.sources) == self.old and bool((self.sources == torch.arange(self.old)).all())

    @property
    def even(self) -> bool:
        """Whether every unit has as many copies as every other, one behind another."""
        times, rest = divmod(len(self.sources), self.old)
        return not rest and bool((self.sources == torch.arange(len(self.sources)) // times).all())

    def tilted(self, tilt: float) -> Tensor:
        """For each new unit a factor, float64, [new]: `1 - tilt` for the first of its kind, `1 + tilt` for the last.

        Their mean over a kind is 1, and that of a unit without copies is 1.
        """
        order = torch.argsort(self.sources, stable=True)
        starts = torch.searchsorted(self.sources[order], self.sources)
        rank = torch.empty_like(order)
        rank[order] = torch.arange(len(order))
        place, counts = (rank - starts).double(), self.counts.double()
        return 1 + tilt * (2 * place / (counts - 1).clamp(min=1) - 1) * (counts > 1)

    def copied(self, value: Tensor, axis: int) -> Tensor:
        """`value`, whose units lie along `axis`, for what the units give."""
        return value.index_select(axis, self.sources)

    def shared(self, value: Tensor, axis: int) -> Tensor:
        """`value`, whose units lie along `axis`, for what reads the units: copies share the weight of their kind."""
        shape = [1] * value.dim()
        shape[axis] = len(self)
        return self.copied(value, axis) / self.counts.view(shape)

    def blocks(self, size: int) -> "Copies":
        """The same for what units consist of, `size` each: the columns of heads, the query heads of a group."""
        sources = (self.sources[:, None] * size + torch.arange(size)).flatten()
        return Copies(sources, self.old * size)


@dataclass(frozen=True, eq=False)
class LayerMap:
    """A layer of the grown model.

    Attributes:
        source: The old layer that it is a copy of.
        place: 0 for the old layer itself, 1 for its first copy, and so on; copies follow their original.
        copies: How many layers have this source, the original included.
        heads: Of its query heads.
        keys: Of its heads of keys and values, which are fewer where query heads share them.
        inner: Of its feed-forward units.
    """

    source: int
    place: int
    copies: int
    heads: Copies
    keys: Copies
    inner: Copies

    @property
    def fresh(self) -> bool:
        """Whether it was added."""
        return self.place > 0

    @property
    def last(self) -> bool:
        """Whether the state behind it is the state behind its source."""
        return self.place == self.copies - 1


@dataclass(frozen=True, eq=False)
class StackMap:
    """The layers of one stack of the grown model.

    Attributes:
        layers: They.
        head: Numbers in a head.
    """

    layers: tuple[LayerMap, ...]
    head: int

    def __len__(self) -> int:
        return len(self.layers)

    @property
    def old(self) -> int:
        """How many layers there were."""
        return 1 + max(layer.source for layer in self.layers)

    def entry(self, layer: int) -> int:
        """Where the old layer with this number is now: a prompt that entered before it enters before that."""
        return next(number for number, item in enumerate(self.layers) if item.source == layer and not item.fresh)

    def behind(self, states: int) -> int:
        """After how many layers the state is now that was there after `states` layers."""
        return states and 1 + max(number for number, item in enumerate(self.layers) if item.source == states - 1)

    def above(self, layer: int) -> tuple[LayerMap, ...]:
        """The layers from `entry(layer)` on."""
        return self.layers[self.entry(layer) :]


READER, DECODER = "reader", "decoder"
"""The stack that reads a text, and the decoder of an encoder-decoder."""


@dataclass(frozen=True, eq=False)
class GrowthMap:
    """Everything that growth decides.

    Attributes:
        how: The expansion's name.
        family: The model's family.
        residual: Of the units of hidden states; one map for the whole network.
        stacks: The layers, by `READER` and `DECODER`.
        identity: Whether added layers begin as the identity.
        tilt: How unequally copies share each weight that reads their kind, see `Copies.tilted`.
    """

    how: str
    family: str
    residual: Copies
    stacks: Mapping[str, StackMap]
    identity: bool
    tilt: float = 0.0

    @property
    def reader(self) -> StackMap:
        """The layers that read a text."""
        return self.stacks[READER]

    @property
    def of_decoder(self) -> "GrowthMap":
        """The same as a prompt in the decoder sees it, whose layers are then those of `reader`."""
        return replace(self, stacks={READER: self.stacks[DECODER]})

    def to_json(self) -> dict[str, Any]:
        """What is no tensor, JSON-able."""
        return {
            "how": self.how,
            "family": self.family,
            "identity": self.identity,
            "tilt": self.tilt,
            "width": [self.residual.old, len(self.residual)],
            "stacks": {
                name: {"head": stack.head, "layers": [[item.source, item.place, item.copies] for item in stack.layers]}
                for name, stack in self.stacks.items()
            },
        }

    def tensors(self) -> dict[str, Tensor]:
        """The sources of all units, int32, by name."""
        found = {"residual": self.residual.sources}
        for name, stack in self.stacks.items():
            for number, layer in enumerate(stack.layers):
                for kind in ("heads", "keys", "inner"):
                    found[f"{name}.{number}.{kind}"] = getattr(layer, kind).sources
        return {name: value.int() for name, value in found.items()}

    @classmethod
    def restored(cls, value: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> "GrowthMap":
        """The map of `to_json` and `tensors`.

        Raises:
            PoolError: They do not belong together.
        """

        def copies(name: str) -> Copies:
            sources = tensors[name].long()
            return Copies(sources, 1 + int(sources.max()))

        def layer(name: str, number: int, item: list[int]) -> LayerMap:
            return LayerMap(*item, *(copies(f"{name}.{number}.{kind}") for kind in ("heads", "keys", "inner")))

        try:
            stacks = {
                name: StackMap(
                    tuple(layer(name, number, item) for number, item in enumerate(stack["layers"])), stack["head"]
                )
                for name, stack in value["stacks"].items()
            }
            return cls(value["how"], value["family"], copies("residual"), stacks, value["identity"], value["tilt"])
        except (KeyError, TypeError, ValueError) as error:
            raise PoolError(
                f"The map of a growth is damaged ({error!r}); restore its folder from a copy, or grow the model again."
            ) from error
