"""Settings that follow the seed: stored as `${seed}`, so that with another seed they are those of that seed."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

FOLLOWS = "${seed}"
"""What stands in a configuration where a setting is whatever the seed is."""


def following(settings: Mapping[str, Any]) -> list[str]:
    """The dotted names of the settings that follow the seed."""
    return list(_following(settings, ""))


def _following(settings: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _following(value, f"{prefix}{key}.")
        elif value == FOLLOWS:
            yield f"{prefix}{key}"


def with_values(settings: Mapping[str, Any], names: list[str], value: Any) -> dict[str, Any]:
    """A copy of nested settings in which those with the dotted names have the value; names it lacks are left out."""
    return _with_values(settings, set(names), value, "")


def _with_values(settings: Mapping[str, Any], names: set[str], value: Any, prefix: str) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, item in settings.items():
        if isinstance(item, Mapping):
            result[key] = _with_values(item, names, value, f"{prefix}{key}.")
        else:
            result[key] = value if f"{prefix}{key}" in names else item
    return result


def read_stored(path: Path) -> Any:
    """What a stored `config.yaml` says, with the seed in place of all that follows it.

    Raises:
        OSError, ValueError, yaml.YAMLError: It cannot be read.
    """
    import yaml

    settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(settings, Mapping):
        return settings
    return with_values(settings, following(settings), settings.get("seed", 0))
