"""Modules of the user's own that register parts: imported before names are looked up, and stored with the run.

A run's config.yaml names them, so whatever opens the run imports them again: to resume it, to predict, in the cells of
a sweep. A pool names none: it is what people exchange, and opening it must run no code that came with it.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from continual.errors import ConfigError
from continual.registry import import_module

KEY = "plugins"
_FILE = ".py"


def without_plugins(overrides: Sequence[str]) -> tuple[list[str], list[str] | None]:
    """The overrides but for `plugins=...`, and what the last of these says; None where there is none.

    Raises:
        ConfigError: It is no list.
    """
    import yaml

    mine = [item for item in overrides if item.lstrip("+").startswith(f"{KEY}=")]
    if not mine:
        return list(overrides), None
    text = mine[-1].partition("=")[2]
    try:
        given = yaml.safe_load(text)
    except yaml.YAMLError:
        given = text
    return [item for item in overrides if item not in mine], _names(given)


def load_plugins(given: Any, folder: Path | None = None) -> list[str]:
    """Imports the modules that the setting `plugins` names.

    Args:
        given: Names of modules and paths of Python files, which end in `.py`; one alone, or None for none, will do.
        folder: What a relative path starts from; the current folder if None, and where there is nothing.

    Returns:
        What is stored with a run: paths are absolute, so that it can be continued from any folder.

    Raises:
        ConfigError: One of them is not there or cannot be imported.
    """
    return [_loaded(name, folder or Path()) for name in _names(given)]


def with_loaded(resolved: Mapping[str, Any]) -> dict[str, Any]:
    """Plain settings whose plugins are imported; those without any have no such key, as before there were plugins.

    Raises:
        ConfigError: One of them is not there or cannot be imported.
    """
    plugins = load_plugins(resolved.get(KEY))
    return {key: it for key, it in resolved.items() if key != KEY} | ({KEY: plugins} if plugins else {})


def _names(given: Any) -> list[str]:
    names = [given] if isinstance(given, str) else given or []
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) and name for name in names):
        raise ConfigError(
            f"plugins is {given!r}, expected modules such as [my_package.methods] or files such as [mine.py]; correct "
            "it."
        )
    return list(names)


def _loaded(name: str, folder: Path) -> str:
    if name.endswith(_FILE):
        path = Path(name).expanduser()
        return _loaded_file(folder / path if (folder / path).is_file() else path)
    hint = f" (there is a file {name}{_FILE} here: name that)" if Path(f"{name}{_FILE}").is_file() else ""
    module = import_module(name, f"The setting plugins names {name!r}{hint}")
    file = Path(getattr(module, "__file__", None) or "/")
    # Python finds what lies in these folders now, and not when the run is opened from another one.
    passing = file.parent in (Path.cwd(), Path(sys.path[0]).absolute())
    return str(file) if passing and file.name == f"{name}{_FILE}" else name


def _loaded_file(path: Path) -> str:
    path = path.resolve()
    if not path.is_file():
        raise ConfigError(
            f"The setting plugins names the file {path}, where nothing is; put it back, or correct the path (of a run: "
            "in its config.yaml)."
        )
    # At the end, so that no other file of its folder stands in for a library.
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    module = import_module(path.stem, f"The setting plugins names {path}")
    found = getattr(module, "__file__", None)
    if found is None or Path(found).resolve() != path:
        raise ConfigError(
            f"The setting plugins names {path}, but Python takes {path.stem!r} for {found or 'a module of its own'}; "
            "give the file another name."
        )
    return str(path)
