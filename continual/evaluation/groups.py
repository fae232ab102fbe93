"""Runs that repeat one experiment: what they share, and which settings tell one group of them from another."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from continual.errors import RunError
from continual.evaluation.summary import Summary, load_summary
from continual.following import read_stored

KEYS = ("stream", "method", "backbone", "tuning")
"""What runs of one group always have in common, by the names of `Summary`."""

UNDECISIVE = ("seed", "threads", "cache_mb", "tracking", "plugins")
"""Sections of a config that say which repetition a run is, where and how fast it is computed, and where code lies."""

_CONFIG = "config.yaml"
_SPLIT = "stream.split_seed"
_AS_SEED = "as seed"
_WORDS = ("stream.name", "stream.description", "method.name", "tuning.name", "backbone.name")


@dataclass(frozen=True)
class Measured:
    """A run to compare.

    Attributes:
        summary: What it measured.
        settings: Its resolved config, nested mappings of plain values; None where that is not known.
    """

    summary: Summary
    settings: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Group:
    """Runs with the same settings, apart from their seeds.

    Attributes:
        shared: The `KEYS` with their values.
        settings: Those settings, by dotted names, in which groups of the comparison differ.
        members: The finished runs, by seed.
    """

    shared: Mapping[str, str | None]
    settings: Mapping[str, Any]
    members: list[Summary] = field(repr=False)

    @property
    def label(self) -> str:
        """The group in words: `stream · method · backbone · tuning · key=value ...`."""
        words = [value for value in self.shared.values() if value]
        return " · ".join([*words, *(f"{key}={setting_text(value)}" for key, value in self.settings.items())])


def load_measured(folder: Path) -> Measured:
    """Reads a run's summary and, where it lies beside it, the resolved config.

    Raises:
        RunError: There is no summary, or one of the files cannot be understood.
    """
    import yaml

    summary = load_summary(folder)
    path = (folder if folder.is_dir() else folder.parent) / _CONFIG
    if not path.is_file():
        return Measured(summary)
    try:
        settings = read_stored(path)
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise RunError(f"{path} cannot be read ({reason}); put the run's own file back.") from error
    return Measured(summary, settings if isinstance(settings, Mapping) else None)


def settings_of(runs: Sequence[Measured]) -> list[dict[str, Any]]:
    """For each run the settings, by dotted names, in which it can differ from the others on its stream.

    Options of a method, a tuning or a backbone are compared only between runs that use the same one: what another
    lacks makes no difference to it.
    """
    leaves = _with_split_as_seed(runs)
    keys = list(dict.fromkeys(key for own in leaves if own is not None for key in own))
    found: dict[tuple[Any, str], set[str]] = defaultdict(set)
    for run, own in zip(runs, leaves, strict=True):
        for key in keys if own is not None else ():
            found[_peers(key, run.summary), key].add(_token(own.get(key)))
    return [
        {key: None if own is None else own.get(key) for key in keys if len(found[_peers(key, run.summary), key]) > 1}
        for run, own in zip(runs, leaves, strict=True)
    ]


def groups_of(runs: Sequence[Measured]) -> list[Group]:
    """The groups of finished runs, in the order of `runs`, and the runs of each by seed."""
    told_apart = [
        (run.summary, settings) for run, settings in zip(runs, settings_of(runs), strict=True) if run.summary.finished
    ]
    by_key: dict[tuple[str, str], list[tuple[Summary, dict[str, Any]]]] = {}
    for summary, settings in told_apart:
        by_key.setdefault((_token(shared_of(summary)), _token(settings)), []).append((summary, settings))
    return [
        Group(shared_of(members[0][0]), members[0][1], sorted((it for it, _ in members), key=lambda it: it.seed))
        for members in by_key.values()
    ]


def shared_of(summary: Summary) -> dict[str, str | None]:
    """The `KEYS` of a run with their values."""
    return {name: getattr(summary, name) for name in KEYS}


def short_labels(groups: Sequence[Group]) -> list[str]:
    """The groups in as few words as tell them apart: `panda, learning_rate=0.01`."""
    differing = [key for key in KEYS if len({group.shared[key] for group in groups}) > 1]
    names = short_keys({key for group in groups for key in group.settings})
    labels = []
    for group in groups:
        words = [value for key in differing if (value := group.shared[key])]
        words += [f"{names[key]}={setting_text(value)}" for key, value in group.settings.items()]
        labels.append(", ".join(words) or group.shared["method"] or "–")
    return labels


def short_keys(keys: Iterable[str], taken: Iterable[str] = ()) -> dict[str, str]:
    """Dotted names -> their last parts, where these are unique among the names and not `taken`."""
    keys = sorted(keys)
    last = [*(key.rsplit(".", 1)[-1] for key in keys), *taken]
    return {key: short if last.count(short) == 1 else key for key, short in zip(keys, last, strict=False)}


def setting_text(value: Any) -> str:
    """A setting as one would write it on the command line."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else value if isinstance(value, str) else json.dumps(value)


def dotted(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as one mapping from dotted names to values; lists count as values."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            flat |= dotted(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def decisive(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that decide the results of a run, apart from its seed, by dotted names."""
    return dotted({key: value for key, value in settings.items() if key not in UNDECISIVE})


def told_difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """The first setting of two resolved configs that decides results and differs, in words; empty where none does."""
    old, new = decisive(before), decisive(now)
    differing = [key for key in {**new, **old} if old.get(key) != new.get(key)]
    if not differing:
        return ""
    key = differing[0]
    more = f" and {len(differing) - 1} more" if len(differing) > 1 else ""
    return f"{key} was {setting_text(old.get(key))} and is {setting_text(new.get(key))} now{more}"


def _with_split_as_seed(runs: Sequence[Measured]) -> list[dict[str, Any] | None]:
    """The decisive settings of each run; a split seed that follows the run's seed is no difference between seeds.

    It follows where no other run with the same settings has the same split under another seed.
    """
    leaves = [
        None
        if run.settings is None
        else {key: value for key, value in decisive(run.settings).items() if key not in _WORDS}
        for run in runs
    ]
    split = [None if own is None else own.pop(_SPLIT, None) for own in leaves]
    rest = [_token([shared_of(run.summary), own]) for run, own in zip(runs, leaves, strict=True)]
    seeds = [run.summary.seed for run in runs]
    fixed = {
        (key, value) for key, value, seed in zip(rest, split, seeds, strict=True) if value is not None and value != seed
    }
    for own, key, value in zip(leaves, rest, split, strict=True):
        if own is not None and value is not None:
            own[_SPLIT] = value if (key, value) in fixed else _AS_SEED
    return leaves


def _peers(key: str, summary: Summary) -> tuple[str | None, ...]:
    """What the runs share among which a setting is compared."""
    section = key.partition(".")[0]
    return summary.stream, getattr(summary, section) if section in KEYS else None


def _token(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)
