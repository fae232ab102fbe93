"""One training on one domain: its texts, replayed ones among them, and the model before it as a teacher."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from continual.pretraining.lifelong.config import StrategyConfig
from continual.pretraining.lifelong.evaluation import likelihood
from continual.pretraining.lifelong.losses import distilled, divergence_sum
from continual.pretraining.lifelong.material import Material
from continual.pretraining.lifelong.metrics import perplexity
from continual.pretraining.lifelong.objectives import Objective, Question
from continual.pretraining.lifelong.reading import answers
from continual.pretraining.lifelong.replay import Replay, Shelf, up_to
from continual.pretraining.lifelong.texts import Frame, Window
from continual.seeding import seed_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Teacher:
    """The model before a domain.

    Attributes:
        model: That model, frozen. It reads the symbol of the new domain too, which it has not learned.
        known: How many tokens it knows; of later ones it teaches nothing.
    """

    model: "PreTrainedModel"
    known: int


class DomainLearning:
    """The objective of `continual.pretraining.loop` for one domain.

    The loss of a step is a mean over all tokens that are asked for, be they of new or of replayed texts; the two are
    read apart, so that neither is padded to the other's length.

    Args:
        model: What is trained, on its device.
        objective: What is asked.
        frame: Around the windows.
        material: What is read.
        replay: Which past domain is replayed how often.
        strategy: Where a teacher teaches.
        teacher: The model before the domain; None without distillation.
        total: Steps of the training.
        seed: Decides all that is random.
    """

    def __init__(
        self,
        model: "PreTrainedModel",
        objective: Objective,
        frame: Frame,
        material: Material,
        replay: Replay,
        strategy: StrategyConfig,
        teacher: Teacher | None,
        total: int,
        seed: int,
    ) -> None:
        self.module, self.objective, self.frame, self.material = model, objective, frame, material
        self.replay, self.strategy, self.teacher = replay, strategy, teacher
        self.total, self.seed, self.step = total, seed, 0
        self._memory = {name: Shelf(windows, frame.length) for name, windows in material.memory.items()}

    def loss(self, step: int, rows: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        """See `continual.pretraining.loop.Objective.loss`."""
        self.step = step + 1
        rng = random.Random(seed_of(self.seed, "replay", str(step)))
        generator = torch.Generator().manual_seed(seed_of(self.seed, "mask", str(step)))
        total, asked = torch.zeros((), device=self.module.device), 0
        parts = {}
        for name, windows in self._groups(rows.tolist(), rng).items():
            question = self.objective.ask(windows, generator)
            loss = self._group_loss(name, question, step)
            parts[name] = loss / max(len(question.targets), 1)
            total, asked = total + loss, asked + len(question.targets)
        return total / max(asked, 1), parts

    def evaluate(self) -> dict[str, float]:
        """See `continual.pretraining.loop.Objective.evaluate`: held-out loss of each domain in nats for each token."""
        losses, all_nats, all_tokens = {}, 0.0, 0
        for name, windows in self.material.exams.items():
            nats, tokens = likelihood(self.module, self.objective, self.frame, windows)
            losses[name] = nats / tokens
            all_nats, all_tokens = all_nats + nats, all_tokens + tokens
        self.replay.measured(losses, self.step / self.total)
        mean = {"loss": all_nats / all_tokens, "perplexity": perplexity(all_nats, all_tokens)}
        chances = dict(zip(self.replay.domains, self.replay.chances, strict=True))
        return mean | _named("loss", losses) | _named("replay", chances)

    def state(self) -> dict[str, Any]:
        """See `continual.pretraining.loop.Objective.state`."""
        return {"step": self.step, "replay": self.replay.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """See `continual.pretraining.loop.Objective.restore`."""
        self.step = state["step"]
        self.replay.restore(state["replay"])

    def _groups(self, rows: list[int], rng: random.Random) -> dict[str, list[Window]]:
        """The windows of a step: new ones, and those of the memory in the place of as many tokens of new ones."""
        length = self.frame.length
        sizes = {row: length(self.material.current[row]) for row in rows}
        replayed = self.replay.draw(sum(sizes.values()), self._memory, length, rng)
        order = iter(rng.sample(rows, len(rows)))
        left_out = set(up_to(sum(map(length, replayed)), lambda: next(order, None), sizes.__getitem__, rng))
        new = [self.material.current[row] for row in rows if row not in left_out]
        return {name: windows for name, windows in (("new", new), ("memory", replayed)) if windows}

    def _group_loss(self, group: str, question: Question, step: int) -> Tensor:
        """Summed over the asked places."""
        logits = answers(self.module, question)
        loss = self.objective.loss(self.module, question, logits)
        if self.teacher is None or (group == "new" and self.strategy.distillation == "memory"):
            return loss
        with torch.no_grad():
            taught = answers(self.teacher.model, question)[:, : self.teacher.known]
        return distilled(loss, divergence_sum(logits, taught, self.strategy.temperature), step / self.total)


def _named(start: str, values: Mapping[str, float]) -> dict[str, float]:
    return {f"{start}/{name}": value for name, value in values.items()}
