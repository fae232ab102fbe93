"""The loop that pretrains a model: as many steps as are asked for or fit into a time, and able to go on after a kill.

A step is a function of seed, number of the step and total number of steps. The clock decides nothing but that number,
and once: when the time before the cool-down is used up. The decision goes to disk before the next step, so a training
that was killed ends with the bits of an undisturbed one of as many steps.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from continual.backbone.products import quicken
from continual.errors import Interrupted
from continual.pretraining.batches import TokenBatches
from continual.pretraining.optimisation import OptimisationConfig
from continual.pretraining.schedule import rate_factor, total_from
from continual.seeding import seed_of
from continual.training.checkpoint import Checkpoints
from continual.training.finite import finite_loss
from continual.training.watch import Watcher

STAGE = "training"
"""The name of a training that is the only one of its model."""

_SECONDS_BETWEEN_CHECKPOINTS = 60.0
_BETAS, _EPSILON = (0.9, 0.98), 1e-9


class Objective(Protocol):
    """What is trained, and how it is scored."""

    module: nn.Module
    """All that has weights, in place on its device."""

    def loss(self, step: int, rows: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The loss of the texts `rows` at a step, and its parts by name; what is random in it follows from the step."""

    def evaluate(self) -> dict[str, float]:
        """Scores on held-out text, by name."""


@runtime_checkable
class Remembering(Protocol):
    """An objective that has to go on from more than weights and step."""

    def state(self) -> dict[str, Any]:
        """Plain values to go on from."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on where `state` was taken."""


@dataclass(frozen=True)
class Outcome:
    """How a training went.

    Attributes:
        steps: Steps taken.
        epochs: Passes over the texts that were begun.
        seconds: Wall time, summed over interruptions, with all that came before the training.
        curve: For each look at the held-out text the step, the seconds, mean training losses since the last and scores.
    """

    steps: int
    epochs: int
    seconds: float
    curve: list[dict[str, float]]


