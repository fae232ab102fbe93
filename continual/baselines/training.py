"""Avalanche's training loop with the budget, the schedule and the promises of this project."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Sampler

import continual.baselines._avalanche  # noqa: F401  (before the first import of Avalanche)

# isort: split

from avalanche.core import BasePlugin
from avalanche.training.supervised import Cumulative, JointTraining
from avalanche.training.templates import SupervisedTemplate

from continual.backbone.texts import EncodedTexts, shuffled_by_length
from continual.baselines.methods import Rates
from continual.baselines.model import Classifier
from continual.baselines.randomness import drawn_from
from continual.seeding import seed_of
from continual.training.checkpoint import Checkpoints
from continual.training.config import TrainingConfig
from continual.training.finite import finite_loss
from continual.training.loop import FitResult
from continual.training.schedule import planned_epochs, rate_factor
from continual.training.watch import Watcher

STAGE = "fine-tuning"

_SECONDS_BETWEEN_CHECKPOINTS = 60.0
"""A checkpoint holds four times the model, so it is written more rarely than that of a prompt."""


@dataclass(frozen=True)
class Assignment:
    """What is to be trained on one task, apart from the texts.

    Attributes:
        task: Its name, by which its randomness is called.
        dev: Texts that choose the epoch.
        targets: Their units, [dev texts].
        config: The budget; its rates and its average are those of prompts and not used.
        rates: Peak learning rates.
        seed: The run's seed.
        checkpoints: Where to keep the state between epochs.
        watcher: Who is told.
    """

    task: str
    dev: EncodedTexts
    targets: Tensor
    config: TrainingConfig
    rates: Rates
    seed: int
    checkpoints: Checkpoints
    watcher: Watcher


@dataclass
class _Progress:
    """Where a training stands between two epochs."""

    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    curve: list[dict[str, Any]] = field(default_factory=list)
    best_epoch: int = 0


class LengthBatches(Sampler[list[int]]):
    """Random batches of texts of like length, drawn from torch's global generator.

    Args:
        lengths: Tokens in each text.
        size: Texts in a batch.
    """

    def __init__(self, lengths: Sequence[int], size: int) -> None:
        self._lengths, self._size = torch.tensor(list(lengths)), size

    def __len__(self) -> int:
        return -(-len(self._lengths) // self._size)

    def __iter__(self):
        for rows in shuffled_by_length(self._lengths, self._size, torch.default_generator):
            yield rows.tolist()


class FineTuning(SupervisedTemplate):
    """Avalanche's supervised strategy, made for one task and thrown away: sequential fine-tuning, with plugins more.

    What differs from Avalanche's own loop: batches hold texts of like length; the learning rate warms up and falls; the
    gradient is clipped; the weights of the best epoch on dev are kept, before plugins look at them; every epoch has a
    seed of its own; and an interrupted training goes on from its last saved epoch.

    Args:
        model: What is trained.
        assignment: How.
        plugins: Avalanche's plugins.
        earlier: How many tasks were learned before; plugins ask the strategy's clock.
    """

    def __init__(
        self, *, model: Classifier, assignment: Assignment, plugins: Sequence[BasePlugin] = (), earlier: int = 0
    ) -> None:
        config = assignment.config
        super().__init__(
            model=model,
            optimizer=_optimiser(model, assignment.rates),
            criterion=torch.nn.CrossEntropyLoss(label_smoothing=config.label_smoothing),
            train_mb_size=config.batch_size,
            plugins=list(plugins),
            evaluator=None,
        )
        self.clock.train_exp_counter = earlier
        self.assignment = assignment
        self.result: FitResult | None = None
        self._at = _Progress()
        self._total = 0
        self._losses: list[float] = []
        self._best: dict[str, Tensor] = {}

    def make_train_dataloader(self, **kwargs: Any) -> None:
        """Batches of like length instead of Avalanche's own; replay puts its own in their place."""
        data = self.adapted_dataset
        batches = LengthBatches(data.lengths, self.train_mb_size)
        self.dataloader = DataLoader(data, batch_sampler=batches, collate_fn=data.collate_fn)

    def optimizer_step(self) -> None:
        """One step at the scheduled rate, with the gradient clipped."""
        config = self.assignment.config
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * rate_factor(config, self._at.step, self._total)
        if config.clip_norm:
            torch.nn.utils.clip_grad_norm_(self.model.trained().values(), config.clip_norm)
        self.optimizer.step()
        self._at.step += 1

    def _after_training_iteration(self, **kwargs: Any) -> None:
        super()._after_training_iteration(**kwargs)
        self._losses.append(finite_loss(self.loss.item(), self._at.step, "lower method.learning_rate"))
        self.assignment.watcher.step(STAGE, self._at.step, self._losses[-1])

    def _train_exp(self, experience: Any, eval_streams: Any = None, **kwargs: Any) -> None:
        """All epochs; leaves the weights of the best in the model."""
        epochs = planned_epochs(self.assignment.config, len(self.dataloader))
        self._total = epochs * len(self.dataloader)
        self._best = self._copies()
        self._restore()
        earlier, saved = self._at.seconds, time.monotonic()
        started = saved - earlier
        self.assignment.watcher.started(STAGE, self._total)
        if not self._at.curve:
            self._score(None)
        while self._at.epoch < epochs and not self._out_of_patience():
            self._at.epoch += 1
            self._one_epoch(**kwargs)
            self._score(sum(self._losses) / len(self._losses))
            self._at.seconds = time.monotonic() - started
            if time.monotonic() - saved >= _SECONDS_BETWEEN_CHECKPOINTS:
                self._save()
                saved = time.monotonic()
        self._put(self._best)
        self.assignment.watcher.finished(STAGE)
        at = self._at
        self.result = FitResult(STAGE, at.step, at.seconds, at.best_epoch, at.curve, earlier)

    def _one_epoch(self, **kwargs: Any) -> None:
        self._losses = []
        with drawn_from(seed_of(self.assignment.seed, self.assignment.task, "epoch", str(self._at.epoch))):
            self._before_training_epoch(**kwargs)
            self.training_epoch(**kwargs)
            self._after_training_epoch(**kwargs)

    def _after_training_exp(self, **kwargs: Any) -> None:
        """Plugins fill their memories here."""
        with drawn_from(seed_of(self.assignment.seed, self.assignment.task, "memory")):
            super()._after_training_exp(**kwargs)

    def _score(self, train_loss: float | None) -> None:
        """Scores the weights on dev and keeps them if they are the best so far: those of the lowest loss."""
        logits = self.model.logits(self.assignment.dev)
        loss = float(F.cross_entropy(logits, self.assignment.targets))
        accuracy = float((logits.argmax(1) == self.assignment.targets).float().mean())
        at = self._at
        at.curve.append({"epoch": at.epoch, "train_loss": train_loss, "dev_accuracy": accuracy, "dev_loss": loss})
        if loss < at.curve[at.best_epoch]["dev_loss"]:
            at.best_epoch, self._best = at.epoch, self._copies()
        self.assignment.watcher.epoch(STAGE, at.epoch, {"dev_accuracy": accuracy, "dev_loss": loss})

    def _out_of_patience(self) -> bool:
        patience = self.assignment.config.patience
        return bool(patience) and self._at.epoch - self._at.best_epoch >= patience

    def _copies(self) -> dict[str, Tensor]:
        return {name: value.detach().clone() for name, value in self.model.trained().items()}

    def _put(self, tensors: dict[str, Tensor]) -> None:
        with torch.no_grad():
            for name, value in self.model.trained().items():
                value.copy_(tensors[name])

    def _save(self) -> None:
        tensors = {f"best/{name}": value for name, value in self._best.items()}
        for name, value in self.model.trained().items():
            tensors[f"live/{name}"] = value.detach()
            slots = self.optimizer.state.get(value, {})
            tensors |= {f"adam/{name}/{slot}": tensor for slot, tensor in slots.items()}
        self.assignment.checkpoints.save(STAGE, tensors, {"total": self._total, **vars(self._at)})

    def _restore(self) -> None:
        """Takes up the last saved epoch if there is one."""
        saved = self.assignment.checkpoints.load(STAGE)
        if saved is None or saved[1].pop("total") != self._total:
            return
        tensors, state = saved
        self._at = _Progress(**state)
        self._best = _part(tensors, "best/")
        self._put(_part(tensors, "live/"))
        for name, value in self.model.trained().items():
            slots = _part(tensors, f"adam/{name}/")
            if slots:
                self.optimizer.state[value] = slots


class CumulativeTuning(FineTuning, Cumulative):
    """Avalanche's `Cumulative` in the loop of `FineTuning`."""


class JointTuning(FineTuning, JointTraining):
    """Avalanche's `JointTraining` in the loop of `FineTuning`."""


def _optimiser(model: Classifier, rates: Rates) -> torch.optim.AdamW:
    """Body and classifier with their peaks; the rates themselves are set anew before each step."""
    groups: dict[float, list[torch.nn.Parameter]] = {}
    for name, value in model.trained().items():
        groups.setdefault(rates.head if name.startswith("head.") else rates.body, []).append(value)
    parts = [{"params": values, "peak": peak} for peak, values in groups.items()]
    return torch.optim.AdamW(parts, lr=1.0, weight_decay=0.0, fused=True)


def _part(tensors: dict[str, Tensor], start: str) -> dict[str, Tensor]:
    return {name.removeprefix(start): value for name, value in tensors.items() if name.startswith(start)}
