"""The training loop: short, deterministic, and able to go on where it was cut off."""

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from continual.backbone.body import Perturbation
from continual.errors import Interrupted
from continual.team import current_team
from continual.training.batches import Batches
from continual.training.checkpoint import Checkpoints, NoCheckpoints
from continual.training.config import TrainingConfig
from continual.training.finite import finite_loss
from continual.training.hype import Hype
from continual.training.schedule import planned_epochs, rate_factor
from continual.training.trainable import Trainable
from continual.training.watch import Silent, Watcher

Objective = Callable[[Tensor, Tensor, Tensor, float], Tensor]
"""`(logits [answers, choices], choices [answers], rows, progress in [0, 1]) -> loss`, a scalar.

A classification has one answer for each text, whose choices are labels; a translation one for each target token, whose
choices are the vocabulary. `rows` are the numbers of the examples."""

Penalty = Callable[[Trainable, Tensor], Tensor]
"""`(model, rows) -> loss` beside the objective, a scalar: what concerns the tensors themselves, or the frozen texts."""

_SECONDS_BETWEEN_CHECKPOINTS = 2.0
"""Between two epochs, times `Trainable.checkpoint_pace`."""

_SECONDS_WITHIN_AN_EPOCH = 120.0
"""After so long without a checkpoint one is made within an epoch: over many texts an epoch takes many minutes."""

_STATE = ("epoch", "step", "seconds", "curve", "best_epoch", "losses")
"""What a checkpoint keeps of a training beside tensors."""


@dataclass(frozen=True)
class FitResult:
    """How a training went.

    Attributes:
        stage: Its name within the task.
        steps: Optimiser steps taken.
        seconds: Wall time, summed over interruptions.
        best_epoch: The epoch whose weights were kept; 0 is the start.
        curve: For each epoch its number, mean training loss (None for 0), dev accuracy and dev loss.
        earlier_seconds: The part of `seconds` that was spent before the last interruption.
    """

    stage: str
    steps: int
    seconds: float
    best_epoch: int
    curve: list[dict[str, Any]]
    earlier_seconds: float = 0.0

    @property
    def dev_accuracy(self) -> float:
        """Accuracy on dev of the weights that were kept."""
        return self.curve[self.best_epoch]["dev_accuracy"]

    @property
    def dev_loss(self) -> float:
        """Mean cross-entropy on dev of the weights that were kept, in nats."""
        return self.curve[self.best_epoch]["dev_loss"]


def cross_entropy(smoothing: float = 0.0) -> Objective:
    """The plain objective: cross-entropy to the labels."""
    return lambda logits, labels, rows, progress: F.cross_entropy(logits, labels, label_smoothing=smoothing)


def fit(
    model: Trainable,
    train: Batches,
    dev: Batches,
    config: TrainingConfig,
    generator: torch.Generator,
    objective: Objective | None = None,
    stage: str = "train",
    checkpoints: Checkpoints | None = None,
    watcher: Watcher | None = None,
    penalty: Penalty | None = None,
) -> FitResult:
    """Trains the prompt and head of `model` and leaves the weights that were best on dev in it.

    The start counts as epoch 0, so training never makes dev worse. All randomness comes from `generator`; a
    training that was cut off continues from its last checkpoint to the same bits.

    Args:
        model: What to train, in place.
        train: The texts to learn from.
        dev: The texts that choose the epoch.
        config: Steps, rates and regularisation.
        generator: The source of randomness.
        objective: The loss; cross-entropy by default.
        stage: The name under which checkpoints are kept and the watcher is told.
        checkpoints: Where to keep the state; nowhere by default.
        watcher: Whom to tell; nobody by default.
        penalty: What is added to the objective; nothing by default.

    Raises:
        Interrupted: The watcher was asked to stop. All steps that were taken are on disk.
    """
    training = Training(
        model,
        train,
        dev,
        config,
        generator,
        objective or cross_entropy(config.label_smoothing),
        stage,
        checkpoints or NoCheckpoints(),
        watcher or Silent(),
        penalty,
    )
    return training.run()


