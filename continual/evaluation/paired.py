"""Paired tests between groups of runs, and the choice of a reference that all others are compared with."""

import re
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from continual.errors import ConfigError
from continual.evaluation.groups import KEYS, Group, setting_text, short_labels
from continual.evaluation.intervals import mean_interval, paired_test
from continual.evaluation.summary import Scores, Summary
from continual.registry import suggestion

Pair = tuple[Group, Group]


def all_pairs(groups: Sequence[Group]) -> list[Pair]:
    """Every pair of groups that can be compared, see `comparable`."""
    return [pair for pair in combinations(groups, 2) if comparable(*pair)]


def comparable(first: Group, second: Group) -> bool:
    """Whether two groups have runs on the same tasks of one stream; averages over others differ by the tasks too."""
    return first.shared["stream"] == second.shared["stream"] and bool(tasks_of(first) & tasks_of(second))


def tasks_of(group: Group) -> set[frozenset[str]]:
    """The sets of tasks that runs of a group have learned: one, unless it mixes them."""
    return {frozenset(member.tasks) for member in group.members}


def shared_runs(first: Group, second: Group) -> list[tuple[Summary, Summary]]:
    """The runs of two groups with the same seed and the same tasks, by seed."""
    here, there = ({(run.seed, frozenset(run.tasks)): run for run in group.members} for group in (first, second))
    return [(here[key], there[key]) for key in sorted(here.keys() & there.keys(), key=lambda it: it[0])]


def pairs_with(groups: Sequence[Group], reference: str) -> tuple[list[Pair], list[str]]:
    """Each group beside the reference that it is compared with, and notes about those that have none.

    Where the words name several groups of a stream, a group is compared with the one that shares its other
    settings: `panda` under each learning rate with `scratch` under the same one.

    Args:
        groups: All groups.
        reference: A group as tables show it, or words that choose it: values such as `scratch`, or `key=value`;
            several are joined by commas.

    Raises:
        ConfigError: The words choose no group, or more than one for the same group.
    """
    words = words_of(reference)
    chosen = {index: keys for index in range(len(groups)) if (keys := _named_by(index, groups, reference, words))}
    if not chosen:
        known = dict.fromkeys(short_labels(groups))
        raise ConfigError(
            f"There is no group {reference!r} to compare with{suggestion(reference, known)}; "
            f"known: {'; '.join(known) or 'none, since no run is finished'}."
        )
    pairs, notes = [], []
    for index, group in enumerate(groups):
        if index in chosen:
            continue
        found = _counterparts(group, [(groups[place], keys) for place, keys in chosen.items()])
        if len(found) > 1:
            names = "; ".join(other.label for other in found)
            raise ConfigError(
                f"{reference!r} names more than one group to compare {group.label} with ({names}); "
                "add key=value of the one that you mean."
            )
        pairs += [(group, other) for other in found]
        notes += [] if found else [f"{group.label} has no counterpart among the groups of {reference}."]
    return pairs, notes


def words_of(reference: str) -> list[str]:
    """The words of a reference: what stands between commas outside of brackets."""
    return [word.strip() for word in re.split(r",(?![^\[{]*[\]}])", reference) if word.strip()]


def key_saying(word: str, facts: Mapping[str, Any]) -> str | None:
    """The fact that `key=value` speaks of, by its dotted name or the last part of it; None without any."""
    name, _, value = word.partition("=")
    named = (key for key in facts if name in (key, key.rsplit(".", 1)[-1]))
    return next((key for key in named if _same(facts[key], value)), None)


def _same(own: Any, given: str) -> bool:
    import yaml

    if setting_text(own) == given:
        return True
    try:
        return bool(yaml.safe_load(given) == own)
    except yaml.YAMLError:
        return False


