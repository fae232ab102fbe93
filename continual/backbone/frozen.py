"""What the frozen model makes of texts, computed once in one pass and kept while memory allows."""

from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import Tensor

from continual.backbone.encoder import Encoder
from continual.backbone.readout import Readout
from continual.backbone.states import CHUNK, ComputedStates, KeptStates, States
from continual.backbone.terms import no_terms, surface_terms
from continual.backbone.texts import EncodedTexts, Ragged, by_length


@dataclass(frozen=True)
class FrozenView:
    """All that learning and predicting need of some texts and that no prompt changes.

    Attributes:
        texts: The tokenised texts.
        entry: The layer at which prompts will enter.
        readout: What the features are made of.
        states: States before that layer.
        features: The readout's features without a prompt, [texts, features].
        terms: The different surface terms of each text; none where the readout leaves them out.
        embedding: One unit vector for each text, [texts, width]: the material of pool keys and routing.
    """

    texts: EncodedTexts
    entry: int
    readout: Readout
    states: States
    features: Tensor
    terms: Ragged
    embedding: Tensor

    def __len__(self) -> int:
        return len(self.texts)


class FrozenCache:
    """Makes frozen views and keeps as many as `limit_mb` megabytes hold; the least recently used goes first.

    A set of texts is always computed whole and in the same batches, so that its numbers have the same bits whether
    they were kept, dropped and computed again, or computed after a restart. Where the hidden states alone would
    exceed the limit, they are computed batch by batch whenever they are needed.

    Args:
        encoder: The frozen model.
        limit_mb: Memory for kept views in megabytes; 0 keeps nothing.
    """

    def __init__(self, encoder: Encoder, limit_mb: float = 2048) -> None:
        self.encoder = encoder
        self._limit = int(limit_mb * 1e6)
        self._kept: OrderedDict[tuple[int, int, Readout], FrozenView] = OrderedDict()

    def view(self, texts: EncodedTexts, entry: int, readout: Readout) -> FrozenView:
        """The frozen view of `texts` for prompts that enter before layer `entry`."""
        # The view holds the texts, so their address stays theirs for as long as it is a key here.
        key = (id(texts), entry, readout)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        size = self._bytes(texts, readout)
        if size > self._limit:
            return freeze(self.encoder, texts, entry, readout, keep_states=False)
        while self._kept and self._used() + size > self._limit:
            self._kept.popitem(last=False)
        self._kept[key] = freeze(self.encoder, texts, entry, readout)
        return self._kept[key]

    def _bytes(self, texts: EncodedTexts, readout: Readout) -> int:
        states = len(texts.ids.values) * self.encoder.width
        return 4 * (states + len(texts) * readout.width(self.encoder))

    def _used(self) -> int:
        return sum(self._bytes(view.texts, view.readout) for view in self._kept.values())


@torch.no_grad()
def freeze(encoder: Encoder, texts: EncodedTexts, entry: int, readout: Readout, keep_states: bool = True) -> FrozenView:
    """Runs the frozen model once over `texts` and takes states, features and embeddings on the way."""
    lengths = texts.ids.lengths
    states = torch.empty(len(texts.ids.values) if keep_states else 0, encoder.width)
    features = torch.empty(len(texts), readout.width(encoder))
    embedding = torch.empty(len(texts), encoder.width)
    source = ComputedStates(encoder, texts, layer=0)
    for rows in by_length(lengths, CHUNK):
        hidden, mask = source.batch(rows)
        parts = []
        for layer in range(encoder.depth + 1):
            if layer:
                hidden = encoder.run(hidden, mask, start=layer - 1, stop=layer)
            if layer == entry and keep_states:
                states[_places(texts.ids, rows, hidden.shape[1])[mask]] = hidden[mask]
            if readout.takes(layer, encoder):
                parts.append(readout.summarise(encoder, hidden, mask))
        features[rows] = torch.cat(parts, dim=1)
        embedding[rows] = encoder.pool(hidden, mask)
    kept: States = (
        KeptStates(Ragged(states, texts.ids.offsets)) if keep_states else ComputedStates(encoder, texts, entry)
    )
    terms = surface_terms(encoder, texts) if readout.terms else no_terms(len(texts))
    return FrozenView(texts, entry, readout, kept, features, terms, torch.nn.functional.normalize(embedding, dim=1))


def _places(ragged: Ragged, rows: Tensor, longest: int) -> Tensor:
    """Where the tokens of the padded batch `rows` lie in the ragged values, [rows, longest]."""
    return ragged.offsets[rows][:, None] + torch.arange(longest)[None, :]
