"""The walk of lifelong pretraining, from state to state; each is on disk before the next begins.

For each domain: add its prompt, keep the model as a teacher, grow it and let it recover on the memory, learn the domain
among replayed texts, keep a memory of it, and score all domains.
"""

import math
import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from continual.backbone.products import quicken
from continual.backbone.saving import save_model
from continual.making.recipe import Place
from continual.pretraining.batches import TokenBatches
from continual.pretraining.lifelong import OBJECTIVES
from continual.pretraining.lifelong.evaluation import likelihood
from continual.pretraining.lifelong.expansion import Expanding
from continual.pretraining.lifelong.learning import DomainLearning, Teacher
from continual.pretraining.lifelong.material import Material, Reader
from continual.pretraining.lifelong.metrics import average_increase, average_perplexity, perplexity
from continual.pretraining.lifelong.model import Opened, frozen_copy, open_model
from continual.pretraining.lifelong.objectives import Objective
from continual.pretraining.lifelong.replay import Replay
from continual.pretraining.lifelong.state import State, States
from continual.pretraining.lifelong.summary import summary
from continual.pretraining.loop import Training
from continual.seeding import seed_of
from continual.training.checkpoint import FolderCheckpoints

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from continual.pretraining.lifelong.recipe import LifelongRecipe

HEAD = "head"
"""The name of the training of a head alone."""


