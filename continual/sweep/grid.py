"""The grid of a sweep: settings with several values each, and every combination of them."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from continual.errors import ConfigError

_LONGEST_NAME = 120
_BOOLEANS = {"True": "true", "False": "false"}  # Hydra writes them as Python does
_UNFIT = re.compile(r"[^\w=.,+\-\[\]]+")


@dataclass(frozen=True)
class Axis:
    """One setting with the values that it takes, each as it would be written on the command line."""

    key: str
    values: tuple[str, ...]


def parse_axes(overrides: Iterable[str]) -> list[Axis]:
    """Reads `key=a,b,c` as one setting with three values; a list in brackets is one value.

    Hydra's whole syntax of sweeps is understood: quotes, `range(0,5)`, `choice(a,b)`.

    Raises:
        ConfigError: One of them cannot be read, has no value, or a setting is given twice.
    """
    axes = [_axis(override) for override in overrides]
    keys = [axis.key for axis in axes]
    for key in keys:
        if keys.count(key) > 1:
            raise ConfigError(f"The setting {key!r} is given more than once; write all its values as {key}=A,B.")
    return axes


def combinations(axes: Sequence[Axis]) -> Iterator[dict[str, str]]:
    """Every cell of the grid as a mapping from key to value; the last axis changes fastest."""
    for values in product(*(axis.values for axis in axes)):
        yield dict(zip((axis.key for axis in axes), values, strict=True))


def cells_of(
    axes: Sequence[Axis], own: Mapping[str, Sequence[Axis]], method: str
) -> Iterator[tuple[str, dict[str, str]]]:
    """Every cell of the grid with its method; what a method has of its own comes before what all have.

    Args:
        axes: What all cells have.
        own: What only the cells of a method have, by its name.
        method: The method of cells whose settings name none.
    """
    for common in combinations(axes):
        name = common.get("method", method)
        for special in combinations(own.get(name, ())):
            yield name, {**common, **special}


def cell_name(settings: Mapping[str, str], shown: Iterable[str]) -> str:
    """A readable name for the folder of a cell: `method=panda,seed=0`.

    Args:
        settings: What the cell sets.
        shown: The keys that tell the cells of the sweep apart; all keys if none of them is set.
    """
    keys = [key for key in settings if key in set(shown)] or list(settings)
    full = ",".join(f"{key}={settings[key]}" for key in keys) or "defaults"
    name = _UNFIT.sub("_", full)
    if name == full and len(name.encode()) <= _LONGEST_NAME:
        return name
    # What was replaced or cut off may be all in which two cells differ.
    digest = hashlib.sha256(full.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{name.encode()[:_LONGEST_NAME].decode(errors='ignore')}-{digest}"


def _axis(override: str) -> Axis:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    key, equals, _ = override.partition("=")
    if not equals:
        raise ConfigError(f"The setting {override!r} has no value; write it as {override}=VALUE or {override}=A,B.")
    try:
        parsed = OverridesParser.create().parse_override(override)
        if not parsed.is_sweep_override():
            return Axis(key, (override[len(key) + 1 :],))
        values = [_BOOLEANS.get(value, value) for value in map(str, parsed.sweep_string_iterator())]
    except (HydraException, ValueError, TypeError, AssertionError) as error:
        # What the parser expects is a list of its own symbols, which tells a user nothing.
        reason = (str(error).splitlines() or [type(error).__name__])[0].partition(" expecting {")[0].rstrip(".")
        raise ConfigError(
            f"{override!r} cannot be read as a setting with one or more values ({reason}); "
            f"write {key}=A,B, lists as [A,B], and quote a value that holds a comma."
        ) from error
    if not values:
        raise ConfigError(f"{override!r} holds no value at all; write {key}=A,B, or a range that rises.")
    return Axis(key, tuple(dict.fromkeys(values)))
