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
from continual.backbone.texts import EncodedTexts, by_length
from continual.long_texts import pieces
from continual.pool.store import PromptPool
from continual.prepared import PreparedPrompts, entering
from continual.stopping import may_stop

UNTUNED = None
"""In place of a prompt's id: the backbone as it is."""

NO_READOUT = Readout("none", terms=0)
"""A translation stands on no ground, so nothing is read out for one."""

_WRITTEN_AT_ONCE = 32


@dataclass(frozen=True)
class Sources:
    """Texts to be translated; what is longer than the backbone reads is in several pieces.

    Attributes:
        pieces: The tokenised pieces, those of a text one after the other.
        first: The number of each text's first piece, and the number of pieces, [texts + 1].
    """

    pieces: EncodedTexts
    first: Tensor

    @classmethod
    def of(cls, backbone: TextToText, texts: Sequence[str]) -> "Sources":
        """From texts, none of them blank."""
        parts = [pieces(text, backbone.fits) for text in texts]
        counts = torch.tensor([0, *map(len, parts)])
        return cls(backbone.tokenize([part for own in parts for part in own]), counts.cumsum(0))

    def __len__(self) -> int:
        return len(self.first) - 1

    def of_text(self, number: int) -> range:
        """The pieces of a text."""
        return range(int(self.first[number]), int(self.first[number + 1]))

    def profile(self, view: FrozenView) -> Tensor:
        """The profile of each text, [texts, 2 * width]: both its vectors are those of its pieces' mean."""
        owners = torch.repeat_interleave(torch.arange(len(self)), self.first.diff())
        sums = torch.zeros(len(self), view.profile.shape[1]).index_add_(0, owners, view.profile)
        return torch.nn.functional.normalize(sums.view(len(self), 2, -1), dim=2).flatten(1)


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


def plain(backbone: TextToText, texts: Sequence[str], decoding: Decoding) -> list[str]:
    """What a model makes of texts as it is, in their order; what is longer than it reads is translated in pieces.

    Args:
        backbone: The model.
        texts: The sources.
        decoding: How translations are searched for.
    """
    sources = Sources.of(backbone, texts)
    return Translator(backbone, decoding).translate(sources, range(len(texts)), [UNTUNED] * len(texts)).texts


class Translator:
    """Applies prompts of a pool to sources.

    Args:
        backbone: The generative backbone.
        decoding: How translations are searched for.
        pool: Where the prompts are; None where none is used.
    """

    def __init__(self, backbone: TextToText, decoding: Decoding, pool: PromptPool | None = None) -> None:
        self._backbone, self._decoding = backbone, decoding
        self._prompts = {} if pool is None else PreparedPrompts(pool)

    @torch.no_grad()
    def translate(
        self, sources: Sources, texts: Sequence[int], prompts: Sequence[str | None], view: FrozenView | None = None
    ) -> Written:
        """Translations of some texts, each under a prompt of its own.

        Args:
            sources: The texts.
            texts: Which of them.
            prompts: For each of these the id of its prompt, or `UNTUNED`.
            view: What the frozen model makes of their pieces; not needed where no text has a prompt.

        Raises:
            Interrupted: A stop was asked for, see `continual.stopping`.
        """
        started = time.monotonic()
        rows = [(piece, place) for place, number in enumerate(texts) for piece in sources.of_text(number)]
        groups: dict[object, list[int]] = defaultdict(list)
        for number, (_, place) in enumerate(rows):
            groups[self._kind(prompts[place])].append(number)
        pieces_of: list[dict[int, str]] = [{} for _ in texts]
        tokens = 0
        for numbers in groups.values():
            chosen = torch.tensor([rows[number][0] for number in numbers])
            fitting = self._fitting(view, prompts[rows[numbers[0]][1]])
            for batch in by_length(sources.pieces.ids.lengths[chosen], _WRITTEN_AT_ONCE):
                may_stop()
                places = [rows[numbers[number]][1] for number in batch.tolist()]
                ids, mask, _ = sources.pieces.batch(chosen[batch], self._backbone.pad_token)
                ids, mask = (tensor.to(self._backbone.model.device) for tensor in (ids, mask))
                steering = self._steering(fitting, chosen[batch], [prompts[place] for place in places])
                written = self._backbone.generate(ids, mask, self._decoding, steering)
                tokens += self._count(written)
                for piece, place, text in zip(
                    chosen[batch].tolist(), places, self._backbone.decoded(written), strict=True
                ):
                    pieces_of[place][piece] = text
        whole = [" ".join(own[piece] for piece in sorted(own)) for own in pieces_of]
        return Written(whole, tokens, time.monotonic() - started)

    def _kind(self, prompt: str | None) -> object:
        """What prompts have in common that can share a batch."""
        return None if prompt is UNTUNED else self._prompts[prompt].kind(self._backbone.stepwise)

    def _fitting(self, view: FrozenView | None, prompt: str | None) -> FrozenView | None:
        """The view at the layer where a prompt enters, and with it all others of its kind."""
        if view is None or prompt is UNTUNED:
            return None
        entry = self._prompts[prompt].tuning.entry(self._backbone)
        if entry == view.entry:
            return view
        return freeze(self._backbone, view.texts, entry, NO_READOUT, keep_states=False)

    def _steering(self, view: FrozenView | None, rows: Tensor, prompts: Sequence[str | None]) -> Steering:
        """What the prompts of a batch do; they are of one kind."""
        ready = [self._prompts[prompt] for prompt in prompts if prompt is not UNTUNED]
        if not ready or view is None:
            return UNSTEERED
        return ready[0].tuning.base.steering(self._backbone, entering(ready, view.seen(rows)))

    def _count(self, ids: Tensor) -> int:
        """Tokens up to the end of each target, [targets, longest]; what stands behind is padding."""
        ends = torch.isin(ids, torch.tensor(self._backbone.end_tokens, device=ids.device)).int()
        return int((ends.cumsum(1) - ends == 0).sum())
