"""A first look at the reference of a sweep, before hours are spent on cells that it should be compared with."""

from collections.abc import Iterable, Mapping
from typing import Any

from continual.errors import ConfigError
from continual.evaluation.groups import KEYS, decisive
from continual.evaluation.paired import key_saying, words_of
from continual.registry import suggestion

_JOINT = " · "


def check_reference(reference: str, cells: Iterable[Mapping[str, Any]]) -> None:
    """Makes sure that each word of the reference can be meant of some cell.

    Which groups there are is known only when cells have run: a backbone, for instance, is named after what its folder
    holds. So this refuses what no cell can be called, and leaves the choice itself to `paired.pairs_with`.

    Args:
        reference: As `--reference` takes it.
        cells: The resolved settings of each cell.

    Raises:
        ConfigError: A word fits no cell.
    """
    if _JOINT in reference:
        return
    facts = [_facts(settings) for settings in cells]
    for word in words_of(reference) or [reference]:
        if not any(_fits(word, own) for own in facts):
            known = dict.fromkeys(own["method"] for own in facts)
            raise ConfigError(
                f"There is no cell {word!r} to compare with{suggestion(word, known)}; give --reference one of "
                f"{', '.join(known)}, or key=value."
            )


def _facts(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What a cell may be known by: its parts by name, and each of its settings."""
    return {key: _name(settings.get(key)) for key in KEYS} | decisive(settings)


def _name(section: Any) -> str:
    return str(section.get("name", "")) if isinstance(section, Mapping) else str(section or "")


def _fits(word: str, facts: Mapping[str, Any]) -> bool:
    if "=" in word:
        return key_saying(word, facts) is not None
    # Streams and backbones may be called by the last part of a path or of a name on the hub.
    return bool(word) and any(word in (own, str(own).rstrip("/").rsplit("/", 1)[-1]) for own in facts.values())