class Lifelong:
    """A lifelong pretraining that begins where its last state says.

    Args:
        recipe: Its settings.
        place: Where it is made.
    """

    def __init__(self, recipe: "LifelongRecipe", place: Place) -> None:
        self.recipe, self.place, self.domains = recipe, place, recipe.domains.names
        self.strategy, self.budget = recipe.strategy, recipe.training
        self.states = States(place.folder / "states", recipe.model.kind)
        self.checkpoints = FolderCheckpoints(place.folder / "checkpoint")
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def begin(self) -> None:
        """Takes the last state, or opens the model, trains its head where it has none, and scores it."""
        state = self.states.last()
        if state is not None:
            self._take(state)
            for name in ("model", *state.learned):
                self.place.done(f"{name}: on disk already")
            return
        recipe, first = self.recipe, self.domains[0]
        opened = open_model(recipe.model, lambda: recipe.domains.texts(first, "train"), recipe.seed)
        memory = opened.memory
        growths = len(self.domains) - (0 if memory.kept else 1)
        if self.strategy.expansion and growths:
            Expanding.of(self.strategy).check(opened.model, growths)
        self._take(
            State(
                opened.model,
                opened.tokenizer,
                opened.is_new,
                earlier=list(memory.kept),
                prompts=memory.prompts,
                memory=memory.kept,
                losses=memory.losses,
            )
        )
        if memory.kept:
            self.place.say(f"goes on with a memory of {', '.join(memory.kept)}")
            self._measure(memory.kept)
        if opened.head:
            self._train_head(opened, first)
        self._put_away()
        weights = sum(value.numel() for value in opened.model.parameters())
        self.place.done(f"model: {opened.model.config.model_type}, {weights / 1e6:.1f} M weights")

    def learn(self, name: str) -> None:
        """Learns one more domain."""
        started, state, reader = time.monotonic(), self.state, self.reader
        stage = f"{len(state.learned) + 1:02d}-" + re.sub(r"[^\w.-]", "_", name)
        known = len(state.tokenizer)
        reader.add_prompt(name)
        teacher = None
        if self.strategy.distillation != "none" and state.past:
            teacher = Teacher(frozen_copy(state.model), known)
        if self.strategy.expansion and state.past:
            self._expand(stage, teacher)
        objective = reader.objective(is_first=not state.learned)
        past = [other for other in state.past if other != name]  # an earlier domain may be learned once more
        replayed = past if self.strategy.replay else []
        material = reader.material(objective, name, reader.windows.of(name, "train"), replayed, [*past, name])
        self._train(stage, name, objective, material, self.budget.steps, teacher, started)
        if self.strategy.replay or self.strategy.recovery:
            state.memory[name] = reader.kept(name)
        state.learned.append(name)
        self._put_away()
        self._tell(name)

    def save(self, folder: Path) -> None:
        """Writes model and tokenizer as Hugging Face's library does, and what a later pretraining can replay."""
        save_model(self.state.model, self.state.tokenizer, folder)
        if self.state.memory:
            self.state.write_memory(folder)

    def summary(self, seconds: float, total: float) -> dict[str, Any]:
        """What is told of the finished model; see `continual.making.recipe.Made`."""
        sizes = {name: len(self.reader.windows.of(name, "test")) for name in self.domains}
        return summary(self.state, self.domains, sizes, {"training": seconds, "total": total})

    def _take(self, state: State) -> None:
        state.model = self._placed(state.model)
        self.state, self.reader = state, Reader(self.recipe, state)

    def _placed(self, model: "PreTrainedModel") -> "PreTrainedModel":
        """The model on the device, in evaluation mode, with the linear layers that its training gives it.

        A teacher, or what finds hard tokens, then computes with the same ones whether the model has just learned or was
        read from disk; the last bits would differ otherwise.
        """
        return quicken(model).to(self.device).eval()

    def _measure(self, domains: Iterable[str]) -> None:
        """Measures the held-out losses of remembered domains on what is at hand of them now.

        What they were when they were kept is of other texts: replay would take the difference for a drop.
        """
        objective = self.reader.objective(is_first=False)
        for name, windows in self.reader.exams("dev", list(domains)).items():
            nats, tokens = likelihood(self.state.model, objective, self.reader.frame, windows)
            self.state.losses[name] = nats / tokens

    def _train_head(self, opened: Opened, domain: str) -> None:
        """Trains the head alone: from random weights its gradients would spoil the body first."""
        for name, value in opened.model.named_parameters():
            value.requires_grad_(name in opened.head)
        objective = OBJECTIVES.load("masked")(self.strategy, opened.tokenizer, self.reader.frame)
        material = self.reader.material(objective, domain, self.reader.windows.of(domain, "train"), [], [domain])
        settings = self.recipe.model
        now = time.monotonic()
        self._train(HEAD, domain, objective, material, settings.head_steps, None, now, settings.head_rate)
        opened.model.requires_grad_(True)

    def _expand(self, stage: str, teacher: Teacher | None) -> None:
        """Grows the model and lets it recover: it learns the memory of the last domain, the earlier ones replayed."""
        started, state = time.monotonic(), self.state
        expanding = Expanding.of(self.strategy)
        state.model = self._placed(expanding.grow(state.model, seed_of(self.recipe.seed, stage, "expansion")))
        if not self.strategy.recovery:
            return
        *earlier, last = state.past
        objective = self.reader.objective(is_first=False)
        past = earlier if self.strategy.replay else []
        material = self.reader.material(objective, last, state.memory[last].windows, past, state.past)
        self._train(f"{stage}-recovery", last, objective, material, self.strategy.recovery, teacher, started)

    def _train(
        self,
        stage: str,
        domain: str,
        objective: Objective,
        material: Material,
        steps: int,
        teacher: Teacher | None,
        started: float,
        rate: float | None = None,
    ) -> None:
        """One training from start to end, and what is noted of it."""
        state, frame, seed = self.state, self.reader.frame, seed_of(self.recipe.seed, stage)
        losses = {name: state.losses[name] for name in material.memory}
        replay = Replay(list(material.memory), losses, self.strategy.replay)
        lengths = torch.tensor([frame.length(window) for window in material.current])
        training = Training(
            objective=DomainLearning(
                state.model, objective, frame, material, replay, self.strategy, teacher, steps, seed
            ),
            batches=TokenBatches(lengths, self.budget.batch_tokens, seed),
            config=self.budget.optimisation(steps, rate),
            seed=seed,
            seconds=math.inf,
            started=started,
            checkpoints=self.checkpoints,
            watcher=self.place.watcher,
            report=lambda entry: self.place.say(_line(stage, entry)),
            stage=stage,
        )
        outcome = training.run()
        state.model.eval()
        state.losses |= {name: outcome.curve[-1][f"loss/{name}"] for name in material.exams}
        noted = {"stage": stage, "domain": domain, "steps": outcome.steps, "seconds": round(outcome.seconds, 1)}
        state.trainings.append({**noted, "curve": outcome.curve})

    def _put_away(self) -> None:
        """Adds a row to the matrix, the perplexity of every domain, learned or not, and keeps the state."""
        objective = self.reader.objective(is_first=False)

        def perplexities(domains: list[str]) -> list[float]:
            exams = self.reader.exams("test", domains).values()
            return [
                perplexity(*likelihood(self.state.model, objective, self.reader.frame, windows)) for windows in exams
            ]

        self.state.matrix.append(perplexities(self.domains))
        self.state.earlier_matrix.append(
            perplexities([name for name in self.state.earlier if name not in self.domains])
        )
        self.states.save(self.state)
        self.checkpoints.clear()

    def _tell(self, name: str) -> None:
        """Shows and logs what came out; the state is on disk already, so a stop here loses nothing."""
        state, number = self.state, len(self.state.learned)
        row = state.matrix[-1]
        average = average_perplexity(row, number)
        self.place.done(f"{name}: perplexity {row[number - 1]:.1f}, average of those learned {average:.1f}")
        scores = dict(zip(self.domains, row, strict=True)) | {"AP": average}
        if (increase := average_increase(state.matrix, number)) is not None:
            scores["AP+"] = increase
        watcher = self.place.watcher
        watcher.started("domains", len(self.domains))
        try:
            watcher.step("domains", number, math.log(average))  # where the curve is now; may stop here
        finally:
            watcher.epoch("domains", number, scores)


def _line(stage: str, entry: dict[str, float]) -> str:
    return (
        f"{stage}, step {entry['step']}, {entry['seconds']:.0f} s: loss {entry['train_loss']:.3f}, held out "
        f"{entry['loss']:.3f} (perplexity {entry['perplexity']:.1f})"
    )
