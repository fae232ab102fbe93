"""Builds registered things from config sections and rejects what they do not know."""

import dataclasses
import inspect
from collections.abc import Mapping
from typing import Any

from continual.errors import ConfigError
from continual.registry import Registry, suggestion
from streams.conversion import MismatchError, converted, hints_of, in_words
from streams.options import default_of


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
    _check_own_name(registry, name, target)
    parameters = parameters_of(target)
    hints = hints_of(target)
    known = [key for key in parameters if key not in given]
    for key in options:
        if key not in known and not _takes_any(target):
            raise ConfigError(
                f"The {registry.kind} {name!r} has no option {section}.{key}{suggestion(key, known)}; "
                f"its options are: {', '.join(known) or 'none'}."
            )
    missing = [key for key in known if parameters[key].default is inspect.Parameter.empty and key not in options]
    if missing:
        raise ConfigError(
            f"The {registry.kind} {name!r} needs {section}.{missing[0]}; add {section}.{missing[0]}=VALUE."
        )
    values = {key: coerced(value, hints.get(key, Any), f"{section}.{key}") for key, value in options.items()}
    return target(**values, **given)


def construct_named(registry: Registry, spec: Mapping[str, Any], section: str) -> Any:
    """Builds what a config section such as `{"name": "late", "length": 16}` describes; see `construct`."""
    options = {key: value for key, value in spec.items() if key != "name"}
    return construct(registry, spec.get("name", ""), options, section)


def parameters_of(target: Any) -> dict[str, inspect.Parameter]:
    """The parameters of a class or function that are given by name, one by one."""
    many = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {key: it for key, it in inspect.signature(target).parameters.items() if it.kind not in many}


def coerced(value: Any, wanted: Any, name: str) -> Any:
    """The value as its type has it, see `streams.conversion.converted`; settings in place of a dataclass make one.

    Args:
        value: A plain value, as YAML and JSON give it.
        wanted: The type, as an annotation gives it.
        name: The setting, for the message.

    Raises:
        ConfigError: It is of another type, or the settings are refused.
    """
    if dataclasses.is_dataclass(wanted) and not isinstance(value, wanted):
        return typed(wanted, value, name)
    try:
        return converted(value, wanted)
    except MismatchError:
        raise ConfigError(f"{name} is {value!r}, expected {in_words(wanted)}; correct it.") from None


def coerce_fields(config: Any, section: str = "") -> None:
    """Gives the fields of a dataclass, frozen or not, the types that they are declared with; call it first of all.

    Args:
        config: The dataclass.
        section: The config section that it is, for the message; none for settings at the top.

    Raises:
        ConfigError: A value is of another type.
    """
    hints = hints_of(type(config))
    for field in dataclasses.fields(config):
        name = f"{section}.{field.name}" if section else field.name
        object.__setattr__(config, field.name, coerced(getattr(config, field.name), hints.get(field.name, Any), name))


def typed(kind: type, section: Mapping[str, Any] | None, name: str) -> Any:
    """A dataclass from a config section; refuses unknown keys and values of the wrong type.

    Args:
        kind: The dataclass; its fields are the keys.
        section: Plain values; None takes all defaults.
        name: The section's name, for the message.

    Raises:
        ConfigError: A key is unknown or missing, or a value is of the wrong type or out of range.
    """
    if section is None:
        section = {}
    fields = {field.name: field for field in dataclasses.fields(kind) if field.init}
    if not isinstance(section, Mapping):
        raise ConfigError(f"{name} is {section!r}, expected settings such as {name}.{next(iter(fields))}=VALUE.")
    hints = hints_of(kind)
    values = {}
    for key, value in section.items():
        if key not in fields:
            raise ConfigError(
                f"There is no setting '{name}.{key}'{suggestion(key, fields)}; known: {', '.join(fields)}."
            )
        values[key] = coerced(value, hints[key], f"{name}.{key}")
    missing = [key for key, field in fields.items() if key not in values and default_of(field) is ...]
    if missing:
        raise ConfigError(f"{name} needs {name}.{missing[0]}; add {name}.{missing[0]}=VALUE.")
    return kind(**values)


def _takes_any(target: Any) -> bool:
    kinds = {it.kind for it in inspect.signature(target).parameters.values()}
    return inspect.Parameter.VAR_KEYWORD in kinds


def _check_own_name(registry: Registry, name: str, target: Any) -> None:
    """What is learned is stored under the name that a class gives itself, so it has to be found by that again.

    Raises:
        ConfigError: It has another one, or none.
    """
    own = getattr(target, "name", name) if isinstance(target, type) else name
    if isinstance(own, str) and own != name:
        raise ConfigError(
            f"The {registry.kind} {name!r} is registered as {registry.entry(name).target}, whose own name is {own!r}; "
            f"set name = {name!r} in it."
        )
