"""Small translation runs for tests: simulated domains on a tiny random encoder-decoder or causal model."""

from pathlib import Path
from typing import Any

import yaml
from tiny_generators import CAUSAL, LANGUAGES

DOMAINS = [
    {"name": "kitchen", "topics": {"kitchen": 1.0}},
    {"name": "office", "topics": {"office": 1.0}},
    {"name": "canteen", "like": "kitchen", "swap_senses": True},
]


def write_translation_config(path: Path, model: Path, family: str = "marian", **changes: Any) -> Path:
    """Writes the YAML of a small run on the tiny model of a family in the folder `model`."""
    backbone = {"name": "causal" if family in CAUSAL else "seq2seq", "path": str(model)}
    config = {
        "stream": {
            "kind": "simulated_translation",
            "name": "small",
            "tasks": DOMAINS,
            "train": 24,
            "dev": 8,
            "test": 8,
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
