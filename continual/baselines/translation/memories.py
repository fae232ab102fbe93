"""What baselines of translation keep of earlier tasks beside the model."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from continual.backbone.texts import by_length
from continual.baselines.translation.material import ParallelText
from continual.baselines.translation.model import WholeModel
from continual.training.loop import Penalty

IMPORTANCE, MODEL = "importance/", "model/"
"""How the tensors of a state are named: EWC's importances, and the model's weights."""


@dataclass(frozen=True)
class Past:
    """What is on disk when a task begins.

    Attributes:
        learned: How many tasks are learned.
        facts: What the memory gave to be kept after the last of them; empty before the first.
        tensors: Gives all tensors that were stored after so many tasks.
    """

    learned: int
    facts: Mapping[str, Any]
    tensors: Callable[[int], dict[str, Tensor]]


class TextMemory:
    """Nothing at all; others derive from it.

    Attributes:
        needs_all: Whether the states after all earlier tasks must stay on disk, or the last one is enough.
    """

    needs_all = False

    def rows(self, past: Past) -> list[list[int]]:
        """The rows of each earlier task's training split that are learned from again."""
        return []

    def penalty(self, past: Past) -> Penalty | None:
        """What is added to the loss of a batch."""
        return None

    def kept(
        self, model: WholeModel, train: ParallelText, past: Past, batch_size: int, seed: int
    ) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """What must be stored after the task: tensors, and JSON-able facts that replace the last ones.

        Args:
            model: The model, trained.
            train: The task's training pairs.
            past: What was on disk before.
            batch_size: Pairs in a batch.
            seed: Decides what is drawn.
        """
        return {}, {}


class ReplayText(TextMemory):
    """Row numbers of pairs of every earlier task.

    Args:
        per_task: Pairs of each task, drawn at random.
    """

    def __init__(self, per_task: int) -> None:
        self._per_task = per_task

    def rows(self, past: Past) -> list[list[int]]:
        """See `TextMemory.rows`."""
        return [list(rows) for rows in past.facts.get("rows", ())]

    def kept(
        self, model: WholeModel, train: ParallelText, past: Past, batch_size: int, seed: int
    ) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """See `TextMemory.kept`."""
        generator = torch.Generator().manual_seed(seed)
        drawn = torch.randperm(len(train), generator=generator)[: self._per_task]
        return {}, {"rows": [*self.rows(past), sorted(drawn.tolist())]}


class ImportantWeights(TextMemory):
    """Importances of all weights and the weights they belong to: after each task, or after the last; see `methods.Ewc`.

    A batch's loss is the mean over its target tokens, so the importance of a weight is the mean over batches of the
    squared gradient of that mean, as in the classification of this project.

    Args:
        strength: Weight of the penalty.
        mode: `separate` or `online`.
        decay: With `online`, the factor of what was important before.
    """

    def __init__(self, strength: float, mode: str, decay: float) -> None:
        self._strength, self._online, self._decay = strength, mode == "online", decay
        self.needs_all = not self._online

    def penalty(self, past: Past) -> Penalty | None:
        """See `TextMemory.penalty`: `lambda * sum_i sum_w F_i[w] (w - w_i)^2`."""
        if not past.learned:
            return None
        states = [past.tensors(past.learned)] if self._online else [past.tensors(n + 1) for n in range(past.learned)]
        anchors = [(_part(state, MODEL), _part(state, IMPORTANCE)) for state in states]

        def drawn_back(model: WholeModel, rows: Tensor) -> Tensor:
            total = torch.zeros(())
            for weights, importance in anchors:
                for name, value in model.named_parameters():
                    total = total + (importance[name] * (value - weights[name]) ** 2).sum()
            return self._strength * total

        return drawn_back

    def kept(
        self, model: WholeModel, train: ParallelText, past: Past, batch_size: int, seed: int
    ) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """See `TextMemory.kept`; the weights themselves are stored as the model's."""
        found = importances(model, train, batch_size)
        if self._online and past.learned:
            before = _part(past.tensors(past.learned), IMPORTANCE)
            found = {name: value + self._decay * before[name] for name, value in found.items()}
        return {f"{IMPORTANCE}{name}": value for name, value in found.items()}, {}


def importances(model: WholeModel, train: ParallelText, batch_size: int) -> dict[str, Tensor]:
    """For each weight the mean over batches of the squared gradient of the batch's mean loss."""
    batches = by_length(train.lengths, batch_size)
    sums = {name: torch.zeros_like(value) for name, value in model.named_parameters()}
    for rows in batches:
        model.zero_grad(set_to_none=True)
        logits, targets = model.answers(train, rows)
        F.cross_entropy(logits, targets).backward()
        for name, value in model.named_parameters():
            if value.grad is not None:
                sums[name] += value.grad**2
    model.zero_grad(set_to_none=True)
    return {name: value / len(batches) for name, value in sums.items()}


def _part(tensors: Mapping[str, Tensor], start: str) -> dict[str, Tensor]:
    return {name.removeprefix(start): value for name, value in tensors.items() if name.startswith(start)}
