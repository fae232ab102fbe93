"""What a training of one domain reads: windows under the prompts of their domains, new, remembered and held out."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from continual.backbone.encoder import positions
from continual.errors import BackboneError
from continual.pretraining.lifelong import OBJECTIVES
from continual.pretraining.lifelong.config import CAUSAL
from continual.pretraining.lifelong.domains import Windows
from continual.pretraining.lifelong.evaluation import examined
from continual.pretraining.lifelong.memory import Kept
from continual.pretraining.lifelong.model import add_symbols
from continual.pretraining.lifelong.objectives import Objective
from continual.pretraining.lifelong.replay import memory_rows
from continual.pretraining.lifelong.state import State
from continual.pretraining.lifelong.texts import Frame, Window
from continual.seeding import seed_of

_WATCHED = 4
"""For so many tokens that are kept for replay one of held-out text is kept."""

if TYPE_CHECKING:
    from continual.pretraining.lifelong.recipe import LifelongRecipe


@dataclass(frozen=True)
class Material:
    """What a training reads.

    Attributes:
        current: Windows of the domain that is learned.
        memory: Windows of each past domain that is replayed.
        exams: For each domain to be watched held-out windows, as `examined` gives them.
    """

    current: list[Window]
    memory: Mapping[str, list[Window]]
    exams: Mapping[str, list[Window]]


class Reader:
    """Makes material for the model of a state, and questions about it.

    Args:
        recipe: The settings, and the texts.
        state: Whose tokenizer and prompts are used; it is looked at anew each time.

    Raises:
        BackboneError: The model's tokenizer lacks a token, or the model reads less than a window.
    """

    def __init__(self, recipe: "LifelongRecipe", state: State) -> None:
        self._recipe, self._state, self._strategy = recipe, state, recipe.strategy
        self.frame = Frame.of(state.tokenizer, recipe.model.kind == CAUSAL)
        self.windows = Windows(recipe.domains, state.tokenizer, self.frame, recipe.model.max_length)
        self._check_room()

    def objective(self, is_first: bool) -> Objective:
        """The objective of a domain; a new model, to which every token is hard, begins with random masks."""
        name = self._strategy.objective_for(self._recipe.model.kind)
        if name == "self_evolution" and is_first and self._state.is_new:
            name = "masked"
        return OBJECTIVES.load(name)(self._strategy, self._state.tokenizer, self.frame)

    def add_prompt(self, domain: str) -> None:
        """Gives a domain its prompt; symbols are added to the model."""
        state, tokens = self._state, ()
        if self._strategy.prompt == "token":
            number = self._strategy.prompt_length
            tokens = add_symbols(state.model, state.tokenizer, domain, number, self._recipe.seed)
        elif self._strategy.prompt == "text":
            tokens = self._name_of(domain)
        state.prompts[domain] = tokens

    def material(
        self, objective: Objective, domain: str, windows: list[Window], past: Sequence[str], watched: Sequence[str]
    ) -> Material:
        """What a training reads.

        Args:
            objective: Prepares the windows.
            domain: Which is learned.
            windows: Its windows.
            past: Domains that are replayed, if the strategy replays any.
            watched: Domains whose held-out loss is measured.
        """
        memory = {name: self._prepared(objective, self._state.memory[name].windows, name) for name in past}
        return Material(self._prepared(objective, windows, domain), memory, self.exams("dev", watched))

    def exams(self, split: str, domains: Sequence[str]) -> dict[str, list[Window]]:
        """Held-out windows under the prompts of their domains, where these have one yet.

        Of an earlier domain, whose texts the stream does not have, they are those that were kept of it.
        """
        known = self._recipe.domains.names
        found = {name: self.windows.of(name, split) if name in known else self._watched(name) for name in domains}
        return {name: examined(self._prompted(windows, name), name) for name, windows in found.items()}

    def kept(self, domain: str) -> Kept:
        """What of a domain enters the memory."""
        tokens = self._strategy.memory
        return Kept(
            self._drawn(domain, "train", tokens, "memory"), self._drawn(domain, "dev", tokens // _WATCHED, "watched")
        )

    def _watched(self, domain: str) -> list[Window]:
        return self._state.memory[domain].watched

    def _drawn(self, domain: str, split: str, tokens: int, purpose: str) -> list[Window]:
        windows = self.windows.of(domain, split)
        rng = random.Random(seed_of(self._recipe.seed, purpose, domain))
        return [windows[row] for row in memory_rows([len(window.ids) for window in windows], tokens, rng)]

    def _prepared(self, objective: Objective, windows: list[Window], domain: str) -> list[Window]:
        tokens = self._recipe.training.batch_tokens
        return objective.prepared(self._state.model, self._prompted(windows, domain), tokens)

    def _prompted(self, windows: list[Window], domain: str) -> list[Window]:
        return [window.prompted(self._state.prompts.get(domain, ())) for window in windows]

    def _name_of(self, domain: str) -> tuple[int, ...]:
        return tuple(self._state.tokenizer(f"{domain}:", add_special_tokens=False)["input_ids"])

    def _check_room(self) -> None:
        """Refuses windows that are longer than what the model reads."""
        longest = {"none": 0, "token": self._strategy.prompt_length}.get(self._strategy.prompt)
        if longest is None:
            longest = max(len(self._name_of(name)) for name in self._recipe.domains.names)
        length, room = self._recipe.model.max_length, positions(self._state.model.base_model)
        if length + longest > room:
            shorter = f"lower model.max_length to {room - longest} or less"
            if self._state.is_new:  # such a model is made for its windows, so that shorter ones leave no more room
                shorter = (
                    f"give prompts of {room - length} tokens at most (strategy.prompt_length, or the domains' names)"
                )
            raise BackboneError(
                f"The model reads {room} tokens, but windows of {length} with the prompt of a domain have "
                f"{length + longest}; {shorter}."
            )
