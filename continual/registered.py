"""Names that are registered and have no YAML file, such as those of plugins: what settings they stand for."""

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from continual.composing import names_in
from continual.construction import parameters_of
from continual.registry import Registry


def unfiled(group: str) -> list[str]:
    """The names that a group such as `method` has beside those of its YAML files."""
    files = names_in(group)
    return [name for registry in _registries(group) for name in registry if name not in files]


def default_settings(group: str, name: str) -> dict[str, Any]:
    """The section that `GROUP=NAME` makes: of a stream its kind, else the name and the defaults of the constructor."""
    if group == "stream":
        return {"kind": name}
    plain = {key: _plain(it.default) for key, it in _parameters(group, name).items()}
    return {"name": name} | {key: value for key, value in plain.items() if value is not inspect.Parameter.empty}


def options_of(group: str, section: Mapping[str, Any]) -> list[str]:
    """The options that a section may have although it names none of them: a file or a default may leave them out."""
    from streams.catalog import KINDS, describe_stream

    if group == "stream":
        return [item.name for item in describe_stream(section["kind"])] if section.get("kind") in KINDS else []
    name = section.get("name")
    return list(_parameters(group, name)) if name in unfiled(group) else []


def _registries(group: str) -> Iterator[Registry]:
    from continual.backbone import BACKBONES
    from continual.baselines import BASELINES
    from continual.methods import METHODS
    from continual.tuning import TUNINGS
    from streams.catalog import KINDS

    known = {"stream": [KINDS], "backbone": [BACKBONES], "tuning": [TUNINGS], "method": [METHODS, BASELINES]}
    return iter(known.get(group, []))


def _parameters(group: str, name: str) -> dict[str, inspect.Parameter]:
    registry = next(it for it in _registries(group) if name in it)
    return parameters_of(registry.load(name))


def _plain(value: Any) -> Any:
    """A default as YAML can hold it; `empty` where that cannot be."""
    if isinstance(value, tuple):
        value = list(value)
    plain = str | int | float | bool | list | dict | None
    return value if isinstance(value, plain) else inspect.Parameter.empty