def paired_row(first: Group, second: Group) -> dict[str, Any] | None:
    """How two groups differ on the seeds that they share; None for fewer than two.

    Both tests are about the same difference: of averages over the tasks, which both runs of a pair have, and of the
    same final scores task by task. Where pairs differ in their tasks there is none over tasks.

    Returns:
        first, second, seeds, and for the task told, and with the prefix `routed_` not told:
        difference (mean over seeds of first - second of the average), difference_low and difference_high (95 % t
        interval), p_sign_flip and p_t over seeds; tasks (their number) and p_tasks, the sign-flip test over tasks, each
        averaged over the seeds first; per_task, a list of task, difference, low and high.
    """
    pairs = shared_runs(first, second)
    if len(pairs) < 2:
        return None
    row = {"first": first.label, "second": second.label, "seeds": [run.seed for run, _ in pairs]}
    return row | _differences(pairs, "aware", "") | _differences(pairs, "routed", "routed_")


def _named_by(index: int, groups: Sequence[Group], reference: str, words: Sequence[str]) -> set[str]:
    """The keys by which the words choose a group; empty where they do not."""
    group = groups[index]
    if reference in (group.label, short_labels(groups)[index]):
        return {*KEYS, *group.settings}
    keys = [_key_of(word, group) for word in words]
    return {key for key in keys if key} if words and all(keys) else set()


def _key_of(word: str, group: Group) -> str | None:
    """The key whose value a word names in a group: `scratch`, `learning_rate=0.01`."""
    if "=" in word:
        return key_saying(word, {**group.shared, **group.settings})
    return next((key for key, own in group.shared.items() if own == word), None)


def _counterparts(group: Group, chosen: Sequence[tuple[Group, set[str]]]) -> list[Group]:
    here = [(other, keys) for other, keys in chosen if comparable(other, group)]
    alike = [other for other, keys in here if _beyond(other, keys) == _beyond(group, keys)]
    return alike if len(here) > 1 else [other for other, _ in here]


def _beyond(group: Group, named: set[str]) -> Mapping[str, Any]:
    """The facts of a group that a reference does not speak of; options of a part that it names belong to that part."""
    facts = {**group.shared, **group.settings}
    return {key: value for key, value in facts.items() if key not in named and key.partition(".")[0] not in named}


def _differences(pairs: Sequence[tuple[Summary, Summary]], kind: str, prefix: str) -> dict[str, Any]:
    scores: list[tuple[Scores | None, Scores | None]] = [(getattr(a, kind), getattr(b, kind)) for a, b in pairs]
    averages = [(a and a.average, b and b.average) for a, b in scores]
    by_seed = None if any(None in pair for pair in averages) else paired_test(*zip(*averages, strict=True))
    by_task = _by_task(pairs, scores)
    whole = by_task.keys() == {task for pair in pairs for run in pair for task in run.tasks}
    means = [sum(it) / len(it) for it in by_task.values()]
    over_tasks = paired_test(means, [0.0] * len(means)) if means and whole else None
    facts: dict[str, Any] = {
        "difference": by_seed and by_seed.difference.value,
        "difference_low": by_seed and by_seed.difference.low,
        "difference_high": by_seed and by_seed.difference.high,
        "p_sign_flip": by_seed and by_seed.p_sign_flip,
        "p_t": by_seed and by_seed.p_t,
        "tasks": len(by_task),
        "p_tasks": over_tasks and over_tasks.p_sign_flip,
        "per_task": [_task_row(task, differences) for task, differences in by_task.items()],
    }
    return {f"{prefix}{name}": value for name, value in facts.items()}


def _by_task(
    pairs: Sequence[tuple[Summary, Summary]], scores: Sequence[tuple[Scores | None, Scores | None]]
) -> dict[str, list[float]]:
    """Differences of the final scores of each task that all runs have, one for each seed."""
    finals = [
        tuple(_final(run, own) for run, own in zip(pair, both, strict=True))
        for pair, both in zip(pairs, scores, strict=True)
    ]
    tasks = [task for task in finals[0][0] if all(task in final for pair in finals for final in pair)]
    return {task: [first[task] - second[task] for first, second in finals] for task in tasks}


def _final(run: Summary, scores: Scores | None) -> dict[str, float]:
    if scores is None:
        return {}
    return {task: value for task, value in zip(run.tasks, scores.matrix[-1], strict=True) if value is not None}


def _task_row(task: str, differences: Sequence[float]) -> dict[str, Any]:
    whole = mean_interval(differences)
    return {"task": task, "difference": whole.value, "low": whole.low, "high": whole.high}
