"""Options that have to be at least, or above, some number, and those that were set otherwise than by default."""

import dataclasses
from collections.abc import Iterator
from typing import Any, TypeVar

from continual.errors import ConfigError

Number = TypeVar("Number", int, float)


def at_least(limit: float, value: Number, setting: str) -> Number:
    """The option, refused if it is below a limit.

    Args:
        limit: The smallest number that is allowed.
        value: What was given.
        setting: Its name as the user writes it, such as `tuning.rank`.

    Raises:
        ConfigError: It is less, or no number.
    """
    if not value >= limit:
        raise ConfigError(f"{setting} is {value}, expected {limit} or more.")
    return value


def above(limit: float, value: Number, setting: str) -> Number:
    """The option, refused if it is not above a limit; arguments as for `at_least`."""
    if not value > limit:
        raise ConfigError(f"{setting} is {value}, expected a number above {limit}.")
    return value


def set_otherwise(config: Any, names: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """Those of some fields of a dataclass that do not hold their default, with the default."""
    for field in dataclasses.fields(config):
        if field.name in names and getattr(config, field.name) != field.default:
            yield field.name, field.default
