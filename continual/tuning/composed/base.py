"""What all compositions share: parts with names, and a base tuning that the result enters the network through."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor

from continual.backbone.encoder import Encoder
from continual.errors import ConfigError
from continual.tuning import build_tuning
from continual.tuning.base import Tensors, Tuning

OWN = "own"
"""The part that the task itself trains."""

EARLIER = "earlier"
"""The part that earlier tasks trained, where the task's own stands beside it."""

TOKENS = -2
"""The axis of a prompt's tensors along which its tokens lie: [..., tokens, width]."""

PROMPTS = ("input", "late", "deep")
"""Tunings whose tensors are lists of tokens, which can be put one behind another."""


class Composed(Tuning):
    """A tuning that makes the tensors of its base.

    Its tensors are named `part/name`: `own/prefix` is the tensor `prefix` of the part `own`.

    Args:
        base: What the base tuning is built from, such as `{"name": "deep", "length": 16}`.
    """

    def __init__(self, base: Mapping[str, Any]) -> None:
        self._base = build_tuning(dict(base))

    @property
    def base(self) -> Tuning:
        """See `Tuning.base`."""
        return self._base

    def spec(self) -> dict[str, Any]:
        """See `Tuning.spec`."""
        return {"name": self.name, "base": self.base.spec()}

    def entry(self, encoder: Encoder) -> int:
        """See `Tuning.entry`."""
        return self.base.entry(encoder)

    def initial(self, encoder: Encoder, states: Any, generator: Any) -> dict[str, Tensor]:
        """A fresh part of the task's own; the other parts come from elsewhere."""
        return part(OWN, self.base.initial(encoder, states, generator))

    def layers(self, encoder: Encoder, hidden: Tensor, mask: Tensor, tensors: Tensors) -> Iterator[Tensor]:
        """As the base, whose tensors `tensors` must be; see `compose`."""
        return self.base.layers(encoder, hidden, mask, tensors)

    def stack(self, prompts: Sequence[Tensors]) -> dict[str, Tensor]:
        """As the base, whose tensors `prompts` must be."""
        return self.base.stack(prompts)

    def pace(self, name: str) -> float:
        """See `Tuning.pace`: as the base for its own tensors, whichever part they belong to."""
        return self.base.pace(name.partition("/")[2])

    def tokens(self, tensors: Tensors) -> Tensor:
        """See `Tuning.tokens`: of what is lent."""
        lent = self.lent(tensors)
        return self.base.tokens(tensors if lent is None else lent)

    def lent(self, tensors: Tensors) -> Tensors | None:
        """The task's own part."""
        return of_part(OWN, tensors)


class Extended(Composed):
    """A composition in which the task's own part stands beside those of earlier tasks, which stay as they are."""

    def fixed(self, name: str) -> bool:
        """See `Tuning.fixed`."""
        return name.startswith(f"{EARLIER}/")


def part(name: str, tensors: Tensors) -> dict[str, Tensor]:
    """The tensors of a part under the names that a composition knows them by."""
    return {f"{name}/{key}": value for key, value in tensors.items()}


def of_part(name: str, tensors: Tensors) -> dict[str, Tensor]:
    """The tensors of one part under the base's names; empty where there is no such part."""
    start = f"{name}/"
    return {key.removeprefix(start): value for key, value in tensors.items() if key.startswith(start)}


def require_prompt(base: Tuning, what: str) -> None:
    """Refuses a base whose tensors are no lists of tokens.

    Raises:
        ConfigError: It is another kind of module.
    """
    if base.name not in PROMPTS:
        raise ConfigError(
            f"{what} puts prompts together, which tuning={base.name} is not; use tuning={', '.join(PROMPTS)}."
        )


def resized(base: Tuning, length: int) -> dict[str, Any]:
    """What a tuning of that many tokens is built from; what has no tokens stays as it is, for others to refuse."""
    spec = base.spec()
    return spec | {"length": length} if "length" in spec else spec
