"""A backbone of BERT-base's size, held in memory and, more or less of it, on disk: peak memory, time, and the bits."""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from benchmarks.measure import Row, Spread
from benchmarks.speed import material
from continual.backbone.offload import MAPPED_FROM

_LIMITS = (60, 200)
"""Megabytes to hold of 436, of which the word embeddings alone are 94."""
_TEXTS, _FEW_TEXTS = 64, 8
_SLACK = 16
"""Megabytes that the allocator may keep beside what is in use."""
_ALL = "all"
_ROOT = Path(__file__).parents[2]


def rows(repeats: int, quick: bool = False) -> list[Row]:
    """Two rows for each limit, from processes of their own, in turns.

    Args:
        repeats: How many turns.
        quick: One limit, few texts.
    """
    limits = [_ALL, *map(str, _LIMITS[:1] if quick else _LIMITS)]
    with tempfile.TemporaryDirectory() as folder:
        save_base(Path(folder))
        turns = [
            {limit: _child(Path(folder), limit, _FEW_TEXTS if quick else _TEXTS) for limit in limits}
            for _ in range(repeats)
        ]
    found = {limit: [turn[limit] for turn in turns] for limit in limits}
    plain = found.pop(_ALL)
    return [row for limit, children in found.items() for row in compared(int(limit), children, plain)]


def compared(limit: int, children: list[dict[str, Any]], plain: list[dict[str, Any]]) -> list[Row]:
    """The rows of what children found with a limit and, turn by turn, without one; see `offload_child`."""
    one, peak = children[0], Spread.of([max(child["loading"], child["pass"]) for child in children])
    batch = max(child["pass"] - child["total"] for child in plain)
    allowed = limit + one["largest"] + batch + _SLACK
    parts = f"{limit} MB + {one['largest']:.0f} (largest table) + {batch:.0f} (a batch) + {_SLACK} (allocator)"
    seconds = [Spread.of([child["seconds"] for child in group]) for group in (children, plain)]
    ratio = seconds[0].over(seconds[1])
    same = all(mine["features"] == theirs["features"] for mine, theirs in zip(children, plain, strict=True))
    what = f"a backbone of {one['total']:.0f} MB with memory_mb={limit}, which holds {one['held']:.0f} MB"
    return [
        Row.of(
            peak,
            f"{what}: peak memory of loading, fingerprint and a frozen pass",
            parts,
            f"at most {allowed:.0f} MB, and nine tenths of the limit in use",
            peak.high <= allowed and one["held"] >= 0.9 * min(limit, one["total"]),
            "MB",
            "reading the largest table, and the activations of a batch",
            details={"limited": children, "held whole": plain},
        ),
        Row.of(
            ratio,
            f"{what}: time of a frozen pass",
            "the same backbone in memory",
            "the same features, bit for bit",
            same,
            limits="reading each layer for every batch and making it float32; the system's cache holds the file",
            details={"disk": seconds[0].to_json(), "memory": seconds[1].to_json()},
        ),
    ]


def save_base(folder: Path) -> None:
    """A model of BERT-base's shape with random weights and MiniLM's tokenizer.

    In bfloat16, as large models are stored. Weights of a float32 checkpoint would be mapped, wherever they are held,
    and count as no memory of the process.
    """
    source = material.encoder()
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    model = BertModel(BertConfig(vocab_size=source.model.config.vocab_size), add_pooling_layer=False)
    model.to(torch.bfloat16).save_pretrained(folder)
    source.tokenizer.save_pretrained(folder)


def _child(folder: Path, limit: str, texts: int) -> dict[str, Any]:
    """The figures of a child process, with a digest of its features."""
    output = folder / "features.npy"
    command = [sys.executable, "-m", "benchmarks.scaling.offload_child", str(folder), limit, str(texts), str(output)]
    # Without a limit the program leaves the allocator as it is; here what a batch takes is to be seen.
    environment = os.environ | ({"MALLOC_MMAP_THRESHOLD_": str(MAPPED_FROM)} if limit == _ALL else {})
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=_ROOT, env=environment)
    if done.returncode:
        sys.exit(done.stderr[-2000:])
    digest = hashlib.sha256(output.read_bytes()).hexdigest()
    return json.loads(done.stdout.splitlines()[-1]) | {"features": digest}
