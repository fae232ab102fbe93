"""What a reader should know before believing a comparison: what is missing, and what does not measure one thing."""

from collections.abc import Sequence

from continual.evaluation.groups import Group, short_labels
from continual.evaluation.paired import Pair, shared_runs, tasks_of

_MOST = 6
"""Pairs that are named in a note."""


def doubts_about(groups: Sequence[Group], pairs: Sequence[Pair]) -> list[str]:
    """Sentences about groups and the pairs that are tested.

    Args:
        groups: All groups of a comparison.
        pairs: Those that are to be tested against each other.
    """
    names = dict(zip(map(id, groups), short_labels(groups), strict=True))
    notes = [note for group in groups for note in _inside(group)]
    for stream in dict.fromkeys(group.shared["stream"] for group in groups):
        here = [(names[id(group)], group) for group in groups if group.shared["stream"] == stream]
        notes += _different_tasks(stream, here) + _different_seeds(stream, here)
    return notes + _single(groups, names) + _untested(pairs, names) + _without_width(groups)


def _without_width(groups: Sequence[Group]) -> list[str]:
    """That an interval of no width comes from few texts and not from certainty."""
    return [
        f"{group.label} has the same average with every seed, so its interval of no width is no certainty; test on "
        "more texts."
        for group in groups
        if len(_seeds(group)) > 1 and len({it.aware.average for it in group.members}) == 1
    ]


def _inside(group: Group) -> list[str]:
    """What is doubtful about a group on its own."""
    notes, members = [], group.members
    repeated = sorted({it.seed for it in members if sum(other.seed == it.seed for other in members) > 1})
    if repeated:
        seeds = ", ".join(map(str, repeated))
        notes.append(f"{group.label} has more than one run with seed {seeds}, which count as if they were other seeds.")
    if len({frozenset(member.tasks) for member in members}) > 1:
        notes.append(f"{group.label} mixes runs on different sets of tasks; their means do not measure one thing.")
    return notes


def _different_tasks(stream: str | None, named: Sequence[tuple[str, Group]]) -> list[str]:
    """That means of a stream are over different tasks."""
    kinds: dict[str, list[str]] = {}
    for name, group in named:
        for tasks in sorted(", ".join(sorted(tasks)) for tasks in tasks_of(group)):
            kinds.setdefault(tasks, []).append(name)
    if len(kinds) < 2:
        return []
    told = "; ".join(f"{' and '.join(names)} on {tasks}" for tasks, names in kinds.items())
    return [
        f"On {stream}, groups have different sets of tasks ({told}); their means do not measure one thing, and only "
        "runs on the same tasks are paired."
    ]


def _different_seeds(stream: str | None, named: Sequence[tuple[str, Group]]) -> list[str]:
    """That means of a stream are over different seeds."""
    kinds: dict[str, list[str]] = {}
    for name, group in named:
        kinds.setdefault(", ".join(str(seed) for seed in sorted(_seeds(group))), []).append(name)
    if len(kinds) < 2:
        return []
    told = "; ".join(f"{seeds}: {' and '.join(names)}" for seeds, names in kinds.items())
    return [f"On {stream}, groups have different seeds ({told}); tests are over those that a pair shares."]


def _single(groups: Sequence[Group], names: dict[int, str]) -> list[str]:
    """That groups of one seed have neither interval nor test."""
    alone = [names[id(group)] for group in groups if len(_seeds(group)) < 2]
    if not alone:
        return []
    return [f"Of {' and '.join(alone)} there is one seed only, which gives no interval and no test; run more seeds."]


def _untested(pairs: Sequence[Pair], names: dict[int, str]) -> list[str]:
    """That groups of several seeds share too few of them."""
    few = [
        f"{names[id(first)]} and {names[id(second)]}"
        for first, second in pairs
        if min(len(_seeds(first)), len(_seeds(second))) > 1 and len(shared_runs(first, second)) < 2
    ]
    if not few:
        return []
    more = f"; and {len(few) - _MOST} more" if len(few) > _MOST else ""
    told = f"{'; '.join(few[:_MOST])}{more}"
    return [f"These pairs share fewer than two seeds and are not tested: {told}; run the seeds that one of them lacks."]


def _seeds(group: Group) -> set[int]:
    return {member.seed for member in group.members}
