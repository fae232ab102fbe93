"""Which tasks of a stream can be learned, found out before the first one is."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from continual.errors import LearningError, UserError
from streams.errors import StreamError

if TYPE_CHECKING:
    from continual.backbone.encoder import Encoder
    from continual.settings import LearnerSettings
    from streams import StreamManager, Task


def examined(
    stream: "StreamManager", settings: "LearnerSettings", encoder: "Encoder | None"
) -> Iterator[tuple[str, "Task | None", UserError | None]]:
    """For each task its name, the task if its data make one, and why it cannot be learned, if it cannot.

    Args:
        stream: The stream; every task of it is read.
        settings: How tasks are to be learned.
        encoder: The backbone; None asks for the data alone.
    """
    from continual.participant import check_task

    kind = None
    for name in stream.names:
        task = None
        try:
            task = stream.task(name)
            kind = kind or task.kind
            check_kind(task, kind)
            if encoder is not None:
                check_task(settings, encoder, task)
        except UserError as error:
            yield name, task, error
        else:
            yield name, task, None


def check_kind(task: "Task", kind: str) -> None:
    """Refuses a task that cannot stand in one matrix with others of a kind.

    Raises:
        LearningError: It is of another kind.
    """
    if task.kind != kind:
        raise LearningError(
            f"Task {task.name!r} is a {task.kind} in a stream of {kind} tasks, and their scores cannot be "
            "compared; give each kind a run of its own (stream.order=[...] chooses tasks)."
        )


def require_usable(stream: "StreamManager", settings: "LearnerSettings", encoder: "Encoder") -> "Task":
    """The first task of a stream of which all can be learned.

    Raises:
        UserError: One cannot.
    """
    for name, _, error in examined(stream, settings, encoder):
        if isinstance(error, StreamError):
            reason = str(error).rstrip(".")
            raise StreamError(
                f"{reason} (of task {name!r}, found before anything was learned; stream.skip_unusable=true leaves out "
                "tasks with such data)."
            ) from error
        if error is not None:
            raise error
    return stream.task(stream.names[0])
