"""How near a training step comes to the machine's arithmetic; see `benchmarks/operations.py` for the bound."""

from typing import Any

import torch

from benchmarks.measure import Row, Spread, timed
from benchmarks.operations import Shape, matmul_rate
from benchmarks.shares import sentence, shares
from benchmarks.speed import material
from continual.backbone.frozen import freeze
from continual.backbone.readout import Readout
from continual.training.config import TrainingConfig
from continual.training.examples import Examples
from continual.training.loop import Training
from continual.training.model import PromptModel
from continual.tuning import build_tuning

BARE = Readout("none", terms=0)
EVENT = "charliehebdo"
DEEP = {"name": "deep", "length": 16, "layer": 4}
BATCHES = (16, 64)


def rows(quick: bool = False) -> list[Row]:
    """One row for each batch size."""
    rate = matmul_rate()
    return [_efficiency(batch, rate, 128 if quick else None) for batch in BATCHES]


def examples(split: Any, labels: int, tuning: dict[str, Any], keep: bool = True) -> Examples:
    """The texts of a split, seen by the frozen model, their lower states kept or computed for each batch anew."""
    encoder = material.encoder()
    texts, entry = encoder.tokenize(list(split["text"])), build_tuning(tuning).entry(encoder)
    view = freeze(encoder, texts, entry, BARE, keep_states=keep)
    return Examples.bare(view, torch.tensor(list(split["label"])), labels)


def training(
    tuning: dict[str, Any], batch: int = 16, keep: bool = True, texts: int | None = None, **more: Any
) -> Training:
    """A training on PHEME's largest event, ready to step.

    Args:
        tuning: What is trained.
        batch: Texts in a step.
        keep: Whether the states below the prompt are kept.
        texts: How many training texts at most.
        **more: Further arguments of `Training`.
    """
    encoder, task, kind = (
        material.encoder(),
        material.task("pheme", EVENT, max_train=texts, max_dev=texts),
        build_tuning(tuning),
    )
    train, dev = (examples(split, len(task.labels), tuning, keep) for split in (task.train, task.dev))
    tensors = kind.initial(encoder, train.view.states, torch.Generator().manual_seed(0))
    model = PromptModel.begin(encoder, kind, tensors, len(task.labels), train.view)
    return Training(model, train, dev, TrainingConfig(batch_size=batch), torch.Generator().manual_seed(0), **more)


def _efficiency(batch: int, rate: float, texts: int | None) -> Row:
    running = training(DEEP, batch, texts=texts)
    encoder = material.encoder()
    layers = encoder.depth - running.model.tuning.entry(encoder)
    batches = list(running.train.shuffled(batch, torch.Generator().manual_seed(1)))
    lengths = [running.train.view.states.lengths[rows].tolist() for rows in batches]
    operations = sum(Shape.of(encoder, DEEP["length"]).step(own, layers) for own in lengths)

    def epoch() -> None:
        for rows in batches:
            running.take_step(rows)

    seconds = timed(epoch)
    found = shares(epoch)
    share = Spread.of([operations / rate / value for value in seconds.values])
    return Row.of(
        share,
        f"arithmetic efficiency of a training step, batch {batch}",
        "its matrix products at the measured rate",
        "at least 0.75 of the bound",
        share.median >= 0.75,
        "of the bound",
        sentence(found),
        {
            "operations": operations,
            "rate": rate,
            "epoch": seconds.to_json(),
            "steps": len(batches),
            "shares": found,
        },
    )
