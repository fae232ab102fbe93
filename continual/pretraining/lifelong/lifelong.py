"""The walk of lifelong pretraining, from state to state; each is on disk before the next begins.

For each domain: add its prompt, keep the model as a teacher, grow it and let it recover on the memory, learn the domain
among replayed texts, keep a memory of it, and score all domains.
"""

import math
import random
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from continual.backbone.encoder import positions
from continual.errors import BackboneError
from continual.pretraining.batches import TokenBatches
from continual.pretraining.lifelong import OBJECTIVES
from continual.pretraining.lifelong.config import CAUSAL
from continual.pretraining.lifelong.domains import Windows
from continual.pretraining.lifelong.evaluation import examined, likelihood
from continual.pretraining.lifelong.expansion import build_expansion
from continual.pretraining.lifelong.learning import DomainLearning, Material
from continual.pretraining.lifelong.metrics import average_perplexity, perplexity
from continual.pretraining.lifelong.model import Opened, add_symbols, frozen_copy, open_model
from continual.pretraining.lifelong.objectives import Objective
from continual.pretraining.lifelong.replay import Replay, memory_rows
from continual.pretraining.lifelong.state import State, States
from continual.pretraining.lifelong.summary import summary
from continual.pretraining.lifelong.texts import Frame, Window
from continual.pretraining.loop import Training
from continual.pretraining.recipe import Place
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
        self.recipe, self.place, self.domains = recipe, place, recipe.domains
        self.strategy, self.budget = recipe.strategy, recipe.training
        self.states = States(place.folder / "states", recipe.model.kind)
        self.checkpoints = FolderCheckpoints(place.folder / "checkpoint")
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def begin(self) -> None:
        """Takes the last state, or opens the model, trains its head where it has none, and scores it."""
        state = self.states.last()
        if state is not None:
            self._take(state)
            for name in state.learned:
                self.place.done(f"{name}: learned before")
            return
        first = self.domains.names[0]
        opened = open_model(self.recipe.model, lambda: self.domains.texts(first, "train"), self.recipe.seed)
        self._take(State(opened.model, opened.tokenizer, opened.is_new))
        self._check_room()
        if opened.head:
            self._train_head(opened, first)
        self._measure()
        self.states.save(self.state)
        weights = sum(value.numel() for value in opened.model.parameters())
        self.place.done(f"model: {opened.model.config.model_type}, {weights / 1e6:.1f} M weights")

    def learn(self, name: str) -> None:
        """Learns one more domain."""
        started, state = time.monotonic(), self.state
        stage = f"{len(state.learned) + 1:02d}-" + re.sub(r"[^\w.-]", "_", name)
        state.prompts[name] = self._prompt(name)
        teacher = frozen_copy(state.model) if self.strategy.distillation != "none" and state.learned else None
        if self.strategy.expansion and state.learned:
            self._expand(stage, teacher)
        objective = self._objective(is_first=not state.learned)
        current = self._prepared(objective, self.windows.of(name, "train"), name)
        memory = self._memory(objective, state.learned) if self.strategy.replay else {}
        material = Material(current, memory, self._exams("dev", [*state.learned, name]))
        self._train(stage, name, objective, material, self.budget.steps, teacher, started)
        if self.strategy.replay or self.strategy.recovery:
            state.memory[name] = self._kept(name)
        state.learned.append(name)
        self._measure()
        self.states.save(state)
        self._tell(name)

    def save(self, folder: Path) -> None:
        """Writes model and tokenizer as Hugging Face's library does."""
        self.state.model.cpu().save_pretrained(folder)
        self.state.tokenizer.save_pretrained(folder)

    def summary(self, seconds: float, total: float) -> dict[str, Any]:
        """What is told of the finished model; see `continual.pretraining.recipe.Made`."""
        sizes = {name: len(self.windows.of(name, "test")) for name in self.domains.names}
        return summary(self.state, self.domains.names, sizes, {"training": seconds, "total": total})

    def _take(self, state: State) -> None:
        self.state = state
        state.model.to(self.device).eval()
        self.frame = Frame.of(state.tokenizer, self.recipe.model.kind == CAUSAL)
        self.windows = Windows(self.domains, state.tokenizer, self.frame, self.recipe.model.max_length)

    def _train_head(self, opened: Opened, domain: str) -> None:
        """Trains the head alone: from random weights its gradients would spoil the body first."""
        for name, value in opened.model.named_parameters():
            value.requires_grad_(name in opened.head)
        objective = OBJECTIVES.load("masked")(self.strategy, opened.tokenizer, self.frame)
        material = Material(self.windows.of(domain, "train"), {}, self._exams("dev", [domain]))
        self._train(HEAD, domain, objective, material, self.recipe.model.head_steps, None, time.monotonic())
        opened.model.requires_grad_(True)

    def _prompt(self, name: str) -> tuple[int, ...]:
        """The tokens of a domain's prompt; symbols are added to the model."""
        if self.strategy.prompt == "token":
            model, tokenizer = self.state.model, self.state.tokenizer
            return add_symbols(model, tokenizer, name, self.strategy.prompt_length, self.recipe.seed)
        return self._text_prompt(name) if self.strategy.prompt == "text" else ()

    def _text_prompt(self, name: str) -> tuple[int, ...]:
        return tuple(self.state.tokenizer(f"{name}:", add_special_tokens=False)["input_ids"])

    def _check_room(self) -> None:
        """Refuses windows that are longer than what the model reads."""
        longest = {"none": 0, "token": self.strategy.prompt_length}.get(self.strategy.prompt)
        if longest is None:
            longest = max(len(self._text_prompt(name)) for name in self.domains.names)
        needed, room = self.recipe.model.max_length + longest, positions(self.state.model.base_model)
        if needed > room:
            raise BackboneError(
                f"The model reads {room} tokens, but windows of {self.recipe.model.max_length} with the prompt of a "
                f"domain have {needed}; lower model.max_length to {room - longest} or less."
            )

    def _expand(self, stage: str, teacher: "PreTrainedModel | None") -> None:
        """Grows the model and lets it recover: it learns the memory of the last domain, the earlier ones replayed."""
        state = self.state
        expansion = build_expansion(self.strategy.expansion, self.strategy.expansion_options)
        state.model = expansion.expand(state.model, seed_of(self.recipe.seed, stage, "expansion")).to(self.device)
        if not self.strategy.recovery:
            return
        *earlier, last = state.learned
        objective = self._objective(is_first=False)
        current = self._prepared(objective, state.memory[last], last)
        memory = self._memory(objective, earlier) if self.strategy.replay else {}
        material = Material(current, memory, self._exams("dev", state.learned))
        steps = self.strategy.recovery
        self._train(f"{stage}-recovery", last, objective, material, steps, teacher, time.monotonic())

    def _objective(self, is_first: bool) -> Objective:
        """The objective; a new model, to which every token is hard, begins with random masks."""
        name = self.strategy.objective_for(self.recipe.model.kind)
        if name == "self_evolution" and is_first and self.state.is_new:
            name = "masked"
        return OBJECTIVES.load(name)(self.strategy, self.state.tokenizer, self.frame)

    def _prepared(self, objective: Objective, windows: list[Window], name: str) -> list[Window]:
        prompted = [window.prompted(self.state.prompts[name]) for window in windows]
        return objective.prepared(self.state.model, prompted, self.budget.batch_tokens)

    def _memory(self, objective: Objective, names: list[str]) -> dict[str, list[Window]]:
        return {name: self._prepared(objective, self.state.memory[name], name) for name in names}

    def _kept(self, name: str) -> list[Window]:
        windows = self.windows.of(name, "train")
        rng = random.Random(seed_of(self.recipe.seed, "memory", name))
        rows = memory_rows([len(window.ids) for window in windows], self.strategy.memory, rng)
        return [windows[row] for row in rows]

    def _exams(self, split: str, names: list[str]) -> dict[str, list[Window]]:
        """Held-out windows under the prompts of their domains, where these have one yet."""
        prompts = self.state.prompts
        return {
            name: examined([window.prompted(prompts.get(name, ())) for window in self.windows.of(name, split)], name)
            for name in names
        }

    def _train(
        self,
        stage: str,
        domain: str,
        objective: Objective,
        material: Material,
        steps: int,
        teacher: "PreTrainedModel | None",
        started: float,
    ) -> None:
        """One training from start to end, and what is noted of it."""
        state, seed = self.state, seed_of(self.recipe.seed, stage)
        replay = Replay(
            list(material.memory), {name: state.losses[name] for name in material.memory}, self.strategy.replay
        )
        learning = DomainLearning(
            state.model, objective, self.frame, material, replay, self.strategy, teacher, steps, seed
        )
        training = Training(
            objective=learning,
            batches=TokenBatches(
                torch.tensor([self.frame.length(window) for window in material.current]), self.budget.batch_tokens, seed
            ),
            config=self.budget.optimisation(steps),
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
        last = outcome.curve[-1]
        state.losses |= {name: last[f"loss/{name}"] for name in material.exams}
        seconds = round(outcome.seconds, 1)
        state.trainings.append(
            {"stage": stage, "domain": domain, "steps": outcome.steps, "seconds": seconds, "curve": outcome.curve}
        )

    def _measure(self) -> None:
        """One more row of the matrix: the perplexity on held-out text of every domain, learned or not."""
        objective = self._objective(is_first=False)
        exams = self._exams("test", self.domains.names)
        pairs = [likelihood(self.state.model, objective, self.frame, windows) for windows in exams.values()]
        self.state.matrix.append([perplexity(nats, tokens) for nats, tokens in pairs])

    def _tell(self, name: str) -> None:
        """Shows and logs what came out; the state is on disk already, so a stop here loses nothing."""
        state, number = self.state, len(self.state.learned)
        row = state.matrix[-1]
        average = average_perplexity(row, number)
        self.place.done(f"{name}: perplexity {row[number - 1]:.1f}, average of those learned {average:.1f}")
        watcher = self.place.watcher
        watcher.started("domains", len(self.domains.names))
        watcher.epoch("domains", number, dict(zip(self.domains.names, row, strict=True)) | {"AP": average})
        watcher.step("domains", number, math.log(average))


def _line(stage: str, entry: dict[str, float]) -> str:
    return (
        f"{stage}, step {entry['step']}, {entry['seconds']:.0f} s: loss {entry['train_loss']:.3f}, held out "
        f"{entry['loss']:.3f} (perplexity {entry['perplexity']:.1f})"
    )