@dataclass
class Training:
    """A training that is taken step by step; `fit` runs one from its start to its end.

    The fields are the arguments of `fit`; the rest is the state between two steps.

    Attributes:
        epoch: The epoch in work, or the last one.
        step: Steps that were taken, in all epochs.
        seconds: Wall time until the last checkpoint or the end, over all sessions.
        curve: See `FitResult`.
        best_epoch: The epoch whose weights were best so far.
        losses: Those of the steps of the epoch in work; none between two epochs.
        beginning: The generator's state at its beginning, from which its batches follow.
    """

    model: Trainable
    train: Batches
    dev: Batches
    config: TrainingConfig
    generator: torch.Generator
    objective: Objective = field(default_factory=cross_entropy)
    stage: str = "train"
    checkpoints: Checkpoints = field(default_factory=NoCheckpoints)
    watcher: Watcher = field(default_factory=Silent)
    penalty: Penalty | None = None
    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    curve: list[dict[str, Any]] = field(default_factory=list)
    best_epoch: int = 0
    losses: list[float] = field(default_factory=list)
    beginning: Tensor | None = None

    def __post_init__(self) -> None:
        self.team = current_team()
        self.batch_size = self.config.batch_size * self.team.size
        per_epoch = math.ceil(len(self.train) / self.batch_size)
        self.epochs = planned_epochs(self.config, per_epoch)
        self.total = per_epoch * self.epochs
        self.optimiser = _optimiser(self.model, self.config)
        self.average = self.model.trained()
        self.best = self.model.trained()

    def run(self) -> FitResult:
        """Trains to the end, from a checkpoint where there is one."""
        finished = self._restore()
        earlier = self.seconds
        if not finished:
            self.watcher.started(self.stage, self.total)
            self._train()
            self.watcher.finished(self.stage)
            self._save(finished=True)
        self.model.load(self.best)
        return FitResult(self.stage, self.step, self.seconds, self.best_epoch, self.curve, earlier)

    def _train(self) -> None:
        self._saved = self._counted = time.monotonic()
        if not self.curve:
            self._score(None)
        while self.losses or (self.epoch < self.epochs and not self._out_of_patience()):
            self._score(self._one_epoch())
            self._count_time()
            self._save_after(_SECONDS_BETWEEN_CHECKPOINTS * self.model.checkpoint_pace)

    def _one_epoch(self) -> float:
        """One pass over the training texts, or what a checkpoint has left of one; the mean loss."""
        for rows in self._batches_left():
            self.losses.append(self.take_step(rows))
            self._step_taken()
        mean = sum(self.losses) / len(self.losses)
        self.losses = []
        return mean

    def _batches_left(self) -> Iterator[Tensor]:
        """The batches of a new epoch, or those that were not taken yet of the one in work.

        They follow from the generator's state at the beginning of the epoch. Dropout and noise have drawn from it
        since, and go on where they were.
        """
        now = self.generator.get_state()
        if not self.losses:
            self.epoch, self.beginning = self.epoch + 1, now
        self.generator.set_state(self.beginning)
        batches = self.train.shuffled(self.batch_size, self.generator)
        for _ in self.losses:
            next(batches)
        self.generator.set_state(now)
        return batches

    def _step_taken(self) -> None:
        """Tells the watcher of the last step, and saves it if the watcher asks to stop or the last save is long ago."""
        try:
            self.watcher.step(self.stage, self.step, self.losses[-1])
        except Interrupted:
            self._count_time()
            self._save(finished=False)
            raise
        self._count_time()
        self._save_after(_SECONDS_WITHIN_AN_EPOCH)

    def _count_time(self) -> None:
        now = time.monotonic()
        self.seconds += now - self._counted
        self._counted = now

    def _save_after(self, seconds: float) -> None:
        """A checkpoint, where the last one is so long ago."""
        if self._counted - self._saved >= seconds:
            self._save(finished=False)
            self._saved = time.monotonic()

    def take_step(self, rows: Tensor) -> float:
        """One step of the optimiser on the training texts `rows`, [rows]; the loss before it."""
        for group in self.optimiser.param_groups:
            group["lr"] = group["peak"] * rate_factor(self.config, self.step, self.total)
        self.optimiser.zero_grad(set_to_none=True)
        loss = self._own_loss(rows)
        loss.backward()
        loss = loss.detach()
        self.team.sum([value.grad for value in self.model.parameters()] + [loss])
        if self.config.clip_norm:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        self.optimiser.step()
        self.step += 1
        self._update_average()
        return finite_loss(float(loss), self.step, "lower the learning rate")

    def _own_loss(self, rows: Tensor) -> Tensor:
        """This process's part of the loss of the batch `rows`; the parts of all processes add up to the loss."""
        dropped = self._dropout(len(rows))
        perturb = self._perturbation(rows)
        own = self.team.share(rows)
        if not len(own):  # the last batch may have fewer texts than there are processes
            return 0 * sum(value.sum() for value in self.model.parameters())
        factors = None if dropped is None else self.team.share(dropped)
        logits, labels = self.model.answers(self.train, own, perturb, factors)
        loss = self.objective(logits, labels, own, self.step / self.total)
        if self.penalty is not None:
            loss = loss + self.penalty(self.model, own)
        return loss * (self.train.weight(own) / self.train.weight(rows))

    def _dropout(self, texts: int) -> Tensor | None:
        """Factors [texts, features] from this training's own generator, so that nothing else can change the result."""
        if not self.config.dropout or not self.model.dropout_width:
            return None
        kept = torch.rand(texts, self.model.dropout_width, generator=self.generator) >= self.config.dropout
        return kept / (1 - self.config.dropout)

    def _perturbation(self, rows: Tensor) -> Perturbation | None:
        """Noise for the inputs of the layers, fresh for the step and from this training's own generator."""
        if not self.config.perturbs:
            return None
        lengths, own = self.train.lengths[rows], self.team.share(torch.arange(len(rows)))
        return Hype(self.config.hype, self.config.hype_scale, lengths, own, self.generator)

    def _update_average(self) -> None:
        if not self.config.average:
            return
        # A young average forgets its start faster (as in TensorFlow's ExponentialMovingAverage with num_updates).
        decay = min(self.config.average, (1 + self.step) / (10 + self.step))
        for name, value in self.model.named_parameters():
            self.average[name].lerp_(value.detach(), 1 - decay)

    def _score(self, train_loss: float | None) -> None:
        """Scores the weights on dev and keeps them if they are the best so far."""
        live = self.model.trained()
        if self.config.average:
            self.model.load(self.average)
        accuracy, loss = self.model.score(self.dev)
        self.curve.append({"epoch": self.epoch, "train_loss": train_loss, "dev_accuracy": accuracy, "dev_loss": loss})
        if _better(self.curve[-1], self.curve[self.best_epoch]):
            self.best_epoch, self.best = self.epoch, self.model.trained()
        self.model.load(live)
        self.watcher.epoch(self.stage, self.epoch, {"dev_accuracy": accuracy, "dev_loss": loss})

    def _out_of_patience(self) -> bool:
        return bool(self.config.patience) and self.epoch - self.best_epoch >= self.config.patience

    def _save(self, finished: bool) -> None:
        tensors = {"generator": self.generator.get_state()}
        if self.losses:
            tensors["beginning"] = self.beginning
        for kind, values in (("live", self.model.trained()), ("average", self.average), ("best", self.best)):
            tensors |= {f"{kind}/{name}": value for name, value in values.items()}
        for name, value in self.model.named_parameters():
            slots = self.optimiser.state.get(value, {})
            tensors |= {f"adam/{name}/{slot}": tensor for slot, tensor in slots.items()}
        state = {key: getattr(self, key) for key in (*_STATE, "total")} | {"finished": finished}
        self.checkpoints.save(self.stage, tensors, state)

    def _restore(self) -> bool:
        """Takes up the last checkpoint if there is one; tells whether the training was finished already."""
        saved = self.checkpoints.load(self.stage)
        if saved is None or saved[1]["total"] != self.total:
            return False
        tensors, state = saved
        for key in _STATE:
            setattr(self, key, state.get(key, getattr(self, key)))
        self.beginning = tensors.get("beginning")
        self.generator.set_state(tensors["generator"])
        self.average, self.best = _part(tensors, "average"), _part(tensors, "best")
        self.model.load(_part(tensors, "live"))
        for name, value in self.model.named_parameters():
            slots = _part(tensors, f"adam/{name}")
            if slots:
                self.optimiser.state[value] = slots
        return state["finished"]


def _better(new: dict[str, Any], best: dict[str, Any]) -> bool:
    """A lower dev loss: on small dev splits it tells apart what the same number of errors does not."""
    return new["dev_loss"] < best["dev_loss"]


def _part(tensors: dict[str, Tensor], kind: str) -> dict[str, Tensor]:
    start = f"{kind}/"
    return {name.removeprefix(start): value for name, value in tensors.items() if name.startswith(start)}


def _optimiser(model: Trainable, config: TrainingConfig) -> torch.optim.AdamW:
    by_pace: dict[float, list[Tensor]] = defaultdict(list)
    for value, pace in model.paces:
        by_pace[pace].append(value)
    prompt = [{"params": values, "peak": config.learning_rate * pace} for pace, values in by_pace.items()]
    heads = [{"params": model.heads, "peak": config.head_learning_rate}] if model.heads else []
    # lr is set anew before each step, so this value is never used.
    return torch.optim.AdamW([*prompt, *heads], lr=1.0, weight_decay=0.0)
