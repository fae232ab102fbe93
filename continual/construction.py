"""Builds registered things from config sections and rejects what they do not know."""

import inspect
import types
import typing
from collections.abc import Mapping
from typing import Any, get_type_hints

from continual.errors import ConfigError
from continual.registry import Registry, suggestion

_EXPECTED = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", type(None): "null"}


def construct(registry: Registry, name: str, options: Mapping[str, Any], section: str, **given: Any) -> Any:
    """Calls the target registered as `name` with `options`, checking their names first.

    Args:
        registry: Where to look.
        name: Which entry.
        options: Keyword arguments from a config.
        section: The config section they came from, for the message.
        **given: Further keyword arguments that are not the user's.

    Raises:
        ConfigError: The name or an option is unknown, a value is refused, or one that has no default is missing.
    """
    target = registry.load(name)
    parameters = inspect.signature(target).parameters
    known = [key for key in parameters if key not in given and key != "self"]
    for key in options:
        if key not in known:
            raise ConfigError(
                f"The {registry.kind} {name!r} has no option {section}.{key}{suggestion(key, known)}; "
                f"its options are: {', '.join(known) or 'none'}."
            )
    missing = [key for key in known if parameters[key].default is inspect.Parameter.empty and key not in options]
    if missing:
        raise ConfigError(
            f"The {registry.kind} {name!r} needs {section}.{missing[0]}; add {section}.{missing[0]}=VALUE."
        )
    values = {key: coerced(value, parameters[key].annotation, f"{section}.{key}") for key, value in options.items()}
    return target(**values, **given)


def construct_named(registry: Registry, spec: Mapping[str, Any], section: str) -> Any:
    """Builds what a config section such as `{"name": "late", "length": 16}` describes; see `construct`."""
    options = {key: value for key, value in spec.items() if key != "name"}
    return construct(registry, spec.get("name", ""), options, section)


def coerced(value: Any, wanted: Any, name: str) -> Any:
    """`value` if it is of the type `wanted`; an integer is good for a float.

    Args:
        value: A plain value, as YAML and JSON give it.
        wanted: `int`, `float`, `bool`, `str` or a union of them, with or without None. What is annotated otherwise is
            left to the target.
        name: The setting, for the message.

    Raises:
        ConfigError: It is of another type.
    """
    union = typing.get_origin(wanted) in (types.UnionType, typing.Union)
    allowed = typing.get_args(wanted) if union else (wanted,)
    if not set(allowed) <= _EXPECTED.keys() or type(value) in allowed:
        return value
    if float in allowed and type(value) is int:
        return float(value)
    expected = " or ".join(_EXPECTED[kind] for kind in allowed)
    raise ConfigError(f"{name} is {value!r}, expected {expected}; correct it.")


def typed(kind: type, section: Mapping[str, Any] | None, name: str) -> Any:
    """A dataclass from a config section; refuses unknown keys and values of the wrong type.

    Args:
        kind: The dataclass; its fields are the keys.
        section: Plain values; None takes all defaults.
        name: The section's name, for the message.

    Raises:
        ConfigError: A key is unknown, or a value is of the wrong type or out of range.
    """
    if section is None:
        section = {}
    hints = get_type_hints(kind)
    if not isinstance(section, Mapping):
        raise ConfigError(f"{name} is {section!r}, expected settings such as {name}.{next(iter(hints))}=VALUE.")
    values = {}
    for key, value in section.items():
        if key not in hints:
            raise ConfigError(f"There is no setting '{name}.{key}'{suggestion(key, hints)}; known: {', '.join(hints)}.")
        values[key] = coerced(value, hints[key], f"{name}.{key}")
    return kind(**values)
