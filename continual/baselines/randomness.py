"""Named randomness for code that draws from the global generators."""

import contextlib
import random
from collections.abc import Iterator

import numpy as np
import torch


@contextlib.contextmanager
def drawn_from(seed: int) -> Iterator[None]:
    """Within the context torch, NumPy and Python draw from `seed`; afterwards they go on as if nothing had been drawn.

    Avalanche draws batches and memories from the global generators, and dropout does too. With a seed for each epoch
    no draw can shift another, and a training that is continued draws what it would have drawn.
    """
    numpy_state, python_state = np.random.get_state(), random.getstate()
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            np.random.seed(seed % 2**32)
            random.seed(seed)
            yield
    finally:
        np.random.set_state(numpy_state)
        random.setstate(python_state)
