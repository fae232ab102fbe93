"""How large a model is, and how much larger it is to become."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from continual.errors import ConfigError


@dataclass(frozen=True)
class StackSizes:
    """The sizes of one stack of layers.

    Attributes:
        layers: How many there are.
        heads: Query heads of a layer.
        keys: Heads of keys and values; fewer where query heads share them.
        inner: Feed-forward units of a layer.
    """

    layers: int
    heads: int
    keys: int
    inner: int


@dataclass(frozen=True)
class Sizes:
    """The sizes of a model.

    Attributes:
        width: Size of a hidden state.
        head: Numbers in a head; growth never changes it, so neither the scale of attention nor rotary positions do.
        stacks: By `maps.READER` and `maps.DECODER`.
        bound: Whether all heads together must be as wide as a hidden state.
        divided: Whether the width must be a multiple of the number of query heads, however large these are:
            `transformers` asks that of Llama.
    """

    width: int
    head: int
    stacks: Mapping[str, StackSizes]
    bound: bool = True
    divided: bool = False

    def to_json(self) -> dict[str, int]:
        """What people want to know, flat: of an encoder-decoder that of its encoder."""
        reader = next(iter(self.stacks.values()))
        return {"layers": reader.layers, "width": self.width, "heads": reader.heads, "inner": reader.inner}


@dataclass(frozen=True)
class Amount:
    """How much a model grows.

    Its messages name no command's settings: `continual grow --layers`, `growth.layers` and `strategy.added_layers`
    are all meant.

    Args:
        layers: Layers to add, to encoder and decoder each.
        width: Units to add to hidden states; heads and feed-forward units grow in proportion.
        inner: Feed-forward units to add to each layer beyond what `width` brings.
    """

    layers: int = field(default=0, metadata={"help": "layers to add, to encoder and decoder each"})
    width: int = field(
        default=0, metadata={"help": "units to add to hidden states; heads and feed-forward units follow"}
    )
    inner: int = field(default=0, metadata={"help": "feed-forward units to add to each layer beside"})

    def __post_init__(self) -> None:
        for name in ("layers", "width", "inner"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected 0 or more: a model never shrinks.")
        if not (self.layers or self.width or self.inner):
            raise ConfigError("The growth adds nothing, expected layers, width or inner above 0; raise one of them.")

    def of(self, sizes: Sizes) -> Sizes:
        """The sizes of a model after growing.

        Raises:
            ConfigError: No number of heads goes with the new width.
        """
        width = sizes.width + self.width
        if sizes.bound and width % sizes.head:
            raise ConfigError(
                f"A width of {self.width} more makes states {width} wide, which heads of {sizes.head} cannot fill; add "
                f"a multiple of {sizes.head}."
            )
        stacks = {}
        for name, stack in sizes.stacks.items():
            keys = _keys(stack, sizes, width)
            if keys is None:
                wider = next(more for more in range(width + 1, 2 * width) if _keys(stack, sizes, more))
                raise ConfigError(
                    f"A width of {self.width} more makes states {width} wide, which is no multiple of so many heads in "
                    f"groups of {stack.heads // stack.keys}; add {wider - sizes.width}."
                )
            inner = max(stack.inner, round(stack.inner * width / sizes.width)) + self.inner
            stacks[name] = StackSizes(stack.layers + self.layers, keys * (stack.heads // stack.keys), keys, inner)
        return replace(sizes, width=width, stacks=stacks)


def _keys(stack: StackSizes, sizes: Sizes, width: int) -> int | None:
    """Heads of keys and values at a larger width: in proportion to it, or the nearest number that divides the width.

    No fewer than there are, and at most one too many; None where none of these will do.
    """
    wanted = max(stack.keys, round(stack.keys * width / sizes.width))
    if not sizes.divided:
        return wanted
    group = stack.heads // stack.keys
    possible = [keys for keys in range(stack.keys, wanted + 2) if width % (keys * group) == 0]
    return min(possible, key=lambda keys: abs(keys - wanted), default=None)
