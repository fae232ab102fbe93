"""Which stored prompt answers what: a task that is told, a kind of task, a text."""

from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from continual.backbone.encoder import Encoder
from continual.backbone.frozen import embedding_of
from continual.backbone.text_to_text import TextToText
from continual.errors import LearningError, PoolError
from continual.evaluation.kinds import CLASSIFICATION
from continual.methods import METHODS
from continual.pool.keys import nearest_key
from continual.pool.prompt import PromptRecord
from continual.pool.store import PromptPool
from continual.registry import suggestion
from continual.router import Route, Router
from continual.storing import kind_of, serves, shared_name


@dataclass(frozen=True)
class Directory:
    """Finds the prompts that answer.

    Attributes:
        pool: The prompts.
        encoder: The backbone that they belong to.
    """

    pool: PromptPool
    encoder: Encoder

    @cached_property
    def router(self) -> Router:
        """Sends texts whose task is not told."""
        return Router(self.pool)

    def find(self, task: str) -> PromptRecord | None:
        """The newest prompt of a task, or the newest shared one that serves it; None without any."""
        own = self.pool.latest(task)
        if own is not None:
            return own
        shared = [self.pool.latest(shared_name(method)) for method in METHODS.names()]
        serving = [record for record in shared if record is not None and serves(record, task)]
        return max(serving, key=lambda record: record.created, default=None)

    def prompt_of(self, task: str) -> PromptRecord:
        """The newest prompt that answers for a task.

        Raises:
            PoolError: The pool has none.
        """
        record = self.find(task)
        if record is None:
            tasks = self.pool.tasks()
            raise PoolError(
                f"The pool {self.pool.path} has no prompt for the task {task!r}{suggestion(task, tasks)}; "
                f"it knows: {', '.join(tasks)}."
            )
        return record

    def told(self, task: str | None, kind: str) -> PromptRecord | None:
        """The prompt of a task that is told, None where none is.

        Raises:
            PoolError: The pool holds nothing that answers a kind of task, or no prompt of the task.
            LearningError: The task is of another kind.
        """
        if task is None:
            if not len(self.pool):
                raise PoolError(f"The pool {self.pool.path} holds no prompt yet; learn a task first.")
            if kind not in self.kinds():
                raise PoolError(f"The pool {self.pool.path} holds no prompt of a {kind}; learn such a task first.")
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
        return {kind_of(record) for record in self.pool.records()}

    def routes(self, profile: Tensor, told: PromptRecord | None = None, kind: str = CLASSIFICATION) -> list[Route]:
        """Which prompt each text goes to: the one of the told task, or the nearest of a kind of task.

        Args:
            profile: Of the texts, [texts, 2 * width], see `FrozenView`.
            told: The told task's prompt.
            kind: The kind of task, where none is told.
        """
        if not len(profile):
            return []
        if told is None:
            return self.router.route(profile, self.closed_to(kind))
        nearest = nearest_key(embedding_of(profile), self.pool.get(told.id).tensors["keys"])
        return [Route(told.id, float(similarity), True) for similarity in nearest]

    def closed_to(self, kind: str) -> frozenset[str]:
        """Ids of the prompts that no text of a kind of task is routed to: superseded ones, and those of other kinds."""
        superseded = self.pool.superseded()
        if not isinstance(self.encoder, TextToText):  # whose prompts are all of classifications
            return superseded
        return superseded | {record.id for record in self.pool.records() if kind_of(record) != kind}