@dataclass
class Training:
    """A training that begins where its checkpoint says.

    Attributes:
        objective: What is trained.
        batches: The texts of each step.
        config: Steps, rates, precision.
        seed: Decides all that is random.
        seconds: The time for it, where `config.steps` leaves that open; counted from `started`.
        started: `time.monotonic()` at the beginning of this session of work.
        checkpoints: Where its state is kept.
        watcher: Who is told, and may ask to stop.
        report: Given each entry of the curve as it is made.
        stage: Its name, for its checkpoint and for who watches.
    """

    objective: Objective
    batches: TokenBatches
    config: OptimisationConfig
    seed: int
    seconds: float
    started: float
    checkpoints: Checkpoints
    watcher: Watcher
    report: Callable[[Mapping[str, float]], None]
    stage: str = STAGE
    step: int = field(default=0, init=False)
    epoch: int = field(default=0, init=False)
    earlier: float = field(default=0.0, init=False)
    curve: list[dict[str, float]] = field(default_factory=list, init=False)
    sums: dict[str, float] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.total = self.config.steps
        quicken(self.objective.module)
        self.optimiser = torch.optim.AdamW(
            self.objective.module.parameters(),
            lr=1.0,  # set anew before each step
            betas=_BETAS,
            eps=_EPSILON,
            weight_decay=self.config.weight_decay,
        )

    def run(self) -> Outcome:
        """Trains to the end.

        Raises:
            Interrupted: The watcher was asked to stop; what was learned is on disk.
            LearningError: The loss is no number any more.
            StorageError: A checkpoint could not be written.
        """
        self._restore()
        self.watcher.started(self.stage, self.total)
        device = next(self.objective.module.parameters()).device
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            try:
                self._train()
            except Interrupted:
                self._save()
                raise
        self.watcher.finished(self.stage)
        self._save()
        return Outcome(self.step, self.epoch + 1, self.elapsed, self.curve)

    @property
    def elapsed(self) -> float:
        """Seconds of this and all earlier sessions."""
        return self.earlier + time.monotonic() - self.started

    def _train(self) -> None:
        saved = time.monotonic()
        for epoch, rows in self.batches.since(self.step):
            self._decide_total()
            if self.total is not None and self.step >= self.total:
                break
            self.epoch = epoch
            loss = self._one_step(rows)
            if self.step % self.config.evaluate_every == 0:
                self._evaluate()
            if time.monotonic() - saved >= _SECONDS_BETWEEN_CHECKPOINTS:
                self._save()
                saved = time.monotonic()
            self.watcher.step(self.stage, self.step, loss)
        if not self.curve or self.curve[-1]["step"] < self.step:
            self._evaluate()

    def _decide_total(self) -> None:
        """Ends the open part of the training when its time is up; see the module's text."""
        if self.total is None and self.elapsed >= (1 - self.config.cooldown) * self.seconds:
            self.total = max(total_from(self.step, self.config.cooldown), 1)
            self._save()
            self.watcher.started(self.stage, self.total)

    def _one_step(self, rows: Tensor) -> float:
        torch.manual_seed(seed_of(self.seed, "step", str(self.step)))
        for group in self.optimiser.param_groups:
            group["lr"] = self.config.learning_rate * rate_factor(self.config, self.step, self.total)
        self.objective.module.train()
        self.optimiser.zero_grad(set_to_none=True)
        device = next(self.objective.module.parameters()).device
        with torch.autocast(device.type, torch.bfloat16, enabled=is_bf16(self.config.precision, device)):
            loss, parts = self.objective.loss(self.step, rows)
        loss.backward()
        if self.config.clip_norm:
            torch.nn.utils.clip_grad_norm_(self.objective.module.parameters(), self.config.clip_norm)
        self.optimiser.step()
        self.step += 1
        return self._noted(loss, parts)

    def _noted(self, loss: Tensor, parts: Mapping[str, Tensor]) -> float:
        values = {name: float(value.detach()) for name, value in {"loss": loss, **parts}.items()}
        finite_loss(values["loss"], self.step, "lower training.learning_rate or raise training.warmup and start again")
        for name, value in values.items():
            # A part may be absent in some steps, so each has a count of its own.
            self.sums[name] = self.sums.get(name, 0.0) + value
            self.sums[f"#{name}"] = self.sums.get(f"#{name}", 0.0) + 1
        return values["loss"]

    def _evaluate(self) -> None:
        means = {f"train_{name}": value / self.sums[f"#{name}"] for name, value in self.sums.items() if name[0] != "#"}
        self.sums = {}
        self.objective.module.eval()
        with torch.inference_mode():
            scores = self.objective.evaluate()
        self.curve.append({"step": self.step, "seconds": round(self.elapsed, 1), **means, **scores})
        self.watcher.epoch(self.stage, self.step, {**means, **scores})
        self.report(self.curve[-1])

    def _save(self) -> None:
        tensors = {}
        for name, value in self.objective.module.named_parameters():
            tensors[f"model/{name}"] = value.detach()
            slots = self.optimiser.state.get(value, {})
            tensors |= {f"adam/{name}/{slot}": tensor for slot, tensor in slots.items()}
        state = {
            "step": self.step,
            "epoch": self.epoch,
            "total": self.total,
            "seconds": self.elapsed,
            "curve": self.curve,
            "sums": self.sums,
            "objective": self.objective.state() if isinstance(self.objective, Remembering) else {},
        }
        self.checkpoints.save(self.stage, tensors, state)

    def _restore(self) -> None:
        saved = self.checkpoints.load(self.stage)
        if saved is None:
            return
        tensors, state = saved
        self.step, self.epoch, self.total = state["step"], state["epoch"], state["total"]
        self.earlier, self.curve, self.sums = state["seconds"], state["curve"], state["sums"]
        if isinstance(self.objective, Remembering):
            self.objective.restore(state["objective"])
        with torch.no_grad():
            for name, value in self.objective.module.named_parameters():
                value.copy_(tensors[f"model/{name}"])
                start = f"adam/{name}/"
                slots = {key.removeprefix(start): slot for key, slot in tensors.items() if key.startswith(start)}
                if slots:
                    # The count of steps stays where torch looks for it, on the CPU.
                    self.optimiser.state[value] = {
                        key: slot if key == "step" else slot.to(value.device) for key, slot in slots.items()
                    }


def is_bf16(precision: str, device: torch.device) -> bool:
    """Whether matrix products are made in bfloat16: on a CPU without AMX that was slower in two measurements."""
    return precision == "bf16" or (precision == "auto" and device.type == "cuda")
