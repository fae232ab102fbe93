"""How far groups stay behind joint training, where runs of it are among those compared."""

from collections.abc import Sequence
from typing import Any

from continual.evaluation.groups import Group
from continual.evaluation.matrix import ScoreMatrix
from continual.evaluation.paired import tasks_of
from continual.evaluation.stream_metrics import intransigence
from continual.evaluation.summary import Summary

JOINT = "joint"
"""The method that learns all tasks at once."""


def intransigences(groups: Sequence[Group]) -> list[list[float] | None]:
    """For each group the intransigence of its runs, by seed, with the task told; None without a bound.

    The bound is the one group of joint training on the same stream, with the same settings of it, the same tasks and at
    least the same seeds.
    """
    return [_of(group, [other for other in groups if _bounds(other, group)]) for group in groups]


def _bounds(joint: Group, group: Group) -> bool:
    if joint.shared["method"] != JOINT or group.shared["method"] == JOINT:
        return False
    seeds = {run.seed for run in joint.members}
    return (
        joint.shared["stream"] == group.shared["stream"]
        and _stream_of(joint) == _stream_of(group)
        and tasks_of(joint) == tasks_of(group)
        and len(tasks_of(joint)) == 1
        and all(run.seed in seeds for run in group.members)
    )


def _stream_of(group: Group) -> dict[str, Any]:
    return {key: value for key, value in group.settings.items() if key.startswith("stream.")}


def _of(group: Group, bounds: Sequence[Group]) -> list[float] | None:
    if len(bounds) != 1:
        return None
    reached = {run.seed: dict(zip(run.tasks, run.aware.matrix[-1], strict=True)) for run in bounds[0].members}
    lags = [_lag(run, reached[run.seed]) for run in group.members]
    return None if None in lags else lags


def _lag(run: Summary, reached: dict[str, float | None]) -> float | None:
    if None in reached.values():
        return None
    return intransigence(ScoreMatrix.from_json(run.tasks, run.aware.matrix), reached)
