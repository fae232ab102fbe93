"""Every kind of tuning in small, what it makes of texts, and a transformer block worked number by number."""

import math
from collections.abc import Callable

import torch
from tiny_models import BLOCKWISE, HEADS, TEXTS, WHOLE, WIDTH

from continual.backbone.states import ComputedStates
from continual.tuning.base import Tuning

ALL = torch.arange(len(TEXTS))
CLOSE = {"rtol": 0.0, "atol": 1e-5}
FAMILIES = ("bert", "roberta", "mpnet", "distilbert", "electra")
"""One for each kind of block."""

SPECS = {
    "input": {"name": "input", "length": 4},
    "late-0": {"name": "late", "length": 4, "layer": 0},
    "late-1": {"name": "late", "length": 4, "layer": 1},
    "late-2": {"name": "late", "length": 4, "layer": 2},
    "deep-0": {"name": "deep", "length": 4, "layer": 0},
    "deep-1": {"name": "deep", "length": 4, "layer": 1},
    "deep-2": {"name": "deep", "length": 4, "layer": 2},
    "layer_norm-0": {"name": "layer_norm", "layer": 0},
    "layer_norm-1": {"name": "layer_norm", "layer": 1},
    "layer_norm-gains": {"name": "layer_norm", "layer": 1, "parts": "gains"},
    "layer_norm-attention-biases": {"name": "layer_norm", "layer": 1, "norms": "attention", "parts": "biases"},
    "prefix_layer_norm-1": {"name": "prefix_layer_norm", "length": 4, "layer": 1},
    "prefix_layer_norm-biases": {"name": "prefix_layer_norm", "length": 4, "layer": 0, "parts": "biases"},
    "lora-0": {"name": "lora", "rank": 3, "layer": 0},
    "lora-all-1": {
        "name": "lora",
        "rank": 2,
        "alpha": 3.0,
        "layer": 1,
        "targets": ["query", "key", "value", "output", "up", "down"],
    },
    "compacter-1": {"name": "compacter", "reduction": 4, "layer": 1},
    "compacter_pp-0": {"name": "compacter_pp", "reduction": 4, "layer": 0},
    "both-1": {"name": "both", "layer": 1},
    "compacter_pp-bare": {"name": "compacter_pp", "reduction": 4, "phm_dim": 2, "layer": 2, "layer_norms": False},
}
LAYERED = [
    "late-1",
    "deep-0",
    "deep-1",
    *(kind for kind in SPECS if SPECS[kind]["name"] not in ("input", "late", "deep")),
]
"""Kinds that need access to layers, one of each."""

COMBINATIONS = [(family, kind) for family in BLOCKWISE for kind in ("input", "late-1", "deep-0", "deep-1")]
COMBINATIONS += [
    (family, kind) for family in FAMILIES for kind in LAYERED if kind not in ("late-1", "deep-0", "deep-1")
]
COMBINATIONS += [(family, "input") for family in WHOLE]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def fresh(encoder, tuning: Tuning, seed: int = 0) -> dict[str, torch.Tensor]:
    return tuning.initial(encoder, None, generator(seed))


def learned(encoder, tuning: Tuning, seed: int = 0) -> dict[str, torch.Tensor]:
    """Tensors as after a training: away from a start at which some of them do nothing yet."""
    source = generator(1000 + seed)
    tensors = fresh(encoder, tuning, seed)
    return {name: value + 0.1 * torch.randn(value.shape, generator=source) for name, value in tensors.items()}


def states(encoder, tuning: Tuning) -> ComputedStates:
    return ComputedStates(encoder, encoder.tokenize(TEXTS), tuning.entry(encoder))


def last(encoder, tuning: Tuning, tensors, rows=ALL) -> tuple[torch.Tensor, torch.Tensor]:
    """The text's last states under a prompt, and the mask."""
    hidden, mask = states(encoder, tuning).batch(rows)
    every = list(tuning.layers(encoder, hidden, mask, tensors))
    assert len(every) == encoder.depth - tuning.entry(encoder)
    assert all(layer.shape == hidden.shape for layer in every)
    return every[-1], mask


# ---------------------------------------------------------------- a block, by hand


Vector = torch.Tensor


class BlockByHand:
    """One post-norm block for one position at a time, in double precision; a module is a change of one of its parts."""

    def __init__(self, block) -> None:
        self.block = block

    def linear(self, name: str, vector: Vector) -> Vector:
        module = getattr(self.block, name)
        return module.weight.double() @ vector + module.bias.double()

    def norm(self, name: str, vector: Vector) -> Vector:
        module = getattr(self.block, name)
        return self.normed(vector, module.weight.double(), module.bias.double(), module.eps)

    def adapt(self, name: str, vector: Vector) -> Vector:
        return vector

    @staticmethod
    def normed(vector: Vector, gain: Vector, bias: Vector, eps: float) -> Vector:
        centred = vector - vector.mean()
        return centred / (centred.square().mean() + eps).sqrt() * gain + bias

    def position(self, place: int, others: list[Vector], keys=(), values=(), bias=None) -> Vector:
        """The block's output at a place: its query meets `keys`, then the keys of `others`."""
        size = WIDTH // HEADS
        query = self.linear("query", others[place])
        keys = [*keys, *(self.linear("key", other) for other in others)]
        values = [*values, *(self.linear("value", other) for other in others)]
        heads = []
        for head in range(HEADS):
            part = slice(head * size, (head + 1) * size)
            scores = torch.stack([query[part] @ key[part] / math.sqrt(size) for key in keys])
            if bias is not None:
                scores = scores + bias[head]
            weights = scores.exp() / scores.exp().sum()
            heads.append(sum(weight * value[part] for weight, value in zip(weights, values, strict=True)))
        attended = self.adapt("adapter1", self.linear("output", torch.cat(heads)))
        attended = self.norm("norm1", others[place] + attended)
        units = self.linear("up", attended)
        gelu = units * 0.5 * (1 + torch.erf(units / math.sqrt(2)))
        return self.norm("norm2", attended + self.adapt("adapter2", self.linear("down", gelu)))


def mpnet_bias(encoder, text: int, unbiased: int) -> torch.Tensor:
    """MPNet's relative bias of a text's positions, [heads, text, unbiased + text], with zeros for prompt positions."""
    table = encoder.model.encoder.relative_attention_bias.weight.double()
    bias = torch.zeros(HEADS, text, unbiased + text, dtype=torch.double)
    for query in range(text):
        for key in range(text):
            distance = query - key  # buckets: 0..7 for keys at or before the query, 16..23 for those behind it
            assert abs(distance) < 8
            bias[:, query, unbiased + key] = table[distance if distance >= 0 else 16 - distance]
    return bias


def check_last_layer(encoder, tuning: Tuning, tensors, by_hand: Callable[..., Vector], prefix: int = 0) -> None:
    """Compares a tuning of the last layer with `by_hand(place, tokens, bias)` at each position of a padded text."""
    before, mask = states(encoder, tuning).batch(torch.tensor([1, 0]))
    text = int(mask[0].sum())
    assert text < mask.shape[1]  # the padding behind it must not be seen
    found, _ = last(encoder, tuning, tensors, torch.tensor([1, 0]))
    bias = mpnet_bias(encoder, text, prefix) if encoder.family == "mpnet" else None
    tokens = list(before[0, :text].double())
    for place in range(text):
        expected = by_hand(place, tokens, None if bias is None else bias[:, place])
        torch.testing.assert_close(found[0, place].double(), expected, rtol=0, atol=1e-5)
