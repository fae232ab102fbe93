"""Uses stored prompts: one batch may carry a different prompt for each text."""

from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from continual.backbone.encoder import Encoder
from continual.backbone.frozen import FrozenView, Seen, freeze
from continual.backbone.readout import Readout
from continual.backbone.states import CHUNK
from continual.backbone.texts import by_length
from continual.pool.prompt import Prompt
from continual.pool.store import PromptPool
from continual.tuning import build_tuning
from continual.tuning.base import Tensors, Tuning, final_states, trained_tensors
from continual.tuning.stored import StoredGround, loaded_ground

_KEPT_BYTES = 256_000_000
"""Size of the prompts that are kept ready; those that were not used for long leave first."""


@dataclass(frozen=True)
class _Ready:
    """A stored prompt, taken apart for use."""

    tuning: Tuning
    readout: Readout
    tensors: dict[str, Tensor]
    weight: Tensor
    bias: Tensor
    ground: StoredGround | None
    size: int

    def kind(self, stepwise: bool) -> tuple[str, str]:
        """Prompts of equal kind can share a batch.

        Lengths may differ where a shorter prompt can be filled up unseen; a backbone that is run as a whole would count
        the filling as positions of the text.
        """
        spec = {key: value for key, value in self.tuning.base.spec().items() if key != "length" or not stepwise}
        return str(sorted(spec.items())), f"{self.readout} {self.tuning.reading}"


class Predictor:
    """Applies prompts of a pool to texts.

    Args:
        encoder: The backbone.
        pool: Where the prompts are.
    """

    def __init__(self, encoder: Encoder, pool: PromptPool) -> None:
        self._encoder, self._pool = encoder, pool
        self._ready: OrderedDict[str, _Ready] = OrderedDict()
        self._kept_bytes = 0

    def logits(self, view: FrozenView, rows: Sequence[int], prompts: Sequence[str]) -> list[Tensor]:
        """Logits of texts `rows` of a view, each under a prompt of its own.

        Args:
            view: What the frozen model makes of the texts.
            rows: Which texts.
            prompts: For each of them the id of its prompt.

        Returns:
            For each text the logits over the labels of its prompt, [labels].
        """
        groups: dict[tuple[str, str], list[int]] = defaultdict(list)
        stepwise = self._encoder.stepwise
        for place, prompt in enumerate(prompts):
            groups[self._prepared(prompt).kind(stepwise)].append(place)
        results: list[Tensor] = [torch.empty(0)] * len(rows)
        for places in groups.values():
            self._one_kind(view, rows, prompts, places, results)
        return results

    @torch.no_grad()
    def _one_kind(
        self,
        view: FrozenView,
        rows: Sequence[int],
        prompts: Sequence[str],
        places: list[int],
        results: list[Tensor],
    ) -> None:
        """Fills in the results at `places`, whose prompts share tuning and readout."""
        first = self._prepared(prompts[places[0]])
        view = self._fitting(view, first)
        read = self._rendered(view, first)
        chosen = torch.tensor([rows[place] for place in places])
        for batch in by_length(view.texts.ids.lengths[chosen], CHUNK):
            ready = [self._prepared(prompts[places[number]]) for number in batch]
            seen = read.seen(chosen[batch])
            states = final_states(first.tuning.base, self._encoder, seen.hidden, seen.mask, _entering(ready, seen))
            vectors = first.tuning.read(self._encoder, seen, states)
            for number, vector, item in zip(batch.tolist(), vectors, ready, strict=True):
                results[places[number]] = item.weight @ vector + item.bias
        self._add_ground(view, rows, prompts, places, results)

    def _add_ground(
        self,
        view: FrozenView,
        rows: Sequence[int],
        prompts: Sequence[str],
        places: list[int],
        results: list[Tensor],
    ) -> None:
        """Adds to the results at `places` what is known of each text without its prompt."""
        by_prompt: dict[str, list[int]] = defaultdict(list)
        for place in places:
            by_prompt[prompts[place]].append(place)
        for prompt, own in by_prompt.items():
            ground = self._prepared(prompt).ground
            if ground is None:
                continue
            known = ground.logits(view, torch.tensor([rows[place] for place in own]))
            for place, logits in zip(own, known, strict=True):
                results[place] = results[place] + logits

    def _fitting(self, view: FrozenView, ready: _Ready) -> FrozenView:
        """The view as a prompt needs it; another one where the prompt enters or reads elsewhere."""
        entry = ready.tuning.entry(self._encoder)
        if entry == view.entry and ready.readout == view.readout:
            return view
        return freeze(self._encoder, view.texts, entry, ready.readout, keep_states=False)

    def _rendered(self, view: FrozenView, ready: _Ready) -> FrozenView:
        """The texts as the prompt reads them; the ground always reads them as they are."""
        texts = ready.tuning.texts(self._encoder, view.texts)
        if texts is view.texts:
            return view
        return freeze(self._encoder, texts, view.entry, Readout("none", terms=0), keep_states=False)

    def _prepared(self, prompt_id: str) -> _Ready:
        if prompt_id not in self._ready:
            self._ready[prompt_id] = _take_apart(self._pool.get(prompt_id))
            self._kept_bytes += self._ready[prompt_id].size
            while self._kept_bytes > _KEPT_BYTES and len(self._ready) > 1:
                self._kept_bytes -= self._ready.popitem(last=False)[1].size
        self._ready.move_to_end(prompt_id)
        return self._ready[prompt_id]


def _entering(ready: list[_Ready], seen: Seen) -> Tensors:
    """The tensors that enter the network for a batch, whose texts have prompts of one kind each."""
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


def _take_apart(prompt: Prompt) -> _Ready:
    spec = dict(prompt.tuning)
    readout = Readout(**spec.pop("readout"))
    stored = prompt.tensors
    return _Ready(
        build_tuning(spec),
        readout,
        trained_tensors(stored),
        stored["head.weight"],
        stored["head.bias"],
        loaded_ground(stored),
        sum(value.numel() * value.element_size() for value in stored.values()),
    )
