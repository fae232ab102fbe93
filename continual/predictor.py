"""Uses stored prompts: one batch may carry a different prompt for each text."""

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor

from continual.backbone.encoder import Encoder
from continual.backbone.frozen import FrozenView, freeze
from continual.backbone.readout import Readout
from continual.backbone.states import CHUNK
from continual.backbone.texts import by_length
from continual.pool.prompt import Prompt
from continual.pool.store import PromptPool
from continual.prepared import Prepared, PreparedPrompts, entering
from continual.stopping import may_stop
from continual.training.label_model import label_scores
from continual.tuning.base import final_states


class Held:
    """A few prompts in memory, in place of a pool."""

    def __init__(self, prompts: Sequence[Prompt]) -> None:
        self._prompts = {prompt.id: prompt for prompt in prompts}

    def get(self, prompt_id: str) -> Prompt:
        """The prompt."""
        return self._prompts[prompt_id]


class Predictor:
    """Applies prompts to texts.

    Args:
        encoder: The backbone.
        pool: Where the prompts are.
    """

    def __init__(self, encoder: Encoder, pool: PromptPool | Held) -> None:
        self._encoder, self._prompts = encoder, PreparedPrompts(pool)

    def logits(self, view: FrozenView, rows: Sequence[int], prompts: Sequence[str]) -> list[Tensor]:
        """Logits of texts `rows` of a view, each under a prompt of its own.

        Args:
            view: What the frozen model makes of the texts.
            rows: Which texts.
            prompts: For each of them the id of its prompt.

        Returns:
            For each text the logits over the labels of its prompt, [labels].

        Raises:
            Interrupted: A stop was asked for, see `continual.stopping`.
        """
        groups: dict[tuple[str, str], list[int]] = defaultdict(list)
        stepwise = self._encoder.stepwise
        for place, prompt in enumerate(prompts):
            groups[self._prompts[prompt].kind(stepwise)].append(place)
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
        first = self._prompts[prompts[places[0]]]
        view = self._fitting(view, first)
        read = self._rendered(view, first)
        chosen = torch.tensor([rows[place] for place in places])
        # Without a head each text is read once for every label.
        size = CHUNK if first.head is not None else max(1, CHUNK // len(first.labels))
        for batch in by_length(view.texts.ids.lengths[chosen], size):
            may_stop()
            ready = [self._prompts[prompts[places[number]]] for number in batch]
            for number, logits in zip(batch.tolist(), self._answers(read, chosen[batch], ready), strict=True):
                results[places[number]] = logits
        self._add_ground(view, rows, prompts, places, results)

    def _answers(self, view: FrozenView, rows: Tensor, ready: list[Prepared]) -> list[Tensor]:
        """What prompts of one kind say of texts, without their grounds: by a head, or by the labels' texts."""
        first, seen = ready[0], view.seen(rows)
        tensors = entering(ready, seen)
        if first.head is None:
            words = self._encoder.tokenize_targets(first.labels)
            return list(label_scores(self._encoder, first.tuning.base, tensors, view, rows, words))
        states = final_states(first.tuning.base, self._encoder, seen.hidden, seen.mask, tensors)
        vectors = first.tuning.read(self._encoder, seen, states)
        return [item.head.logits(vector) for vector, item in zip(vectors, ready, strict=True)]

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
            ground = self._prompts[prompt].ground
            if ground is None:
                continue
            known = ground.logits(view, torch.tensor([rows[place] for place in own]))
            for place, logits in zip(own, known, strict=True):
                results[place] = results[place] + logits

    def _fitting(self, view: FrozenView, ready: Prepared) -> FrozenView:
        """The view as a prompt needs it; another one where the prompt enters or reads elsewhere."""
        entry = ready.tuning.entry(self._encoder)
        if entry == view.entry and ready.readout == view.readout:
            return view
        return freeze(self._encoder, view.texts, entry, ready.readout, keep_states=False)

    def _rendered(self, view: FrozenView, ready: Prepared) -> FrozenView:
        """The texts as the prompt reads them; the ground always reads them as they are."""
        texts = ready.tuning.texts(self._encoder, view.texts)
        if texts is view.texts:
            return view
        return freeze(self._encoder, texts, view.entry, Readout("none", terms=0), keep_states=False)
