"""What the frozen model makes of texts, computed once in one pass and kept while memory allows."""

import math
import weakref
from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import Tensor

from continual.backbone.encoder import Encoder
from continual.backbone.readout import Readout
from continual.backbone.space import Space
from continual.backbone.states import CHUNK, ComputedStates, KeptStates, States
from continual.backbone.terms import no_terms, surface_terms
from continual.backbone.texts import EncodedTexts, Ragged, by_length
from continual.stopping import may_stop
from continual.team import current_team


@dataclass(frozen=True)
class Seen:
    """What is known of a batch of texts when the prompt enters.

    Attributes:
        hidden: States before the entry layer, [batch, length, width].
        mask: True where a token is real, [batch, length].
        embedding: The texts' unit vectors under the frozen model alone, [batch, width].
        marks: What each token is for the tuning, [batch, length], where its texts are marked; see `EncodedTexts`.
    """

    hidden: Tensor
    mask: Tensor
    embedding: Tensor
    marks: Tensor | None = None

    def take(self, rows: Tensor) -> "Seen":
        """Some of the batch."""
        marks = None if self.marks is None else self.marks[rows]
        return Seen(self.hidden[rows], self.mask[rows], self.embedding[rows], marks)


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
        profile: Two unit vectors of each text side by side, [texts, 2 * width]: of its states behind the last layer,
            which tell what it says, and before the first, which tell in what words. Texts are routed by it. Empty,
            [0, 2 * width], where it was not asked for.
    """

    texts: EncodedTexts
    entry: int
    readout: Readout
    states: States
    features: Tensor
    terms: Ragged
    profile: Tensor

    @property
    def embedding(self) -> Tensor:
        """The first of them, [texts, width]: the material of pool keys."""
        return embedding_of(self.profile)

    def __len__(self) -> int:
        return len(self.texts)

    def seen(self, rows: Tensor) -> Seen:
        """What is known of some of the texts when a prompt enters."""
        marks = None if self.texts.marks is None else self.texts.marks.batch(rows)[0]
        return Seen(*self.states.batch(rows), self.embedding[rows], marks)


def embedding_of(profile: Tensor) -> Tensor:
    """The unit vectors of what texts say, [texts, width], out of their profiles."""
    return profile[:, : profile.shape[1] // 2]


class FrozenCache:
    """Makes frozen views and keeps as many as `limit_mb` megabytes hold; the least recently used goes first.

    A set of texts is always computed whole and in the same batches, so that its numbers have the same bits whether
    they were kept, dropped and computed again, or computed after a restart. What does not fit beside nothing else
    is kept on disk, see `Space`.

    Args:
        encoder: The frozen model.
        limit_mb: Memory for kept views, and for whatever else is taken from `space`, in megabytes.
    """

    def __init__(self, encoder: Encoder, limit_mb: float = 2048) -> None:
        self.encoder = encoder
        self.space = Space(limit_mb)
        self._kept: OrderedDict[tuple[int, int, Readout, bool], FrozenView] = OrderedDict()

    def view(self, texts: EncodedTexts, entry: int, readout: Readout, profiled: bool = True) -> FrozenView:
        """The frozen view of `texts` for prompts that enter before layer `entry`; see `freeze`."""
        # The view holds the texts, so their address stays theirs for as long as it is a key here.
        key = (id(texts), entry, readout, profiled)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        self.make_room(view_bytes(self.encoder, texts, readout))
        self._kept[key] = freeze(self.encoder, texts, entry, readout, space=self.space, profiled=profiled)
        return self._kept[key]

    def make_room(self, size: int) -> None:
        """Drops views that were not used for long, until `size` bytes fit; none where dropping all is not enough.

        A view that someone works with stays: dropping it would free nothing.
        """
        if size > self.space.limit:
            return
        in_use = []
        while self._kept and not self.space.fits(size):
            key, view = self._kept.popitem(last=False)
            alive = weakref.ref(view)
            del view
            if alive() is not None:
                in_use.append((key, alive()))
        for key, view in reversed(in_use):
            self._kept[key] = view
            self._kept.move_to_end(key, last=False)

    def drop(self, texts: EncodedTexts) -> None:
        """Forgets all views of `texts`: they will not be used again."""
        for key in [key for key in self._kept if key[0] == id(texts)]:
            del self._kept[key]


def view_bytes(encoder: Encoder, texts: EncodedTexts, readout: Readout) -> int:
    """The size of a view's arrays. The terms, which are small beside them and lie in memory, do not count."""
    features = len(texts) * (readout.width(encoder) + 2 * encoder.width)
    return 4 * (len(texts.ids.values) * encoder.width + features)


@torch.no_grad()
def freeze(
    encoder: Encoder,
    texts: EncodedTexts,
    entry: int,
    readout: Readout,
    keep_states: bool = True,
    space: Space | None = None,
    profiled: bool = True,
) -> FrozenView:
    """Runs the frozen model once over `texts` and takes states, features and profiles on the way.

    Args:
        encoder: The frozen model.
        texts: The texts.
        entry: The layer whose input states are wanted.
        readout: What the features are made of.
        keep_states: Whether to keep those states; they are computed for each batch otherwise.
        space: Where the arrays are made; in memory by default.
        profiled: Whether to make profiles. Without them, and with a readout of no layer, the model is run up to
            `entry` alone.

    Raises:
        Interrupted: A stop was asked for, see `continual.stopping`.
    """
    space = space or Space(math.inf)
    lengths = texts.ids.lengths
    states = space.zeros(len(texts.ids.values) if keep_states else 0, encoder.width)
    features = space.zeros(len(texts), readout.width(encoder))
    profile = space.zeros(len(texts) if profiled else 0, 2 * encoder.width)
    last = encoder.depth if profiled or readout.layers != "none" else entry
    said, worded = embedding_of(profile), profile[:, encoder.width :]
    source = ComputedStates(encoder, texts, layer=0)
    team = current_team()
    for rows in team.share(by_length(lengths, CHUNK)):
        may_stop()
        hidden, mask = source.batch(rows)
        if profiled:
            worded[rows] = _unit(encoder.pool(hidden, mask))
        parts = []
        for layer in range(last + 1):
            if layer:
                hidden = encoder.run(hidden, mask, start=layer - 1, stop=layer)
            if layer == entry and keep_states:
                states[_places(texts.ids, rows, hidden.shape[1])[mask]] = hidden[mask]
            if readout.takes(layer, encoder):
                parts.append(readout.summarise(encoder, hidden, mask))
        if parts:
            features[rows] = torch.cat(parts, dim=1)
        if profiled:
            said[rows] = _unit(encoder.pool(hidden, mask))
    kept: States = (
        KeptStates(Ragged(states, texts.ids.offsets)) if keep_states else ComputedStates(encoder, texts, entry)
    )
    for whole in (states, features, profile):
        team.gather(whole)
    terms = surface_terms(encoder, texts) if readout.terms else no_terms(len(texts))
    return FrozenView(texts, entry, readout, kept, features, terms, profile)


def _unit(vectors: Tensor) -> Tensor:
    return torch.nn.functional.normalize(vectors, dim=1)


def _places(ragged: Ragged, rows: Tensor, longest: int) -> Tensor:
    """Where the tokens of the padded batch `rows` lie in the ragged values, [rows, longest]."""
    return ragged.offsets[rows][:, None] + torch.arange(longest)[None, :]
