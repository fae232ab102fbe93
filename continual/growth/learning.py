"""What a grown model learns: to be the old one again where growth changed it, and the task that it has grown for.

ELLE trains the whole grown model on the memory of the domains before, with the learning rate warmed up, and only then
on the new one. Here prompts stand on the model, so it is taught by the model before growth (`keeping.Distillation`), in
the recovering steps alone and afterwards beside the task; and what it has learned is taken only as far as the answers
to remembered texts stay. Layers that growth added learn; where it added none, all layers do. The distillation, the
measure and its line search are ours.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from continual.backbone.encoder import Encoder
from continual.backbone.frozen import FrozenCache, FrozenView
from continual.backbone.readout import Readout
from continual.backbone.states import CHUNK
from continual.backbone.texts import EncodedTexts, by_length
from continual.errors import Interrupted
from continual.growth.config import GrowthConfig
from continual.growth.keeping import Distillation, Kept
from continual.growth.maps import GrowthMap
from continual.seeding import seed_of
from continual.training.checkpoint import Checkpoints
from continual.training.finite import finite_loss
from continual.training.watch import Watcher

STAGE = "growth"
SHARES = (1.0, 0.75, 0.5, 0.25, 0.0)
"""How much of what was learned is tried, most first."""

_WARMUP = 0.1
_LOOKS = 8
_SECONDS_BETWEEN_CHECKPOINTS = 2.0
_TIMES_OF_SAVING = 10
"""Between two checkpoints so many times as long passes as the last one took, however large the model is."""

_NOTHING = Readout("none", terms=0)


@dataclass(frozen=True)
class Split:
    """Labelled texts of the task.

    Attributes:
        texts: The tokenised texts.
        labels: Their label numbers, [texts].
    """

    texts: EncodedTexts
    labels: Tensor


@dataclass
class Learning:
    """The training of a grown model; `run` takes it from its start, or from a checkpoint, to its end.

    Attributes:
        distillation: What must stay; its grown model learns.
        train: The task's texts to learn from.
        dev: The task's texts that choose when to stop.
        labels: How many labels it has.
        config: Steps and rates.
        seed: Decides the batches.
        checkpoints: Where the state is kept.
        watcher: Who is told.
        cache_mb: Memory for kept states, in megabytes.
        step: Steps taken.
        seconds: What they took, over all sessions.
    """

    distillation: Distillation
    train: Split
    dev: Split
    labels: int
    config: GrowthConfig
    seed: int
    checkpoints: Checkpoints
    watcher: Watcher
    cache_mb: float = 2048
    step: int = 0
    seconds: float = 0.0
    best_loss: float = float("inf")
    _next_save: float = field(default=0.0, repr=False)

    def __post_init__(self) -> None:
        self.encoder = self.distillation.new
        nothing_lost = self.distillation.plan.identity or not self.distillation.known
        self.recovery = 0 if nothing_lost else self.config.recovery
        self.total = self.recovery + self.config.steps
        self.weights = learning_weights(self.encoder, self.distillation.plan)
        self.head = {
            "weight": nn.Parameter(torch.zeros(self.labels, self.encoder.width)),
            "bias": nn.Parameter(torch.zeros(self.labels)),
        }
        self.optimiser = torch.optim.AdamW([*self.weights.values(), *self.head.values()], lr=1.0, weight_decay=0.0)
        self.best = _copies(self.weights)

    def run(self) -> float:
        """Leaves in the model the weights that were best on dev.

        Returns:
            The seconds that it took before the last interruption.
        """
        self._restore()
        for value in self.weights.values():
            value.requires_grad_(True)
        cache = FrozenCache(self.encoder, self.cache_mb)
        self.distillation.space = cache.space
        views = [cache.view(split.texts, self.distillation.first, _NOTHING) for split in (self.train, self.dev)]
        self.watcher.started(STAGE, self.total)
        started, before = time.monotonic(), self.seconds
        self._next_save = started + _SECONDS_BETWEEN_CHECKPOINTS
        while self.step < self.total:
            loss = self._take_step(views[0])
            self.step += 1
            if self.step == self.recovery or self._looks():
                self._look(views[1])
            self.seconds = before + time.monotonic() - started
            self._step_taken(loss)
        self.watcher.finished(STAGE)
        for value in self.weights.values():
            value.requires_grad_(False)
        put(self.weights, self.best)
        return before

    def _take_step(self, view: FrozenView) -> float:
        rate = self.config.learning_rate * _rate(self.step, self.total)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.zero_grad(set_to_none=True)
        generator = torch.Generator().manual_seed(seed_of(self.seed, STAGE, str(self.step)))
        loss = torch.zeros(())
        if self.distillation.known:
            task = int(torch.randint(len(self.distillation.known), (), generator=generator))
            count = len(self.distillation.known[task].texts.texts)
            loss = self.distillation.loss(task, _drawn(count, self.config.batch_size, generator))
        if self.step >= self.recovery:
            rows = _drawn(len(view), self.config.batch_size, generator)
            loss = loss + F.cross_entropy(self._logits(view, rows), self.train.labels[rows])
        loss.backward()
        torch.nn.utils.clip_grad_norm_([*self.weights.values(), *self.head.values()], 1.0)
        self.optimiser.step()
        return finite_loss(float(loss.detach()), self.step + 1, "lower growth.learning_rate")

    def _logits(self, view: FrozenView, rows: Tensor) -> Tensor:
        hidden, mask = view.states.batch(rows)
        states = self.encoder.run(hidden, mask, self.distillation.first)
        return self.encoder.pool(states, mask) @ self.head["weight"].T + self.head["bias"]

    def _looks(self) -> bool:
        """Whether dev is looked at after this step: some times in all, and at the end."""
        done = self.step - self.recovery
        return done > 0 and (self.step == self.total or done % max(1, self.config.steps // _LOOKS) == 0)

    @torch.no_grad()
    def _look(self, view: FrozenView) -> None:
        if self.step == self.recovery:  # nothing of the task is known yet
            self.best = _copies(self.weights)
            return
        losses = torch.zeros(len(view))
        for rows in by_length(view.states.lengths, CHUNK):
            losses[rows] = F.cross_entropy(self._logits(view, rows), self.dev.labels[rows], reduction="none")
        loss = float(losses.mean())
        if loss < self.best_loss:
            self.best_loss, self.best = loss, _copies(self.weights)
        self.watcher.epoch(STAGE, self.step, {"dev_loss": loss})

    def _step_taken(self, loss: float) -> None:
        """Saves the last step where it is time, and tells the watcher, whose wish to stop is one more time to save."""
        due = self.step == self.total or time.monotonic() >= self._next_save
        if due:
            self._save()
        try:
            self.watcher.step(STAGE, self.step, loss)
        except Interrupted:
            if not due:
                self._save()
            raise

    def _save(self) -> None:
        started = time.monotonic()
        tensors = {f"live/{name}": value.detach() for name, value in self._all().items()}
        tensors |= {f"best/{name}": value for name, value in self.best.items()}
        for name, value in self._all().items():
            slots = self.optimiser.state.get(value, {})
            tensors |= {f"adam/{name}/{slot}": tensor for slot, tensor in slots.items()}
        best = None if self.best_loss == float("inf") else self.best_loss
        state = {"step": self.step, "total": self.total, "seconds": self.seconds, "best_loss": best}
        self.checkpoints.save(STAGE, tensors, state)
        now = time.monotonic()
        self._next_save = now + max(_SECONDS_BETWEEN_CHECKPOINTS, _TIMES_OF_SAVING * (now - started))

    def _restore(self) -> None:
        saved = self.checkpoints.load(STAGE)
        if saved is None or saved[1]["total"] != self.total:
            return
        tensors, state = saved
        self.step, self.seconds = state["step"], state["seconds"]
        self.best_loss = float("inf") if state["best_loss"] is None else state["best_loss"]
        self.best = {name: tensors[f"best/{name}"] for name in self.weights}
        put(self._all(), {name: tensors[f"live/{name}"] for name in self._all()})
        for name, value in self._all().items():
            start = f"adam/{name}/"
            slots = {key.removeprefix(start): tensor for key, tensor in tensors.items() if key.startswith(start)}
            if slots:
                self.optimiser.state[value] = slots

    def _all(self) -> dict[str, nn.Parameter]:
        return self.weights | {f"head/{name}": value for name, value in self.head.items()}


def learning_weights(encoder: Encoder, plan: GrowthMap) -> dict[str, nn.Parameter]:
    """The weights of the layers that learn, by number of the layer and name."""
    layers = layer_modules(encoder)
    return {
        f"{number}.{name}": value
        for number in learning_layers(plan)
        for name, value in layers[number].named_parameters()
    }


def learning_layers(plan: GrowthMap) -> list[int]:
    """The numbers of the layers that learn: the added ones, or all where none was added or all were changed."""
    layers = plan.reader.layers
    added = [number for number, layer in enumerate(layers) if layer.fresh]
    units_stay = plan.residual.unchanged and all(layer.inner.unchanged for layer in layers)
    return added if added and plan.identity and units_stay else list(range(len(layers)))


def layer_modules(encoder: Encoder) -> Sequence[nn.Module]:
    """The modules of the layers that read a text."""
    found = getattr(encoder.body, "layers", None)
    return encoder.model.encoder.layer if found is None else found


def as_far_as_kept(
    weights: dict[str, nn.Parameter],
    start: dict[str, Tensor],
    now: Callable[[], Kept],
    keep: float,
) -> tuple[float, Kept]:
    """Leaves as much of what was learned in the model as the answers to remembered texts allow.

    Args:
        weights: The weights that have learned, in place.
        start: What they were before.
        now: Asks the model as it is now how many answers are kept.
        keep: The share of each task's answers that must not change, see `Kept.enough`.

    Returns:
        How much was left, in [0, 1], and what is kept: the most of `SHARES` that keeps enough, or else what keeps the
        most answers.
    """
    end = _copies(weights)
    tried = []
    for share in SHARES:
        put(weights, {name: torch.lerp(start[name], end[name], share) for name in weights})
        kept = now()
        if kept.enough(keep):
            return share, kept
        tried.append((share, kept))
    share, kept = max(tried, key=lambda item: (item[1].share, item[0]))
    put(weights, {name: torch.lerp(start[name], end[name], share) for name in weights})
    return share, kept


def put(weights: dict[str, nn.Parameter], values: dict[str, Tensor]) -> None:
    """Puts values into weights of the same names."""
    with torch.no_grad():
        for name, value in weights.items():
            value.copy_(values[name])


def _copies(weights: dict[str, nn.Parameter]) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in weights.items()}


def _drawn(count: int, most: int, generator: torch.Generator) -> Tensor:
    return torch.randperm(count, generator=generator)[:most]


def _rate(step: int, total: int) -> float:
    """Rises linearly over a tenth of the steps and then falls linearly to zero."""
    warmup = max(1.0, _WARMUP * total)
    return min(1.0, (step + 1) / warmup) if step < warmup else (total - step) / max(1.0, total - warmup)
