"""The state of a run on disk, and whether what it goes on with is what it was begun with."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from continual.errors import RunError
from continual.files import read_json
from continual.results import Results

if TYPE_CHECKING:
    from streams import StreamManager, Task

STATE = "state.json"
SCHEMA = 1


def read_state(folder: Path) -> dict[str, Any]:
    """What the `state.json` of a run says.

    Raises:
        RunError: It was written by a newer version, or is damaged.
    """
    path = folder / STATE
    with _damage_told(path):
        state = read_json(path)
        if state["schema"] > SCHEMA:
            raise RunError(f"{path} was written by a newer version of this program; update it and try again.")
        return state


def place_in(stream: "StreamManager", state: Mapping[str, Any], folder: Path, may_change: bool) -> Results:
    """The results in a state, with the stream at the same place.

    Args:
        stream: The stream.
        state: What `read_state` read.
        folder: The run's folder.
        may_change: Whether the stream may have other tasks behind those that were begun.

    Raises:
        RunError: The state is damaged, or the tasks that were begun are not the first ones of the stream.
        StreamError: It is another stream.
    """
    with _damage_told(folder / STATE):
        results, place = Results.from_json(state["results"]), dict(state["stream"])
        names, before = list(stream.names), list(place["order"])
        if names != before and may_change:
            results = results.with_tasks(names)
            place["order"] = names
        elif names[: len(before)] == before and len(names) > len(before):
            fresh = ", ".join(names[len(before) :])
            raise RunError(
                f"The stream of {folder} has tasks that it had not when the run began ({fresh}); learn them with "
                f"`continual learn {folder}`."
            )
        stream.load_state_dict(place)
        return results


@contextlib.contextmanager
def _damage_told(path: Path) -> Iterator[None]:
    try:
        yield
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"{path} is damaged ({error}); start a new run, or export the prompts of this one with "
            f"`continual pool export {path.parent} FILE.zip`."
        ) from error


def refuse_other_data(folder: Path, stream: "StreamManager", results: Results) -> None:
    """What was predicted is remembered by row, so the texts must be those of before.

    Raises:
        RunError: They are not.
    """
    for item in results.per_task:
        if results.digests.get(item["task"]) != test_digest(stream.task(item["task"])):
            raise RunError(
                f"The test texts of task {item['task']!r} are not those that {folder} was begun with; "
                "put the old data back, or start a new run."
            )


def test_digest(task: "Task") -> str:
    """A digest of a task's test texts and their labels or translations, in order."""
    import hashlib

    digest = hashlib.sha256()
    for example in task.examples("test"):
        answer = example.label if example.target is None else example.target
        digest.update(repr((example.text, example.text_pair, answer)).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
