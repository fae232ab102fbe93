"""How near encoders come to a GPU's arithmetic: forward and a training step of a prompt, eager and compiled.

    python -m benchmarks.gpu [--batch 256]

It measures the encoder and the prompt, in bfloat16, on random token ids of a few lengths (bounded shapes: each length
is compiled once); learning on a GPU as a whole is not in this version. The bound is the rate of a large bfloat16
product on the same device. Without a GPU it says so and ends.
"""

import argparse
import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional as F

from benchmarks.common import save_group
from benchmarks.measure import REPEATS, Row, Spread, alternately, show
from benchmarks.operations import Shape, matmul_rate
from continual._torchvision import declare_missing_operators
from continual.backbone.encoder import Encoder
from continual.tuning import build_tuning
from continual.tuning.base import Tensors, Tuning, final_states

LENGTHS = (32, 128)
"""Tokens of the texts of a batch: the bounded shapes."""

LABELS = 4
Wrap = Callable[[Callable[..., torch.Tensor]], Callable[..., torch.Tensor]]
"""What is done with the network before it is run: nothing, or compiling it."""

_CALLS = 10
"""Calls between two looks at the clock."""


@dataclass(frozen=True)
class Device:
    """Where to measure, and how.

    Attributes:
        name: As torch calls it.
        dtype: Of weights and states.
        product: Rows of the square matrices whose product gives the bound.
    """

    name: str = "cuda"
    dtype: torch.dtype = torch.bfloat16
    product: int = 8192

    def settle(self) -> None:
        """Waits for what the device was asked to do."""
        if self.name == "cuda":
            torch.cuda.synchronize()


def main() -> None:
    """Measures both encoders where there is a GPU."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=256, help="texts in a batch")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        print("No GPU is at hand, so nothing was measured.")
        return
    from benchmarks.speed import material

    started, device = time.perf_counter(), Device()
    rows = [
        row
        for name, encoder in (("MiniLM", material.encoder()), ("BERT-base's shape, random weights", base_sized()))
        for row in measure(name, encoder, device, arguments.batch)
    ]
    show(rows)
    save_group("gpu", "gpu", rows, time.perf_counter() - started, device=torch.cuda.get_device_name())


def base_sized() -> Encoder:
    """An encoder of BERT-base's shape with random weights and MiniLM's tokenizer."""
    declare_missing_operators()
    from transformers import BertConfig, BertModel

    from benchmarks.speed import material

    source = material.encoder()
    torch.manual_seed(0)
    model = BertModel(BertConfig(vocab_size=source.model.config.vocab_size), add_pooling_layer=False)
    return Encoder(model, source.tokenizer, "bert-base-random")


def measure(
    name: str,
    encoder: Encoder,
    device: Device,
    batch: int,
    lengths: tuple[int, ...] = LENGTHS,
    repeats: int = REPEATS,
    calls: int = _CALLS,
) -> list[Row]:
    """One row for each piece of work and length: eager against compiled, in turns.

    Args:
        name: Of the encoder in the table.
        encoder: It is moved to the device.
        device: Where to measure.
        batch: Texts in a batch.
        lengths: Tokens of each text, one batch for each.
        repeats: How many turns are measured.
        calls: Of each piece of work in a turn.
    """
    encoder.model.to(device.name, device.dtype)
    rate = matmul_rate(device.product, device.name, device.dtype, device.settle)
    layer = encoder.depth * 2 // 3
    tuning = build_tuning({"name": "deep", "length": 16, "layer": layer})
    rows = []
    for length in lengths:
        ids = torch.randint(0, encoder.model.config.vocab_size, (batch, length), device=device.name)
        mask = torch.ones_like(ids, dtype=torch.bool)
        texts = [length] * batch
        forward = Shape.of(encoder).forward(texts, encoder.depth)
        step = Shape.of(encoder, 16).step(texts, encoder.depth - layer)
        works = {
            "forward": (functools.partial(_forward, encoder, ids, mask), forward),
            f"training step of a prompt from layer {layer} on": (
                functools.partial(_step, encoder, tuning, ids, mask),
                step,
            ),
        }
        for work, (make, operations) in works.items():
            what = f"{name}: {work}, {batch} texts of {length} tokens"
            rows += _compared(what, make, operations / rate, batch, device, repeats, calls)
    return rows


def _compared(
    what: str,
    make: Callable[[Wrap], Callable[[], Any]],
    bound: float,
    batch: int,
    device: Device,
    repeats: int,
    calls: int,
) -> list[Row]:
    """The share of the bound of a piece of work, as it is written and with its network compiled."""
    bodies = {"eager": make(lambda network: network), "torch.compile": make(_compiled)}

    def many(body: Callable[[], Any]) -> None:
        for _ in range(calls):
            body()
        device.settle()

    found = alternately({name: (lambda body=body: many(body)) for name, body in bodies.items()}, repeats, warmup=2)
    rows = []
    for name, seconds in found.items():
        one = Spread.of([value / calls for value in seconds.values])
        share = Spread.of([bound / value for value in one.values])
        faster = found["eager"].over(seconds).median
        rows.append(
            Row.of(
                share,
                f"{what}, {name}: {batch / one.median:,.0f} examples a second",
                f"its matrix products at the measured rate of {_kind(device)}",
                unit="of the bound",
                limits="–" if name == "eager" else f"{faster:.2f} times as fast as eager",
                details={"seconds": one.to_json(), "examples a second": batch / one.median},
            )
        )
    return rows


def _kind(device: Device) -> str:
    return str(device.dtype).removeprefix("torch.")


def _compiled(network: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    return torch.compile(network, dynamic=False)


def _forward(encoder: Encoder, ids: torch.Tensor, mask: torch.Tensor, wrap: Wrap) -> Callable[[], torch.Tensor]:
    """A pass through the whole encoder, without gradients."""
    network = wrap(lambda ids, mask: encoder.pool(encoder.run(encoder.embed(ids, mask), mask), mask))

    @torch.no_grad()
    def forward() -> torch.Tensor:
        return network(ids, mask)

    return forward


def _step(
    encoder: Encoder, tuning: Tuning, ids: torch.Tensor, mask: torch.Tensor, wrap: Wrap
) -> Callable[[], torch.Tensor]:
    """Loss, gradients and an optimiser step of a prompt and a classifier, from states below it that are kept."""
    dtype, device = next(encoder.model.parameters()).dtype, ids.device
    with torch.no_grad():
        hidden = encoder.run(encoder.embed(ids, mask), mask, stop=tuning.entry(encoder))
    fresh = tuning.initial(encoder, None, torch.Generator().manual_seed(0))
    tensors: Tensors = {name: value.to(device, dtype).requires_grad_() for name, value in fresh.items()}
    head = torch.zeros(LABELS, encoder.width, device=device, dtype=dtype, requires_grad=True)
    labels = torch.arange(len(ids), device=device) % LABELS
    optimiser = torch.optim.AdamW([*tensors.values(), head], lr=1e-3)

    @wrap
    def loss_of(tensors: Tensors, head: torch.Tensor) -> torch.Tensor:
        pooled = encoder.pool(final_states(tuning, encoder, hidden, mask, tensors), mask)
        return F.cross_entropy((pooled @ head.T).float(), labels)

    def step() -> torch.Tensor:
        optimiser.zero_grad(set_to_none=True)
        loss = loss_of(tensors, head)
        loss.backward()
        optimiser.step()
        return loss.detach()

    return step


if __name__ == "__main__":
    main()
