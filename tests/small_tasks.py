"""Small separable tasks for the tiny encoders: each label has words of its own among words of no meaning."""

import torch

from continual.backbone.encoder import Encoder
from continual.backbone.frozen import freeze
from continual.backbone.readout import Readout
from continual.training.examples import Examples
from continual.tuning.base import Tuning

FILLER = ("the", "was", "and", "that", "in", "a", "of", "to", "he", "it")
CUES = (("police", "suspect", "injured"), ("soup", "waiter", "rude"), ("rain", "north", "weekend"), ("album", "sound"))


def sentences(
    labels: int, count: int, seed: int, cues: tuple[tuple[str, ...], ...] = CUES
) -> tuple[list[str], list[int]]:
    """`count` texts of 3 to 9 words, one of them a cue of the text's label, and the labels in turn."""
    generator = torch.Generator().manual_seed(seed)

    def draw(limit: int) -> int:
        return int(torch.randint(limit, (), generator=generator))

    texts, numbers = [], []
    for number in range(count):
        label = number % labels
        words = [FILLER[draw(len(FILLER))] for _ in range(2 + draw(7))]
        words.insert(draw(len(words) + 1), cues[label][draw(len(cues[label]))])
        texts.append(" ".join(words))
        numbers.append(label)
    return texts, numbers


def examples(
    encoder: Encoder, tuning: Tuning, labels: int = 2, count: int = 40, seed: int = 0, noise: float = 0.0
) -> Examples:
    """Frozen views of `sentences`; a share `noise` of the labels is moved to the next one."""
    texts, numbers = sentences(labels, count, seed)
    target = torch.tensor(numbers)
    wrong = torch.rand(count, generator=torch.Generator().manual_seed(seed + 1)) < noise
    target = torch.where(wrong, (target + 1) % labels, target)
    return Examples(freeze(encoder, encoder.tokenize(texts), tuning.entry(encoder), Readout()), target)
