"""Builds registered things from config sections and rejects what they do not know."""

import inspect
from collections.abc import Mapping
from typing import Any

from continual.errors import ConfigError
from continual.registry import Registry, suggestion


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
        raise ConfigError(f"The {registry.kind} {name!r} needs {section}.{missing[0]}; add {section}.{missing[0]}=VALUE.")
    return target(**options, **given)
