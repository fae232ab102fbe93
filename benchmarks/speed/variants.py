"""Many prompts out of a few learned ones: each learned prompt with noise of several sizes."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from continual.pool.prompt import Prompt, make_id
from continual.transfer.signature import Prober, signature_tensors
from continual.tuning import build_tuning
from continual.tuning.base import TRAINED, Tensors, trained_tensors

SIZES = (0.1, 0.3, 1.0, 3.0)
"""Noise in the trained tensors, as a multiple of what learning has changed in them."""

_KEY_NOISE = 0.3
"""Length of the noise of a key, whose own length is 1, at size 1; larger sizes do not move keys further."""


def variants(
    prompts: Sequence[Prompt], count: int, initial: Tensors, seed: int = 0, prober: Prober | None = None
) -> Iterator[Prompt]:
    """`count` prompts, each for a task of its own, derived from the given ones in turn.

    Args:
        prompts: Learned prompts of one tuning.
        count: How many are wanted.
        initial: The tensors that all of them started from.
        seed: Of the noise.
        prober: Makes their signatures anew; without one they keep those of the learned prompts.
    """
    generator = torch.Generator().manual_seed(seed)
    for number in range(count):
        learned, size = prompts[number % len(prompts)], SIZES[number // len(prompts) % len(SIZES)]
        yield _variant(learned, f"{learned.task} {number:04d}", size, initial, generator, prober)


def _variant(
    learned: Prompt, task: str, size: float, initial: Tensors, generator: torch.Generator, prober: Prober | None
) -> Prompt:
    trained = {
        name: value + size * float((value - initial[name]).std()) * torch.randn(value.shape, generator=generator)
        for name, value in trained_tensors(learned.tensors).items()
    }
    keys = _moved(learned.tensors["keys"], _KEY_NOISE * min(size, 1.0), generator)
    tensors = learned.tensors | {f"{TRAINED}{name}": value for name, value in trained.items()} | {"keys": keys}
    if prober is not None:
        tuning = build_tuning({key: value for key, value in learned.tuning.items() if key != "readout"})
        tensors |= signature_tensors(prober.signature(tuning, trained, initial, keys))
    return replace(learned, id=make_id(task, 1), task=task, version=1, tensors=tensors)


def _moved(keys: Tensor, length: float, generator: torch.Generator) -> Tensor:
    """Unit vectors near to the given ones, [keys, width]."""
    noise = torch.nn.functional.normalize(torch.randn(keys.shape, generator=generator), dim=1)
    return torch.nn.functional.normalize(keys + length * noise, dim=1)
