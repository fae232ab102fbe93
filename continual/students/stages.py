"""The steps of making a student, each done once however often the making is killed.

A recipe runs from top to bottom; each training and each measurement in it is a *stage* with a name. What a finished
stage has made is on disk and is read back when the recipe runs again; the stage that was interrupted goes on from its
checkpoint.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from continual.making.recipe import Place
from continual.pretraining.batches import TokenBatches
from continual.pretraining.loop import Objective, Training
from continual.pretraining.optimisation import OptimisationConfig
from continual.seeding import seed_of
from continual.training.checkpoint import FolderCheckpoints


@dataclass
class Stages:
    """The stages of one student.

    Args:
        place: Where it is made.
        training: How each stage is trained; its minutes are for each stage.
        seed: Decides, together with a stage's name, all that is random in it.
    """

    place: Place
    training: OptimisationConfig
    seed: int
    finished: dict[str, dict[str, Any]] = field(default_factory=dict, init=False)

    def train(
        self,
        name: str,
        module: nn.Module,
        objective: Callable[[], Objective],
        lengths: Tensor,
        measure: Callable[[], dict[str, Any]] = dict,
        training: OptimisationConfig | None = None,
    ) -> dict[str, Any]:
        """Trains, then measures; or brings back what that made.

        Args:
            name: Of the stage, as a file may be called.
            module: What is trained, on its device. Afterwards it has the trained weights and is in evaluation mode.
            objective: Makes the objective whose `module` this is; not called where the stage is finished, so what it
                loads, such as a teacher, is not loaded again.
            lengths: Tokens of each text of the training, [texts]; see `TokenBatches`.
            measure: What is to be known of the trained module, JSON-able; called after the training.
            training: How this stage is trained, if otherwise.

        Returns:
            What `measure` gave.

        Raises:
            Interrupted: The user asked to stop.
            LearningError: The loss is no number any more.
            StorageError: The disk is full.
        """
        saved = self._kept.load(name)
        if saved is None:
            outcome = self._training(name, objective(), lengths, training or self.training).run()
            module.eval()
            state = {"training": asdict(outcome), **_timed(measure)}
            self._kept.save(name, {key: value.detach() for key, value in module.named_parameters()}, state)
        else:
            tensors, state = saved
            with torch.no_grad():
                for key, value in module.named_parameters():
                    value.copy_(tensors[key])
            module.eval()
        self._checkpoints(name).clear()  # not before its result is on disk
        self.finished[name] = state
        return state["measured"]

    def once(self, name: str, compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """A measurement without a training, JSON-able: computed, or brought back."""
        saved = self._kept.load(name)
        if saved is None:
            state = _timed(compute)
            self._kept.save(name, {}, state)
        else:
            _, state = saved
        self.finished[name] = state
        return state["measured"]

    def mean(self, name: str, key: str) -> float:
        """The mean of a number over a finished training, from its curve: every step counts the same."""
        total, before = 0.0, 0
        for entry in self.finished[name]["training"]["curve"]:
            total += entry[key] * (entry["step"] - before)
            before = entry["step"]
        return total / before

    def summary(self) -> dict[str, Any]:
        """For the student's summary: `stages` (steps, passes, seconds and curve of each training) and `seconds`."""
        trained = {name: state["training"] for name, state in self.finished.items() if "training" in state}
        seconds = {
            "training": round(sum(outcome["seconds"] for outcome in trained.values()), 1),
            "measuring": round(sum(state["seconds"] for state in self.finished.values()), 1),
        }
        return {"stages": [{"stage": name, **outcome} for name, outcome in trained.items()], "seconds": seconds}

    @property
    def _kept(self) -> FolderCheckpoints:
        return FolderCheckpoints(self.place.folder / "stages")

    def _training(self, name: str, objective: Objective, lengths: Tensor, config: OptimisationConfig) -> Training:
        seed = seed_of(self.seed, name)
        return Training(
            objective=objective,
            batches=TokenBatches(lengths, config.batch_tokens, seed),
            config=config,
            seed=seed,
            seconds=60 * config.minutes,
            started=time.monotonic(),
            checkpoints=self._checkpoints(name),
            watcher=self.place.watcher,
            report=lambda entry: self.place.say(_line(name, entry)),
            stage=name,
        )

    def _checkpoints(self, name: str) -> FolderCheckpoints:
        return FolderCheckpoints(self.place.folder / "work" / name)


def _timed(measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    started = time.monotonic()
    measured = measure()
    return {"measured": measured, "seconds": time.monotonic() - started}


def _line(name: str, entry: Mapping[str, float]) -> str:
    numbers = ", ".join(f"{key} {value:.3f}" for key, value in entry.items() if key not in ("step", "seconds"))
    return f"{name}, step {entry['step']}, {entry['seconds']:.0f} s: {numbers}"
