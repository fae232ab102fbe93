"""How near a training step comes to the machine's arithmetic, and what each saving is worth.

The bound is the time that the step's matrix products would take at the rate of a large product of float32 matrices on
this machine. A product of a [tokens, in] by an [in, out] matrix costs 2 * tokens * in * out operations forward and as
many backward, where only the gradient of its input is needed: the weights are frozen.
"""

from typing import Any

import torch

from benchmarks.measure import Row, alternately, timed
from benchmarks.speed import material
from continual.backbone.frozen import freeze
from continual.backbone.readout import Readout
from continual.training.config import TrainingConfig
from continual.training.examples import Examples
from continual.training.loop import _Training, cross_entropy
from continual.training.model import PromptModel
from continual.training.watch import Silent
from continual.tuning import build_tuning

BARE = Readout("none", terms=0)
BATCHES = (16, 64)


def rows() -> list[Row]:
    """One row for each batch size, and one for the savings."""
    rate = matmul_rate()
    return [*(_efficiency(batch, rate) for batch in BATCHES), _savings()]


def matmul_rate(size: int = 2048) -> float:
    """Operations a second of a large float32 product."""
    left, right = torch.randn(size, size), torch.randn(size, size)
    return 2 * size**3 / timed(lambda: left @ right, repeats=9, warmup=3).median


def step_operations(tokens: int, lengths: list[int], layers: int, prefix: int, width: int, inner: int) -> int:
    """Operations of the matrix products of one step, forward and backward, through `layers` layers.

    Args:
        tokens: Real tokens in the batch.
        lengths: Tokens of each text.
        layers: Layers from the prompt's entry on.
        prefix: Key/value vectors that each of these layers adds.
        width: Size of a state.
        inner: Size of the feed-forward layer.
    """
    square, fed = tokens * width * width, tokens * 2 * width * inner
    attention = sum(2 * length * (length + prefix) * width for length in lengths)
    forward = 4 * square + fed + attention
    # Backward, weights being frozen: as much for the inputs of the products, and in attention, where both sides depend
    # on the prompt, twice as much. The lowest layer's own input does not depend on the prompt: nothing goes back
    # through its query, key and value, and in attention little more than the gradient of the weights is needed.
    upper = 4 * square + fed + 2 * attention
    lowest = square + fed + attention // 2
    return 2 * (layers * forward + (layers - 1) * upper + lowest)


def training(name: str, batch: int, tuning: dict[str, Any], keep: bool = True) -> _Training:
    """A training of an event's texts, ready to step."""
    encoder, task = material.encoder(), material.task("pheme", name)
    kind = build_tuning(tuning)
    parts = []
    for split in (task.train, task.dev):
        view = freeze(encoder, encoder.tokenize(list(split["text"])), kind.entry(encoder), BARE, keep_states=keep)
        parts.append(Examples.bare(view, torch.tensor(list(split["label"])), len(task.labels)))
    tensors = kind.initial(encoder, parts[0].view.states, torch.Generator().manual_seed(0))
    model = PromptModel.begin(encoder, kind, tensors, len(task.labels), parts[0].view)
    config = TrainingConfig(batch_size=batch)
    generator = torch.Generator().manual_seed(0)
    return _Training(model, *parts, config, generator, cross_entropy(), "student", None, Silent())


def _efficiency(batch: int, rate: float) -> Row:
    running = training("charliehebdo", batch, {"name": "deep", "length": 16, "layer": 4})
    encoder = material.encoder()
    layers = encoder.depth - running.model.tuning.entry(encoder)
    batches = list(running.train.shuffled(batch, torch.Generator().manual_seed(1)))
    lengths = [running.train.view.states.lengths[rows].tolist() for rows in batches]
    operations = sum(
        step_operations(sum(own), own, layers, 16, encoder.width, encoder.model.config.intermediate_size)
        for own in lengths
    )
    seconds = timed(lambda: [running._one_step(rows) for rows in batches])
    share = operations / rate / seconds.median
    return Row(
        what=f"arithmetic efficiency of a training step, batch {batch}",
        against="its matrix products at the measured rate",
        goal="at least 0.75 of the bound",
        measured=share,
        met=share >= 0.75,
        unit="of the bound",
        limits="softmax, GELU, layer norm and their backward pass, which move memory and do hardly any arithmetic",
        details={"operations": operations, "rate": rate, "epoch": vars(seconds), "steps": len(batches)},
    )


def _savings() -> Row:
    """Seconds of one epoch as each saving is added to the last."""
    plain = {"name": "input", "length": 16}
    late = {"name": "late", "length": 16, "layer": 4}
    deep = {"name": "deep", "length": 16, "layer": 4}
    runs = {
        "at the input, random batches, padded": (training("charliehebdo", 16, plain, keep=False), False),
        "+ batches of like length": (training("charliehebdo", 16, plain, keep=False), True),
        "+ inserted before layer 4": (training("charliehebdo", 16, late, keep=False), True),
        "+ lower layers computed once": (training("charliehebdo", 16, late), True),
        "as key/value prefixes (default)": (training("charliehebdo", 16, deep), True),
    }
    found = alternately({name: (lambda item=item: _epoch(*item)) for name, item in runs.items()}, repeats=5)
    medians = [timing.median for timing in found.values()]
    ratio = medians[0] / medians[-1]
    return Row(
        what="an epoch with every saving",
        against="the same epoch without any",
        goal="no saving makes it slower",
        measured=ratio,
        met=medians == sorted(medians, reverse=True),
        details={name: vars(timing) for name, timing in found.items()},
    )


def _epoch(running: _Training, sorted_batches: bool) -> None:
    generator = torch.Generator().manual_seed(1)
    if sorted_batches:
        batches = list(running.train.shuffled(16, generator))
    else:
        batches = list(torch.randperm(len(running.train), generator=generator).split(16))
    for rows in batches:
        running._one_step(rows)
