"""Translates under stored prompts: one batch may carry a different prompt for each text."""

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from continual.backbone.frozen import FrozenView, freeze
from continual.backbone.generation import Decoding
from continual.backbone.readout import Readout
from continual.backbone.steering import UNSTEERED, Steering
from continual.backbone.text_to_text import TextToText
from continual.backbone.texts import by_length
from continual.pool.store import PromptPool
from continual.prepared import PreparedPrompts, entering

UNTUNED = None
"""In place of a prompt's id: the backbone as it is."""

NO_READOUT = Readout("none", terms=0)
"""A translation stands on no ground, so nothing is read out for one."""

_WRITTEN_AT_ONCE = 32


@dataclass(frozen=True)
class Written:
    """What was written, and how fast.

    Attributes:
        texts: The translations.
        tokens: How many tokens they have, end tokens included.
        seconds: Wall time.
    """

    texts: list[str]
    tokens: int
    seconds: float


class Translator:
    """Applies prompts of a pool to sources.

    Args:
        backbone: The generative backbone.
        pool: Where the prompts are.
        decoding: How translations are searched for.
    """

    def __init__(self, backbone: TextToText, pool: PromptPool, decoding: Decoding) -> None:
        self._backbone, self._decoding = backbone, decoding
        self._prompts = PreparedPrompts(pool)

    @torch.no_grad()
    def translate(self, view: FrozenView, rows: Sequence[int], prompts: Sequence[str | None]) -> Written:
        """Translations of the texts `rows` of a view, each under a prompt of its own.

        Args:
            view: What the frozen model makes of the sources.
            rows: Which of them.
            prompts: For each of them the id of its prompt, or `UNTUNED`.
        """
        started = time.monotonic()
        groups: dict[object, list[int]] = defaultdict(list)
        for place, prompt in enumerate(prompts):
            groups[None if prompt is UNTUNED else self._prompts[prompt].kind(self._backbone.stepwise)].append(place)
        results, tokens = [""] * len(rows), 0
        for places in groups.values():
            chosen = torch.tensor([rows[place] for place in places])
            for batch in by_length(view.texts.ids.lengths[chosen], _WRITTEN_AT_ONCE):
                own = [places[number] for number in batch.tolist()]
                ids, mask, _ = view.texts.batch(chosen[batch], self._backbone.pad_token)
                steering = self._steering(view, chosen[batch], [prompts[place] for place in own])
                written = self._backbone.generate(ids, mask, self._decoding, steering)
                tokens += self._count(written)
                for place, text in zip(own, self._backbone.decoded(written), strict=True):
                    results[place] = text
        return Written(results, tokens, time.monotonic() - started)

    def _steering(self, view: FrozenView, rows: Tensor, prompts: Sequence[str | None]) -> Steering:
        """What the prompts of a batch do; they are of one kind."""
        ready = [self._prompts[prompt] for prompt in prompts if prompt is not UNTUNED]
        if not ready:
            return UNSTEERED
        base, entry = ready[0].tuning.base, ready[0].tuning.entry(self._backbone)
        if entry != view.entry:
            view = freeze(self._backbone, view.texts, entry, NO_READOUT, keep_states=False)
        return base.steering(self._backbone, entering(ready, view.seen(rows)))

    def _count(self, ids: Tensor) -> int:
        """Tokens up to the end of each target, [targets, longest]; what stands behind is padding."""
        ends = (ids == self._backbone.tokenizer.eos_token_id).int()
        return int((ends.cumsum(1) - ends == 0).sum())
