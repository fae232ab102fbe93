"""A run goes on with tasks that were not there when it began: the same pool, matrices and folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from continual.config import RunConfig, from_file, parse
from continual.errors import ConfigError, RunError
from continual.files import read_json, write_text
from continual.results import Results
from continual.run import CONFIG, Run
from continual.run_state import STATE, place_in, read_state, refuse_other_data

if TYPE_CHECKING:
    from streams import StreamManager


def extend(run: Run, overrides: Sequence[str]) -> Run:
    """Gives a run, finished or stopped, further tasks; `Run.execute` then learns them.

    Everything is checked before the run's `config.yaml` is written, the only file that changes; in it the order becomes
    a list of names, so that what is added to the data later is learned only when that is asked for.

    Args:
        run: The run.
        overrides: Settings of its stream, such as `stream.order=[books,music]`; none where the data have new tasks.

    Returns:
        The run with its new settings.

    Raises:
        ConfigError: A setting is none of the stream's, or unknown.
        RunError: The tasks learned so far are not the first ones, or nothing is new, or the method cannot go on.
        UserError: A new task cannot be learned.
    """
    from streams import build_stream

    _refuse_other_settings(overrides)
    with run.locked():
        config = from_file(run.folder / CONFIG, overrides)
        state = _state_of(run.folder)
        before = state["stream"]["order"]
        stream = build_stream(config.stream, config.seed)
        results = place_in(stream, state, run.folder, may_change=True)
        refuse_other_data(run.folder, stream, results)
        if list(stream.names) == before and results.learned == len(before) and _is_finished(run.folder):
            raise RunError(
                f"{run.folder} has learned all tasks of its stream ({', '.join(before)}); add texts of a new task to "
                "its data, or name more with stream.order=[...]."
            )
        if list(stream.names) != before:
            _check_new_tasks(run.folder, config, stream, results, len(before))
        _write(run.folder, config, stream)
    return Run(run.folder)


def _refuse_other_settings(overrides: Sequence[str]) -> None:
    for item in overrides:
        if not item.lstrip("+").startswith("stream."):
            raise ConfigError(
                f"{item!r} is no setting of the stream, and only those may change in a run that has learned tasks; "
                "leave it out, or start a new run."
            )


def _state_of(folder: Path) -> dict[str, Any]:
    if not (folder / STATE).exists():
        raise RunError(f"{folder} has not begun to learn; continue it with `continual resume {folder}` first.")
    return read_state(folder)


def _is_finished(folder: Path) -> bool:
    try:
        return read_json(folder / "summary.json").get("finished") is True
    except (OSError, ValueError, AttributeError):
        return False


def _check_new_tasks(folder: Path, config: RunConfig, stream: "StreamManager", results: Results, before: int) -> None:
    """What is refused while learning is refused here, while the run is still what it was."""
    from continual.backbone.opening import open_backbone
    from continual.participant import check_length, check_task, is_baseline

    kept = len(results.kept)
    if kept and is_baseline(config.learner.method["name"]):
        _check_baseline(folder, config.learner.method, results.learned, kept, before)
    check_length(config.learner, len(stream))
    backbone = open_backbone(config.backbone)
    for name in stream.names[kept:]:
        task = stream.task(name)
        results.accept(task)
        check_task(config.learner, backbone, task)


def _check_baseline(folder: Path, method: Mapping[str, Any], learned: int, kept: int, before: int) -> None:
    """Refuses a baseline whose states do not allow more tasks."""
    from continual.baselines import BASELINES
    from continual.baselines.states import States
    from continual.construction import construct_named

    baseline = construct_named(BASELINES, method, "method")
    if not baseline.takes_more(kept, before):
        raise RunError(
            f"What method={baseline.name} has learned in {folder} depends on how many tasks there are; "
            "start a new run with all tasks."
        )
    if baseline.keeps_states and learned and not States(folder).has(learned):
        raise RunError(
            f"{folder} is over, and a run of the baseline {baseline.name!r} keeps its models only until then; "
            "start a new run with all tasks."
        )


def _write(folder: Path, config: RunConfig, stream: "StreamManager") -> None:
    section = {**config.stored["stream"], "order": list(stream.names)}
    write_text(folder / CONFIG, parse({**config.stored, "stream": section}).to_yaml())
