"""Growth in a run: whether to grow after a task, and the new generation of backbone and pool.

    decide      a schedule says so, or the test of capacity that was stored with the task's prompt
    expand      the larger model, in memory
    carry       the prompts that answer for remembered tasks
    learn       the old model teaches it, and the task does; as far as old answers stay
    save        model and pool in a folder beside, which becomes the new generation when it is whole

Whatever is random has a name, so a growth that was cut off is done again to the same bits; its training goes on from
its last checkpoint.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from continual.backbone.encoder import Encoder
from continual.backbone.kept import opening
from continual.backbone.saving import save_backbone
from continual.files import new_folder
from continual.growth.generations import FOLDER, MEMORY, MODEL, POOL, Generation, generations, settings_for
from continual.growth.keeping import Distillation, Kept, Known, Pair, answers
from continual.growth.learning import Learning, Split, as_far_as_kept, learning_layers, learning_weights
from continual.growth.lineage import BACKBONE, Lineage
from continual.growth.maps import GrowthMap
from continual.growth.memory import KeptTexts, Remembered
from continual.growth.models import grown_encoder, load_like
from continual.growth.pools import carry_pool
from continual.growth.prompts import carried_prompt
from continual.growth.weights import sizes_of
from continual.learner import CAPACITY, Learner
from continual.pool.layout import remove_leftovers
from continual.pool.prompt import PromptRecord
from continual.seeding import seed_of
from continual.settings import LearnerSettings
from continual.training.checkpoint import Checkpoints
from continual.training.watch import Watcher
from continual.transfer.signature import Prober
from continual.views import texts_of

if TYPE_CHECKING:
    from streams import Task

EXPANDING, CARRYING = "growth, expanding", "growth, carrying prompts over"
"""What a watcher is told before and after the training of a grown model."""


@dataclass(frozen=True)
class Decision:
    """Whether the backbone grows after a task.

    Attributes:
        grow: The answer.
        reason: One sentence.
        evidence: Numbers behind it.
        seconds: What it took to find out.
    """

    grow: bool
    reason: str
    evidence: Mapping[str, float]
    seconds: float


class Growing:
    """The growth of one run.

    Args:
        folder: The run's folder.
        root: The backbone that the run began with.
        settings: How tasks are learned, on that backbone.
    """

    def __init__(self, folder: Path, root: Encoder, settings: LearnerSettings) -> None:
        self._folder, self._root, self._settings = folder, root, settings
        self.config = settings.growth
        self._memory = KeptTexts(folder / FOLDER / MEMORY)
        if (folder / FOLDER).is_dir():
            for part in (folder / FOLDER, folder / FOLDER / MEMORY):
                remove_leftovers(part)

    def newest(self) -> Generation | None:
        """The generation in use; None before the first growth."""
        return next(reversed(generations(self._folder)), None)

    def encoder(self) -> Encoder:
        """The backbone in use."""
        newest = self.newest()
        return self._root if newest is None else newest.load(self._root)

    def settings(self) -> LearnerSettings:
        """How tasks are learned on the backbone in use."""
        return settings_for(self._settings, generations(self._folder))

    def examines(self, position: int) -> bool:
        """Whether the task at a place of the stream is tested for capacity."""
        return self.config.when == "capacity" and self._earlier(position) < self.config.most

    def decision(self, record: PromptRecord, position: int) -> Decision | None:
        """What was decided after a task was learned; None where nothing was asked."""
        if self._earlier(position) >= self.config.most:
            return None
        if self.config.when == "schedule":
            if position + 1 not in self.config.at:
                return None
            return Decision(True, f"The schedule grows after task {position + 1}.", {}, 0.0)
        verdict = record.provenance.get(CAPACITY)
        return None if verdict is None else Decision(**verdict)

    def remember(self, task: "Task", position: int) -> None:
        """Keeps a few texts of a task that was learned."""
        self._memory.keep(position, Remembered.of(task, self.config.memory, self._settings.seed))

    def at(self, position: int) -> Generation | None:
        """The generation that was grown for the task at a place of the stream, if it is there."""
        return next((item for item in generations(self._folder) if _position(item) == position), None)

    def grow(
        self, learner: Learner, task: "Task", position: int, checkpoints: Checkpoints, watcher: Watcher
    ) -> Generation:
        """Makes the next generation; nothing of it is to be seen before it is whole.

        Args:
            learner: The learner on the backbone in use, which has learned the task.
            task: The task that the backbone grows for.
            position: Its place in the stream.
            checkpoints: Where the training keeps its state.
            watcher: Who is told of its progress.

        Raises:
            LearningError: A prompt of the pool cannot be carried over.
            Interrupted: The watcher was asked to stop.
        """
        started = time.monotonic()
        watcher.started(EXPANDING, None)
        number = len(generations(self._folder)) + 1
        seed = seed_of(self._settings.seed, "growth", str(number))
        new, plan = grown_encoder(learner.encoder, self.config.expansion(), self.config.amount, seed)
        new.name = f"{self._root.name}+{number}"
        evidence, earlier = self._learn(learner, new, plan, task, seed, checkpoints, watcher)
        origin = {
            "how": self.config.how,
            "amount": vars(self.config.amount),
            "seed": seed,
            "task": task.name,
            "position": position,
            "evidence": evidence,
            "from": sizes_of(learner.encoder.model).to_json(),
            "to": sizes_of(new.model).to_json(),
            BACKBONE: opening(new),
        }
        target = Generation(self._folder / FOLDER / str(number))
        watcher.started(CARRYING, None)
        with new_folder(target.folder) as temporary:
            save_backbone(new, temporary / MODEL)
            loaded = load_like(self._root, temporary / MODEL, new.name)
            origin["seconds"] = earlier + time.monotonic() - started
            lineage = Lineage(
                learner.encoder.fingerprint, learner.encoder.name, loaded.fingerprint, new.name, plan, origin
            )
            lineage.write(temporary / MODEL)
            carry_pool(learner.pool, temporary / POOL, loaded, lineage)
        return target

    def _learn(
        self,
        learner: Learner,
        new: Encoder,
        plan: GrowthMap,
        task: "Task",
        seed: int,
        checkpoints: Checkpoints,
        watcher: Watcher,
    ) -> tuple[dict[str, float], float]:
        """Trains the grown model; the evidence, and the seconds before an interruption."""
        teaching, judging, rivals = self._known(learner, new, plan, task.name)
        first = min(learning_layers(plan))

        def answered(encoder: Encoder, which: str) -> list[Tensor]:
            """Told and routed, by the prompts on the old or on the new backbone."""
            own = [getattr(known.prompts, which) for known in judging]
            found = answers(encoder, [it.texts for it in judging], own, [getattr(pair, which) for pair in rivals])
            return [*found.told, *found.routed]

        before = answered(learner.encoder, "old")

        def now() -> Kept:
            return Kept.of(before, answered(new, "new"))

        at_once = now()
        weights = learning_weights(new, plan)
        start = {name: value.detach().clone() for name, value in weights.items()}
        distillation = Distillation(learner.encoder, new, plan, first, teaching)
        learning = Learning(
            distillation,
            _split(new, task, "train"),
            _split(new, task, "dev"),
            len(task.labels),
            self.config,
            seed,
            checkpoints,
            watcher,
            self._settings.cache_mb,
        )
        before_seconds = learning.run()
        share, kept = as_far_as_kept(weights, start, now, self.config.keep)
        told, routed = kept.apart()
        evidence = {
            "answers_kept_at_growth": at_once.share,
            "answers_kept": told.share,
            "answers_kept_of_the_worst_task": told.worst,
            "routed_answers_kept": routed.share,
            "routed_answers_kept_of_the_worst_task": routed.worst,
            "learned_share": share,
        }
        return evidence, before_seconds

    def _known(
        self, learner: Learner, new: Encoder, plan: GrowthMap, task: str
    ) -> tuple[list[Known], list[Known], list[Pair]]:
        """What teaches the grown model, what judges it, and all prompts that a text may go to.

        All tasks teach and judge but the one that it grows for: its prompt answers badly, or nothing would grow, and to
        keep its answers would keep the fault. Texts of others may go to it all the same.
        """
        prober = Prober(new)
        teaching, judging, rivals = [], [], []
        for remembered in self._memory.all():
            old = learner.pool.get(learner.directory.prompt_of(remembered.task).id)
            pair = Pair(old, carried_prompt(old, plan, new, prober))
            rivals.append(pair)
            if remembered.task == task:
                continue
            for known, half in zip((teaching, judging), remembered.halves(), strict=True):
                if half.texts:
                    known.append(Known(half, pair))
        return teaching, judging, rivals

    def _earlier(self, position: int) -> int:
        """How often the backbone grew for tasks before this place of the stream."""
        return sum(_position(item) < position for item in generations(self._folder))


def _position(generation: Generation) -> int:
    return int(generation.lineage.origin["position"])


def _split(encoder: Encoder, task: "Task", name: str) -> Split:
    split = task.split(name)
    return Split(texts_of(split, encoder), torch.tensor(list(split["label"]), dtype=torch.long))
