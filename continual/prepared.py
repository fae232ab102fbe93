"""Stored prompts, taken apart and kept ready for use."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from continual.backbone.frozen import Seen
from continual.backbone.readout import Readout
from continual.pool.prompt import Prompt
from continual.pool.store import PromptPool
from continual.tuning import stored_tuning
from continual.tuning.base import Tensors, Tuning, trained_tensors
from continual.tuning.stored import StoredGround, loaded_ground

_KEPT_BYTES = 256_000_000
"""Size of the prompts that are kept ready; those that were not used for long leave first."""


@dataclass(frozen=True)
class StoredHead:
    """The linear classifier of a stored prompt: of states that are not standardised.

    Attributes:
        weight: [labels, width].
        bias: [labels].
    """

    weight: Tensor
    bias: Tensor

    def logits(self, vector: Tensor) -> Tensor:
        """[labels] of a vector [width]."""
        return self.weight @ vector + self.bias


@dataclass(frozen=True)
class Prepared:
    """A stored prompt, taken apart for use.

    Attributes:
        tuning: Its kind.
        readout: What its ground reads.
        tensors: What its tuning trained.
        head: Its classifier; None where the backbone answers in words.
        labels: The labels that it answers; none of a translation.
        ground: What is known without the prompt; None where it stands on its own.
        size: In bytes.
    """

    tuning: Tuning
    readout: Readout
    tensors: dict[str, Tensor]
    head: StoredHead | None
    ground: StoredGround | None
    size: int
    labels: tuple[str, ...] = ()

    @classmethod
    def of(cls, prompt: Prompt) -> "Prepared":
        """From the pool."""
        readout, tuning = Readout(**prompt.tuning["readout"]), stored_tuning(prompt.tuning)
        stored = prompt.tensors
        head = StoredHead(stored["head.weight"], stored["head.bias"]) if "head.weight" in stored else None
        size = sum(value.numel() * value.element_size() for value in stored.values())
        return cls(tuning, readout, trained_tensors(stored), head, loaded_ground(stored), size, prompt.labels)

    def kind(self, stepwise: bool) -> tuple[str, str]:
        """Prompts of equal kind can share a batch.

        Lengths may differ where a shorter prompt can be filled up unseen; a backbone that is run as a whole would count
        the filling as positions of the text.
        """
        spec = {key: value for key, value in self.tuning.base.spec().items() if key != "length" or not stepwise}
        words = self.labels if self.head is None else ()
        return str(sorted(spec.items())), f"{self.readout} {self.tuning.reading} {words}"


class PreparedPrompts:
    """The prompts of a pool, taken apart when they are asked for; those used last stay ready.

    Args:
        pool: Where the prompts are.
    """

    def __init__(self, pool: PromptPool) -> None:
        self._pool = pool
        self._ready: OrderedDict[str, Prepared] = OrderedDict()
        self._kept_bytes = 0

    def __getitem__(self, prompt_id: str) -> Prepared:
        """The prompt with an id."""
        if prompt_id not in self._ready:
            self._ready[prompt_id] = Prepared.of(self._pool.get(prompt_id))
            self._kept_bytes += self._ready[prompt_id].size
            while self._kept_bytes > _KEPT_BYTES and len(self._ready) > 1:
                self._kept_bytes -= self._ready.popitem(last=False)[1].size
        self._ready.move_to_end(prompt_id)
        return self._ready[prompt_id]


def entering(ready: Sequence[Prepared], seen: Seen) -> Tensors:
    """The tensors that enter the network for a batch of texts.

    Args:
        ready: For each text its prompt; all are of one kind.
        seen: What is known of the texts.
    """
    first = ready[0]
    if all(other is first for other in ready):
        tensors = first.tuning.compose(first.tensors, seen)
        return tensors if first.tuning.per_text else first.tuning.base.stack([tensors])
    each: list[Tensors] = [{}] * len(ready)
    for item in {id(item): item for item in ready}.values():
        own = torch.tensor([place for place, other in enumerate(ready) if other is item])
        tensors = item.tuning.compose(item.tensors, seen.take(own))
        for number, place in enumerate(own.tolist()):
            one = {name: value[number] for name, value in tensors.items()} if item.tuning.per_text else tensors
            each[place] = one
    return first.tuning.base.stack(each)
