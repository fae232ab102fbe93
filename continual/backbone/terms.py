"""The surface terms of a text: what summaries of hidden states blur.

A frozen encoder's states say what a text is about; that one telling word occurs is easily lost in their mean. The head
is therefore also told which word pieces a text has, and which runs of two to five characters its words are made of,
by which spellings, hashtags and names are recognised that the vocabulary breaks up.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from continual.backbone.texts import EncodedTexts, Ragged

if TYPE_CHECKING:
    from continual.backbone.encoder import Encoder

FIRST_RUN = 1 << 30
"""Terms from here on are hashed runs of characters; those below are token ids."""

_RUNS = (2, 3, 4, 5)
_TEXTS_AT_ONCE = 512
_SPACE = ord(" ")
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
"""2^64 over the golden ratio, as in Fibonacci hashing (Knuth, The Art of Computer Programming, volume 3, 6.4)."""


def surface_terms(encoder: "Encoder", texts: EncodedTexts) -> Ragged:
    """The different terms of each text, int32 and rising within a text.

    Special tokens are left out. The characters are those of the tokens, decoded and lower-cased, so a text's terms
    end where its tokens end; a run lies within one word with a space at either end, as in scikit-learn's `char_wb`.

    Args:
        encoder: Whose tokens the texts are made of.
        texts: The texts.
    """
    special = np.array(sorted(encoder.tokenizer.all_special_ids), dtype=np.int64)
    offsets = texts.ids.offsets.numpy()
    values: list[np.ndarray] = []
    counts: list[np.ndarray] = []
    for start in range(0, len(texts), _TEXTS_AT_ONCE):
        bounds = offsets[start : start + _TEXTS_AT_ONCE + 1]
        ids = texts.ids.values[bounds[0] : bounds[-1]].numpy()
        owners = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
        plain = ~np.isin(ids, special)
        rows = [part.tolist() for part in np.split(ids, bounds[1:-1] - bounds[0])]
        runs, run_owners = character_runs(encoder.tokenizer.batch_decode(rows, skip_special_tokens=True))
        keys = np.concatenate([_keys(owners[plain], ids[plain]), _keys(run_owners, runs)])
        keys = np.unique(keys)
        values.append((keys & 0xFFFFFFFF).astype(np.int32))
        counts.append(np.bincount(keys >> 32, minlength=len(rows)))
    return _ragged(values, counts)


def no_terms(texts: int) -> Ragged:
    """As many texts without terms."""
    return Ragged(torch.zeros(0, dtype=torch.int32), torch.zeros(texts + 1, dtype=torch.long))


def character_runs(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The hashed character runs of texts, with repetitions.

    Returns:
        The runs' hashes, from `FIRST_RUN` up to 2^31, and for each the number of its text.
    """
    spaced = [f" {' '.join(text.lower().split())} " for text in texts]
    points = np.frombuffer("".join(spaced).encode("utf-32-le", "replace"), dtype=np.uint32)
    owners = np.repeat(np.arange(len(spaced)), [len(text) for text in spaced])
    space = points == _SPACE
    hashes, found = [], []
    for length in _RUNS:
        starts = max(0, len(points) - length + 1)
        hashed = np.full(starts, length, dtype=np.uint64)
        within = np.ones(starts, dtype=bool)
        for place in range(length):
            hashed = (hashed ^ points[place : place + starts]) * _MULTIPLIER
            hashed ^= hashed >> np.uint64(29)
            if 0 < place < length - 1:
                within &= ~space[place : place + starts]
        if length == 2:  # two spaces in a row are the seam between two texts
            within &= ~(space[:starts] & space[1 : starts + 1])
        hashes.append((hashed[within] >> np.uint64(34)).astype(np.int64) | FIRST_RUN)
        found.append(owners[:starts][within])
    return np.concatenate(hashes), np.concatenate(found)


def _keys(owners: np.ndarray, terms: np.ndarray) -> np.ndarray:
    """Text number and term in one integer, so that one sort orders both."""
    return (owners.astype(np.int64) << 32) | terms


def _ragged(values: list[np.ndarray], counts: list[np.ndarray]) -> Ragged:
    if not values:
        return no_terms(0)
    offsets = np.concatenate([[0], np.cumsum(np.concatenate(counts))])
    return Ragged(torch.from_numpy(np.concatenate(values)), torch.from_numpy(offsets))
