"""Small translation runs for tests: simulated domains on a tiny random encoder-decoder or causal model."""

from pathlib import Path
from typing import Any

import torch
import yaml
from tiny_generators import CAUSAL, LANGUAGES

from continual.backbone.generators import seq2seq
from continual.backbone.likelihood import token_loss
from continual.backbone.saving import save_model
from streams import build_stream

DOMAINS = [
    {"name": "kitchen", "topics": {"kitchen": 1.0}},
    {"name": "office", "topics": {"office": 1.0}},
    {"name": "canteen", "like": "kitchen", "swap_senses": True},
]


_SIZES = {"train": 24, "dev": 8, "test": 8}


def taught(model: Path, folder: Path, steps: int = 60) -> Path:
    """A tiny Marian that has learned some words of the domains: of a random one every BLEU is 0, whatever is scored."""
    backbone = seq2seq(str(model), max_length=24, max_target=20)
    stream = build_stream({"kind": "simulated_translation", "name": "small", "tasks": DOMAINS, **_SIZES}, 1)
    texts, targets = ([text for task in stream for text in task.train[side]] for side in ("text", "target"))
    tokens, mask, labels = backbone.parallel_texts(texts, targets).batch(torch.arange(len(texts)), backbone.pad_token)
    trained = backbone.model.requires_grad_(True)
    optimiser = torch.optim.AdamW(trained.parameters(), lr=3e-3)
    for _ in range(steps):
        optimiser.zero_grad()
        token_loss(trained(input_ids=tokens, attention_mask=mask.long(), labels=labels).logits, labels).backward()
        optimiser.step()
    save_model(trained, backbone.tokenizer, folder)
    return folder


def write_translation_config(path: Path, model: Path, family: str = "marian", **changes: Any) -> Path:
    """Writes the YAML of a small run on the tiny model of a family in the folder `model`."""
    backbone = {"name": "causal" if family in CAUSAL else "seq2seq", "path": str(model)}
    config = {
        "stream": {
            "kind": "simulated_translation",
            "name": "small",
            "tasks": DOMAINS,
            **_SIZES,
        },
        "backbone": backbone | {"max_length": 24, "max_target": 20} | (LANGUAGES if family == "mbart" else {}),
        "tuning": {"name": "deep", "length": 3, "layer": 1},
        "training": {"epochs": 2, "min_steps": 0, "batch_size": 8, "average": 0.9, "learning_rate": 0.1},
        "routing": {"keys": 4},
        "decoding": {"max_new_tokens": 8},
        "tracking": {"enabled": False},
        "threads": 1,
    }
    path.write_text(yaml.safe_dump(config | changes))
    return path
