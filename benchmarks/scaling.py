"""Beyond one process and beyond memory: the same numbers from two processes, and from a backbone that lies on disk.

CONTINUAL_DATA=... python -m benchmarks.scaling
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.common import save_group
from benchmarks.measure import Row, alternately, seconds_of, show
from benchmarks.speed import material
from continual._torchvision import declare_missing_operators

_SETTINGS = (
    "method=scratch",
    "training.epochs=3",
    "training.min_steps=0",
    "training.patience=0",
    "tracking.enabled=false",
    "threads=1",
)
_EVENTS = ("charliehebdo", "ferguson")


def main() -> None:
    """Measures both."""
    started = time.perf_counter()
    rows = [*together(), offloading()]
    show(rows)
    found = sizes()
    save_group("scaling", "scaling", rows, time.perf_counter() - started, sizes=found)


def together() -> list[Row]:
    """Two gloo processes with batch 8 each against one with batch 16, one thread for each process."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        single = seconds_of(lambda: _run(place, "single", 16, []))
        double = seconds_of(lambda: _run(place, "double", 8, _launcher()))
        one, two = (json.loads((place / name / "summary.json").read_text()) for name in ("single", "double"))
    first, second = (np.array(item["aware"]["matrix"][1:], dtype=float) for item in (one, two))
    apart = float(np.nanmax(np.abs(first - second)))
    train = one["seconds"]["train"] / two["seconds"]["train"]
    return [
        Row(
            what="two processes with half the batch each: largest difference in the accuracy matrix",
            against="one process with the whole batch",
            goal="0",
            measured=apart,
            met=apart == 0,
            unit="",
            limits="the order of sums; a prediction flips where two labels are equally likely",
            n=1,
        ),
        Row(
            what="two processes, one thread each: learning time",
            against="one process with one thread",
            goal="at least 1.3 times faster",
            measured=train,
            met=train >= 1.3,
            limits="the ground and the scores on dev, which each process computes for itself, and memory",
            details={"whole runs, s": {"single": single, "double": double}},
            n=1,
        ),
    ]


def _run(folder: Path, name: str, batch: int, launcher: list[str]) -> None:
    events = f"stream.tasks=[{','.join(_EVENTS)}]"
    words = ["run", "pheme", events, *_SETTINGS, f"training.batch_size={batch}", "--runs-dir", str(folder)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    command = [sys.executable, *(launcher or ["-m"]), "continual", *words, "--name", name]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        sys.exit(done.stderr[-2000:])


def _launcher() -> list[str]:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    words = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1"]
    words += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", str(port)]
    return [*words, "--num_cpu_threads_per_process", "1", "-m"]


def offloading() -> Row:
    """A BERT-base-sized encoder with random weights, held in memory and read from disk."""
    from continual.backbone.catalog import hub
    from continual.backbone.frozen import freeze
    from continual.backbone.readout import Readout

    with tempfile.TemporaryDirectory() as folder:
        _save_base(Path(folder))
        plain, spread = hub(folder), hub(folder, memory_mb=120)
        texts = material.texts(64)
        views = {}

        def read(name: str, encoder: object) -> None:
            views[name] = freeze(encoder, encoder.tokenize(texts), 10, Readout("last", ("pool",), terms=0))

        found = alternately({"memory": lambda: read("memory", plain), "disk": lambda: read("disk", spread)}, 5)
        same = torch.equal(views["memory"].features, views["disk"].features)
        held = sum(value.numel() * 4 for value in spread.model.parameters() if not value.is_meta) / 1e6
        total = sum(value.numel() * 4 for value in plain.model.parameters()) / 1e6
    return Row.of(
        found["disk"].over(found["memory"]),
        what=f"a backbone of {total:.0f} MB of which {held:.0f} MB are held in memory: time of a frozen pass",
        against="the same backbone in memory; results equal bit for bit",
        goal="the same bits",
        met=same,
        limits="reading each layer for every batch of 64 texts",
        details={name: timing.to_json() for name, timing in found.items()},
    )


def _save_base(folder: Path) -> None:
    """A model of BERT-base's shape with random weights and MiniLM's tokenizer."""
    declare_missing_operators()
    from transformers import BertConfig, BertModel

    source = material.encoder()
    config = BertConfig(vocab_size=source.model.config.vocab_size)
    torch.manual_seed(0)
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    source.tokenizer.save_pretrained(folder)


def sizes() -> dict[str, float]:
    """Bytes of what grows with tasks, measured on one learned task."""
    from continual import Learner, LearnerSettings
    from continual.training.config import TrainingConfig

    settings = LearnerSettings(method={"name": "scratch"}, training=TrainingConfig(epochs=1, min_steps=0))
    with tempfile.TemporaryDirectory() as folder:
        learner = Learner(f"{folder}/pool", material.encoder(), settings)
        learner.learn(material.task("pheme", "charliehebdo"))
        tensors = learner.pool.get(learner.pool.ids()[0]).tensors
        groups: dict[str, float] = {}
        for name, value in tensors.items():
            group = name.split(".")[0]
            groups[group] = groups.get(group, 0) + value.numel() * value.element_size()
        records = (learner.pool.folder(learner.pool.ids()[0]) / "prompt.json").stat().st_size
    return groups | {"prompt.json": records, "total": sum(groups.values()) + records}


if __name__ == "__main__":
    main()
