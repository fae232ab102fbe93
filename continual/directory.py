"""Which stored prompt answers what: a task that is told, a kind of task, a text."""

from dataclasses import dataclass, field
from functools import cached_property

from torch import Tensor

from continual.backbone.encoder import Encoder
from continual.backbone.frozen import embedding_of
from continual.backbone.text_to_text import TextToText
from continual.errors import LearningError, PoolError
from continual.evaluation.kinds import CLASSIFICATION
from continual.methods.base import TASKS
from continual.pool.keys import nearest_key
from continual.pool.prompt import PromptRecord
from continual.pool.store import PromptPool
from continual.registry import suggestion
from continual.router import Route, Router
from continual.storing import kind_of, may_be_shared, pairs_of, serves


@dataclass(frozen=True)
class Directory:
    """Finds the prompts that answer.

    Attributes:
        pool: The prompts.
        encoder: The backbone that they belong to.
    """

    pool: PromptPool
    encoder: Encoder
    _sorts: dict[str, tuple[str, bool | None]] = field(default_factory=dict, init=False, repr=False, compare=False)

    @cached_property
    def router(self) -> Router:
        """Sends texts whose task is not told."""
        return Router(self.pool)

    def find(self, task: str) -> PromptRecord | None:
        """The newest prompt of a task, or the newest shared one that serves it; None without any."""
        own = self.pool.latest(task)
        if own is not None:
            return own
        serving = [record for record in self._shared() if serves(record, task)]
        return max(serving, key=lambda record: record.created, default=None)

    def tasks(self) -> list[str]:
        """The tasks that prompts answer for, in the order of their first prompts."""
        served = {record.task: list(record.provenance.get(TASKS, [record.task])) for record in self._shared()}
        return list(dict.fromkeys(task for name in self.pool.tasks() for task in served.get(name, [name])))

    def prompt_of(self, task: str) -> PromptRecord:
        """The newest prompt that answers for a task.

        Raises:
            PoolError: The pool has none.
        """
        record = self.find(task)
        if record is None:
            tasks = self.tasks()
            raise PoolError(
                f"The pool {self.pool.path} has no prompt for the task {task!r}{suggestion(task, tasks)}; "
                f"it knows: {', '.join(tasks)}."
            )
        return record

    def told(self, task: str | None, kind: str, pairs: bool | None = None) -> PromptRecord | None:
        """The prompt of a task that is told, None where none is.

        Args:
            task: The task.
            kind: What kind of task it has to be.
            pairs: Where none is told: whether the texts come in pairs; None where that does not matter.

        Raises:
            PoolError: The pool holds nothing that answers a kind of task, or no prompt of the task.
            LearningError: The task is of another kind, or no prompt answers pairs of texts, or single ones.
        """
        if task is None:
            if not len(self.pool):
                raise PoolError(f"The pool {self.pool.path} holds no prompt yet; learn a task first.")
            if kind not in self.kinds():
                raise PoolError(f"The pool {self.pool.path} holds no prompt of a {kind}; learn such a task first.")
            self._closed(kind, pairs)
            return None
        told = self.prompt_of(task)
        if kind_of(told) != kind:
            raise LearningError(f"The task {task!r} is a {kind_of(told)} and no {kind}; ask for what it answers.")
        return told

    def kinds(self, task: str | None = None) -> set[str]:
        """The kinds of tasks that the pool's prompts answer, or that of a task that is told."""
        if task is not None:
            return {kind_of(self.prompt_of(task))}
        if not isinstance(self.encoder, TextToText):
            return {CLASSIFICATION}
        return {kind for kind, _ in self._known().values()}

    def routes(
        self,
        profile: Tensor,
        told: PromptRecord | None = None,
        kind: str = CLASSIFICATION,
        pairs: bool | None = None,
    ) -> list[Route]:
        """Which prompt each text goes to: the one of the told task, or the nearest of a kind of task.

        Args:
            profile: Of the texts, [texts, 2 * width], see `FrozenView`.
            told: The told task's prompt.
            kind: The kind of task, where none is told.
            pairs: Whether the texts come in pairs, likewise; None where that does not matter.

        Raises:
            LearningError: No task is told, and no prompt answers such texts.
        """
        if not len(profile):
            return []
        if told is None:
            return self.router.route(profile, self._closed(kind, pairs))
        nearest = nearest_key(embedding_of(profile), self.pool.get(told.id).tensors["keys"])
        return [Route(told.id, float(similarity), True) for similarity in nearest]

    def closed_to(self, kind: str, pairs: bool | None = None) -> frozenset[str]:
        """Ids of the prompts that no text is routed to: superseded ones, and those for other texts.

        Args:
            kind: The kind of task that the texts are of.
            pairs: Whether they come in pairs; None where that does not matter.
        """
        superseded = self.pool.superseded()
        closed = [name for name, sort in self._known().items() if not _answers(sort, kind, pairs)]
        return superseded.union(closed) if closed else superseded

    def _closed(self, kind: str, pairs: bool | None) -> frozenset[str]:
        """As `closed_to`, where something has to be left."""
        closed = self.closed_to(kind, pairs)
        if len(closed) < len(self.pool):
            return closed
        learned, advice = (
            ("single texts", "leave the second texts out")
            if pairs
            else ("pairs of texts", "give each text its second text")
        )
        raise LearningError(f"All prompts of {self.pool.path} were learned on {learned}; {advice}.")

    def _shared(self) -> list[PromptRecord]:
        """The newest state of each model for all tasks."""
        found = [self.pool.latest(name) for name in self.pool.tasks() if may_be_shared(name)]
        return [record for record in found if record is not None]

    def _known(self) -> dict[str, tuple[str, bool | None]]:
        """Of each prompt its kind and whether it answers pairs; read once: prompts never change."""
        if len(self._sorts) != len(self.pool):
            new = self.pool.records() if not self._sorts else map(self.pool.record, self._unknown())
            self._sorts.update({record.id: (kind_of(record), pairs_of(record)) for record in new})
        return self._sorts

    def _unknown(self) -> list[str]:
        return [name for name in self.pool.ids() if name not in self._sorts]


def _answers(sort: tuple[str, bool | None], kind: str, pairs: bool | None) -> bool:
    own_kind, own_pairs = sort
    return own_kind == kind and (pairs is None or own_pairs is None or own_pairs == pairs)
