"""Batches of tiny generative models, and the prompts that tests steer them with."""

import torch
from tiny_generators import SOURCES, TARGETS

from continual.tuning import build_tuning

ALL = torch.arange(len(SOURCES))

SPECS = {
    "input": {"name": "input", "length": 3, "init": "normal"},
    "deep": {"name": "deep", "length": 2},
    "deep-1": {"name": "deep", "length": 3, "layer": 1},
    "layer_norm": {"name": "layer_norm", "layer": 1},
    "prefix_layer_norm": {"name": "prefix_layer_norm", "length": 2},
    "lora": {"name": "lora", "rank": 2, "targets": ["query", "key", "value", "output", "up", "down"]},
    "both": {"name": "both", "base": {"name": "deep", "length": 2}, "decoder": {"name": "lora", "rank": 2}},
    "compacter": {"name": "compacter", "reduction": 4, "phm_dim": 4},
}
"""Tunings that every generative model can be steered by."""


def encoded(backbone, rows=ALL):
    """Ids and mask of sources."""
    return backbone.tokenize([SOURCES[row] for row in rows]).batch(torch.arange(len(rows)), backbone.pad_token)[:2]


def example_batch(backbone, rows=ALL):
    """Ids, mask and targets of pairs."""
    pairs = backbone.parallel(
        backbone.tokenize([SOURCES[row] for row in rows]), backbone.tokenize_targets([TARGETS[row] for row in rows])
    )
    return pairs.batch(torch.arange(len(rows)), backbone.pad_token)


def drawn(tuning, stack, seed=0):
    """Tensors of a prompt, all far from their initial values."""
    generator = torch.Generator().manual_seed(seed)
    tensors = tuning.initial(stack, None, generator)
    return {name: value + 0.4 * torch.randn(value.shape, generator=generator) for name, value in tensors.items()}


def steered(backbone, kind, seeds=(0,)):
    """The steering of one prompt, or of several stacked."""
    tuning = build_tuning(SPECS[kind])
    prompts = [drawn(tuning, backbone, seed) for seed in seeds]
    return tuning.steering(backbone, prompts[0] if len(prompts) == 1 else tuning.stack(prompts))


def pair_logits(backbone, steering, rows=ALL):
    """Logits of each real target token of the pairs, one tensor for each row."""
    ids, mask, targets = example_batch(backbone, rows)
    logits = backbone.logits(backbone.below(ids, mask, steering.entry), mask, targets, steering)
    return [row[target != -100] for row, target in zip(logits, targets, strict=True)]
