"""Small separable tasks for the tiny encoders: each label has words of its own among words of no meaning."""

import torch

from continual.backbone.encoder import Encoder
from continual.backbone.frozen import freeze
from continual.backbone.readout import Readout
from continual.training.examples import Examples
from continual.tuning.base import Tuning

READOUT = Readout(terms=64)
"""As by default, with a smaller dictionary."""

FILLER = ("the", "was", "and", "that", "in", "a", "of", "to", "he", "it")
CUES = (("police", "suspect", "injured"), ("soup", "waiter", "rude"), ("rain", "north", "weekend"), ("album", "sound"))


def sentences(labels: int, count: int, seed: int, filler: int = 7) -> tuple[list[str], list[int]]:
    """Texts of three cue words of their label among up to `filler` others, and the labels, which take turns."""
    generator = torch.Generator().manual_seed(seed)

    def draw(limit: int) -> int:
        return int(torch.randint(limit, (), generator=generator))

    texts, numbers = [], []
    for number in range(count):
        label = number % labels
        words = [FILLER[draw(len(FILLER))] for _ in range(draw(filler + 1))]
        for _ in range(3):
            words.insert(draw(len(words) + 1), CUES[label][draw(len(CUES[label]))])
        texts.append(" ".join(words))
        numbers.append(label)
    return texts, numbers


def examples(
    encoder: Encoder,
    tuning: Tuning,
    labels: int = 2,
    count: int = 40,
    seed: int = 0,
    noise: float = 0.0,
    second: str | None = None,
) -> Examples:
    """Frozen views of `sentences` without ground; a share `noise` of the labels is moved to the next one.

    With `second`, each text comes with that second one.
    """
    texts, numbers = sentences(labels, count, seed)
    target = torch.tensor(numbers)
    wrong = torch.rand(count, generator=torch.Generator().manual_seed(seed + 1)) < noise
    target = torch.where(wrong, (target + 1) % labels, target)
    encoded = encoder.tokenize(texts, None if second is None else [second] * count)
    return Examples.bare(freeze(encoder, encoded, tuning.entry(encoder), READOUT), target, labels)
