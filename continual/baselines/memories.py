"""What baselines keep of earlier tasks beside the model, as Avalanche's plugins and on disk."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

import continual.baselines._avalanche  # noqa: F401  (before the first import of Avalanche)

# isort: split

from avalanche.benchmarks.utils.classification_dataset import TaskAwareSupervisedClassificationDataset
from avalanche.training.plugins import AGEMPlugin, EWCPlugin, LwFPlugin, ReplayPlugin, SupervisedPlugin
from avalanche.training.storage_policy import ExperienceBalancedBuffer, ReservoirSamplingBuffer
from avalanche.training.utils import ParamData

from continual.baselines.model import Classifier

MODEL, IMPORTANCE = "model/", "importance/"
"""How the tensors of a state are named: the model's, and what EWC makes of its task."""


@dataclass(frozen=True)
class Past:
    """What is on disk when a task begins.

    Attributes:
        learned: How many tasks are learned.
        facts: What the memory gave to be kept after the last of them; empty before the first.
        tensors: Gives all tensors that were stored after so many tasks.
        model: Makes a copy of the model after all of them.
        texts: Gives the training texts of the task at a place.
    """

    learned: int
    facts: Mapping[str, Any]
    tensors: Callable[[int], dict[str, Tensor]]
    model: Callable[[], Classifier]
    texts: Callable[[int], TaskAwareSupervisedClassificationDataset]


class Memory:
    """Nothing at all; others derive from it.

    Every task starts from what is on disk, whether or not the process is still the same, so that a run which was killed
    takes the way of one which was not.

    Attributes:
        needs_all: Whether the states after all earlier tasks must stay on disk, or the last one is enough.
    """

    needs_all = False

    def plugins(self, past: Past) -> list[SupervisedPlugin]:
        """Avalanche's plugins for the next task, as if they had seen all earlier ones."""
        return []

    def kept(self, plugins: list[SupervisedPlugin], past: Past) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """What must be stored after the task: tensors, and JSON-able facts that replace the last ones."""
        return {}, {}


class EwcMemory(Memory):
    """Importances of all weights and the weights they belong to: after each task, or after the last.

    Args:
        ewc_lambda: See `methods.Ewc`.
        mode: Likewise.
        decay: Likewise.
    """

    def __init__(self, ewc_lambda: float, mode: str, decay: float) -> None:
        self._lambda, self._mode = ewc_lambda, mode
        self._decay = decay if mode == "online" else None
        self.needs_all = mode == "separate"

    def plugins(self, past: Past) -> list[SupervisedPlugin]:
        """See `Memory.plugins`."""
        plugin = EWCPlugin(self._lambda, self._mode, self._decay)
        for place in range(past.learned) if self.needs_all else range(past.learned)[-1:]:
            for name, value in past.tensors(place + 1).items():
                start, _, weight = name.partition("/")
                kept = plugin.importances if f"{start}/" == IMPORTANCE else plugin.saved_params
                kept[place][weight] = ParamData(weight, init_tensor=value)
        return [plugin]

    def kept(self, plugins: list[SupervisedPlugin], past: Past) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """See `Memory.kept`; the weights themselves are stored as the model's."""
        (plugin,) = plugins
        found = plugin.importances[past.learned]
        return {f"{IMPORTANCE}{name}": value.data for name, value in found.items()}, {}


class LwfMemory(Memory):
    """The labels that the model knows; the teacher is the model itself as it is on disk.

    Args:
        alpha: See `methods.Lwf`.
        temperature: Likewise.
    """

    def __init__(self, alpha: float, temperature: float) -> None:
        self._alpha, self._temperature = alpha, temperature

    def plugins(self, past: Past) -> list[SupervisedPlugin]:
        """See `Memory.plugins`."""
        plugin = LwFPlugin(self._alpha, self._temperature)
        if past.learned:
            # Avalanche keeps its teacher in training mode, so that dropout would blur what it teaches.
            plugin.lwf.prev_model = past.model().eval().requires_grad_(False)
            plugin.lwf.prev_classes_by_task[0] = set(past.facts["units"])
            plugin.lwf.expcount = past.learned
        return [plugin]

    def kept(self, plugins: list[SupervisedPlugin], past: Past) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """See `Memory.kept`."""
        (plugin,) = plugins
        return {}, {"units": sorted(plugin.lwf.prev_classes_by_task[0])}


class ReplayMemory(Memory):
    """Row numbers of texts of every earlier task.

    Args:
        per_task: Texts of each task.
        tasks: Tasks of the stream.
    """

    def __init__(self, per_task: int, tasks: int) -> None:
        self._per_task, self._tasks = per_task, tasks

    def plugins(self, past: Past) -> list[SupervisedPlugin]:
        """See `Memory.plugins`."""
        size = self._per_task * self._tasks
        buffer = ExperienceBalancedBuffer(size, adaptive_size=False, num_experiences=self._tasks)
        buffer._num_exps = past.learned
        for place, rows in enumerate(past.facts.get("rows", ())):
            buffer.buffer_groups[place] = ReservoirSamplingBuffer(self._per_task)
            buffer.buffer_groups[place].buffer = past.texts(place).subset(rows)
        return [_Replay(size, storage_policy=buffer)]

    def kept(self, plugins: list[SupervisedPlugin], past: Past) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """See `Memory.kept`."""
        (plugin,) = plugins
        group = plugin.storage_policy.buffer_groups[past.learned].buffer
        return {}, {"rows": [*past.facts.get("rows", ()), _rows(group)]}


class AgemMemory(Memory):
    """Row numbers of texts of every earlier task.

    Args:
        per_task: Texts of each task.
        sample: Texts that are looked at in each step.
    """

    def __init__(self, per_task: int, sample: int) -> None:
        self._per_task, self._sample = per_task, sample

    def plugins(self, past: Past) -> list[SupervisedPlugin]:
        """See `Memory.plugins`."""
        plugin = _Agem(self._per_task, self._sample)
        for place, rows in enumerate(past.facts.get("rows", ())):
            plugin.update_memory(past.texts(place).subset(rows))
        return [plugin]

    def kept(self, plugins: list[SupervisedPlugin], past: Past) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """See `Memory.kept`."""
        (plugin,) = plugins
        return {}, {"rows": [_rows(buffer) for buffer in plugin.buffers]}


class _Replay(ReplayPlugin):
    """Avalanche's plugin, without its call of a function that it warns of itself."""

    def after_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        self.storage_policy.post_adapt(strategy, strategy.experience)


class _Agem(AGEMPlugin):
    """Avalanche's plugin, whose endless sampling of the memory starts afresh with every epoch.

    So an epoch's samples follow from its seed, and a training that is continued draws what it would have drawn.
    """

    def before_training_epoch(self, strategy: Any, **kwargs: Any) -> None:
        if self.buffers:
            self.buffer_dliter = iter(self.buffer_dataloader)


def _rows(texts: TaskAwareSupervisedClassificationDataset) -> list[int]:
    """The numbers that kept texts have in their task's training split."""
    return [int(row) for row in texts.rows] if len(texts) else []
