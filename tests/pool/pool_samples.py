"""Small prompts for the tests of the pool."""

from typing import Any

import numpy as np
import torch

from continual.pool.prompt import Prompt, make_id

BACKBONE = "b" * 64
FOREIGN = "f" * 64
WIDTH = 8


def unit(*rows: list[float]) -> torch.Tensor:
    """The rows as float32, divided by their lengths."""
    matrix = torch.tensor(rows, dtype=torch.float64)
    return (matrix / matrix.norm(dim=1, keepdim=True)).float()


def make_prompt(task: str = "sydney siege", version: int = 1, *, seed: int = 0, **changes: Any) -> Prompt:
    """A prompt with random tensors; equal arguments give equal prompts."""
    random = np.random.default_rng([seed, version, *task.encode()])
    tensors = {
        "tuning.prompt": torch.tensor(random.normal(size=(4, WIDTH)), dtype=torch.float32),
        "head.weight": torch.tensor(random.normal(size=(2, WIDTH)), dtype=torch.float32),
        "head.bias": torch.tensor(random.normal(size=2), dtype=torch.float32),
        "keys": unit(*random.normal(size=(3, WIDTH)).tolist()),
    }
    fields: dict[str, Any] = {
        "id": make_id(task, version),
        "task": task,
        "version": version,
        "labels": ("rumour", "non-rumour"),
        "backbone": BACKBONE,
        "tuning": {"name": "late", "length": 4, "layer": 3},
        "method": "panda",
        "tensors": tensors,
        "provenance": {"seed": seed, "sources": [{"prompt": "ferguson-v1", "score": 0.25}]},
        "created": f"2025-01-01T00:00:00.{version:06d}+00:00",
    }
    return Prompt(**(fields | changes))


def assert_same(left: Prompt, right: Prompt) -> None:
    """Both prompts agree in every field, bit for bit."""
    for name in ("id", "task", "version", "labels", "backbone", "tuning", "method", "provenance", "created"):
        assert getattr(left, name) == getattr(right, name), name
    assert left.tensors.keys() == right.tensors.keys()
    for name, tensor in left.tensors.items():
        assert tensor.dtype == right.tensors[name].dtype
        assert torch.equal(tensor, right.tensors[name]), name
