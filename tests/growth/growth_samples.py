"""Tiny models of every family that can grow, and prompts of every kind whose tensors say something."""

from collections.abc import Callable

import torch

from continual.backbone.encoder import Encoder
from continual.backbone.readout import Readout
from continual.discriminant import Cloud
from continual.pool.prompt import Prompt, make_id
from continual.transfer.signature import Prober, signature_tensors
from continual.tuning import build_tuning

ENCODERS = ("bert", "roberta", "xlm-roberta", "camembert", "mpnet")
GENERATORS = ("marian", "t5", "mt5", "gpt2", "llama")
FAMILIES = (*ENCODERS, *GENERATORS)

TUNINGS = {
    "input": {"name": "input", "length": 3},
    "late": {"name": "late", "length": 3, "layer": 1},
    "deep": {"name": "deep", "length": 3, "layer": 1},
    "layer_norm": {"name": "layer_norm", "layer": 1},
    "layer_norm, some": {"name": "layer_norm", "layer": 1, "norms": "attention", "parts": "biases"},
    "prefix_layer_norm": {"name": "prefix_layer_norm", "length": 3, "layer": 1},
    "lora": {"name": "lora", "rank": 2, "layer": 1, "targets": ["query", "key", "value", "output", "up", "down"]},
    "compacter": {"name": "compacter", "reduction": 4, "phm_dim": 2, "layer": 1},
    "compacter_pp": {"name": "compacter_pp", "reduction": 4, "phm_dim": 2, "layer": 2, "layer_norms": False},
    "both": {"name": "both", "base": {"name": "late", "length": 3, "layer": 1}, "decoder": {"name": "lora", "rank": 2}},
}

DECODERS = {kind: spec | {"layer": 1} for kind, spec in TUNINGS.items() if kind not in ("input", "late", "both")}
"""What a prompt may change in a decoder: its layers, of which the tiny ones have two."""

AMOUNTS = {"depth": {"layers": 2}, "width": {"width": 32}, "both": {"layers": 4, "width": 32, "inner": 5}}

READOUT = Readout("all", ("pool", "max", "min"), 0)
LABELS = ("yes", "no", "perhaps")


def backbone(family: str, tiny_encoder: Callable, tiny_generator: Callable) -> Encoder:
    """The tiny backbone of a family."""
    return tiny_encoder(family) if family in ENCODERS else tiny_generator(family)


def speaking_prompt(encoder: Encoder, spec: dict, seed: int = 0) -> Prompt:
    """A prompt far from its start, with a head, a ground, keys and a signature that are all drawn at random."""
    draw = torch.Generator().manual_seed(seed)

    def drawn(*shape: int, scale: float = 0.3) -> torch.Tensor:
        return torch.randn(shape, generator=draw) * scale

    tuning = build_tuning(spec)
    initial = tuning.initial(encoder, None, draw)
    trained = {name: value + drawn(*value.shape, scale=0.2) for name, value in initial.items()}
    keys = torch.nn.functional.normalize(drawn(4, encoder.width), dim=1)
    tensors = {f"tuning.{name}": value for name, value in trained.items()}
    tensors |= {"head.weight": drawn(len(LABELS), encoder.width), "head.bias": drawn(len(LABELS)), "keys": keys}
    tensors |= {
        "ground.weight": drawn(len(LABELS), READOUT.width(encoder), scale=0.1),
        "ground.bias": drawn(len(LABELS)),
        "ground.terms": torch.zeros(0, dtype=torch.int32),
        "ground.surprise": torch.zeros(0),
        "ground.term_weight": torch.zeros(0, len(LABELS)),
    }
    tensors |= Cloud.of(drawn(30, 2 * encoder.width)).tensors()
    tensors |= signature_tensors(Prober(encoder).signature(tuning, trained, initial, keys))
    return Prompt(
        id=make_id("kitchen", 1),
        task="kitchen",
        version=1,
        labels=LABELS,
        backbone=encoder.fingerprint,
        tuning=tuning.spec() | {"readout": READOUT.spec()},
        method="scratch",
        tensors=tensors,
        provenance={"unknown_below": -1.0},
    )
