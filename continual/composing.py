"""Plain settings out of YAML files: groups of files, `key=value` over them, and what a user's own file says."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from continual.errors import ConfigError, UserError
from continual.registry import no_such, suggestion

GROUPS = ("stream", "backbone", "tuning", "method")


def configs_folder() -> Path:
    """The folder of the YAML files: inside the installed package, or at the top of a source tree."""
    packaged = Path(__file__).parent / "configs"
    return packaged if packaged.is_dir() else Path(__file__).parent.parent / "configs"


def names_in(group: str) -> list[str]:
    """The names of the YAML files of a group such as `stream`, sorted."""
    return sorted(path.stem for path in (configs_folder() / group).glob("*.yaml"))


def settings_in(path: Path, instead: str) -> dict[str, Any]:
    """The plain settings that stand in a YAML file, references such as `${data:PATH}` as they are.

    Args:
        path: The file.
        instead: What else could be given, for the message.

    Raises:
        ConfigError: It is not there, cannot be read or holds no settings.
    """
    import yaml
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        # OmegaConf's own loader, since plain YAML takes 1e-3 for a text.
        given = OmegaConf.to_container(OmegaConf.create(path.read_text(encoding="utf-8")), resolve=False)
    except FileNotFoundError:
        raise ConfigError(f"There is no file {path}; give the path of a YAML file or {instead}.") from None
    except (OSError, ValueError, yaml.YAMLError, OmegaConfBaseException) as error:
        reason = str(error).replace("\n", " ")
        raise ConfigError(f"{path} is not a readable YAML file ({reason}); correct it.") from error
    if not isinstance(given, dict):
        raise ConfigError(f"{path} holds no settings, expected `section: {{key: value}}`; correct it.")
    return given


def not_chosen(given: Mapping[str, Any], chosen: Sequence[str]) -> dict[str, Any]:
    """A file's settings without the sections that are replaced by `chosen`, groups chosen on the command line."""
    return {key: value for key, value in given.items() if not any(item.startswith(f"{key}=") for item in chosen)}


Finish = Callable[[Any], dict[str, Any]]
"""Makes plain values of composed settings."""


def looked_up(settings: Any) -> dict[str, Any]:
    """Plain settings, all references looked up."""
    from omegaconf import OmegaConf

    return OmegaConf.to_container(settings, resolve=True)


def as_written(settings: Any) -> dict[str, Any]:
    """Plain settings, references as they are written."""
    from omegaconf import OmegaConf

    return OmegaConf.to_container(settings, resolve=False)


def laid_over(
    base: Mapping[str, Any],
    given: Mapping[str, Any],
    own: Sequence[str],
    overrides: Sequence[str],
    finish: Finish = looked_up,
) -> dict[str, Any]:
    """The plain settings that a file's settings make with defaults and overrides.

    Args:
        base: The defaults.
        given: The file's settings.
        own: Sections of the file that have no defaults.
        overrides: `key=value`.
        finish: What becomes of references such as `${data:PATH}`, which are looked up by default.

    Raises:
        ConfigError: A key is unknown, or a value is of the wrong type.
    """
    import yaml
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        merged = OmegaConf.merge({**base, **{key: {} for key in own}}, given)
        plain = _with_options(OmegaConf.to_container(merged))
        merged.merge_with_dotlist([_checked(item, plain).lstrip("+") for item in overrides])
        return finish(merged)
    except (OmegaConfBaseException, yaml.YAMLError) as error:
        raise _refusal(error) from error


def compose_in(
    folder: Path, name: str, overrides: Sequence[str], groups: Sequence[str], finish: Finish = looked_up
) -> dict[str, Any]:
    """The plain settings that the file `name` of a folder of YAML files makes with overrides.

    Args:
        folder: Where the files are; each group is a folder in it.
        name: The file to begin with, without its ending.
        overrides: `group=file` and `key=value`.
        groups: The groups of which another file can be chosen.
        finish: What becomes of references such as `${data:PATH}`, which are looked up by default.

    Raises:
        ConfigError: A file, key or value is unknown.
    """
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    OmegaConf.register_new_resolver("data", _data_path, replace=True)
    try:
        with initialize_config_dir(str(folder), version_base="1.3"):
            # Values are checked against the config that the chosen groups make, so groups come first.
            chosen = [item for item in overrides if is_group(item, folder, groups)]
            _offer(chosen, folder)
            plain = OmegaConf.to_container(hydra_compose(name, overrides=chosen))
            values = [_checked(_adding(item, plain), plain) for item in overrides if item not in chosen]
            texts = [item for item in values if _looks_like_a_group(item, folder)]
            composed = hydra_compose(name, overrides=[*chosen, *(item for item in values if item not in texts)])
            OmegaConf.set_struct(composed, False)
            composed.merge_with_dotlist(texts)
        return finish(composed)
    except UserError:
        raise
    except (HydraException, OmegaConfBaseException) as error:
        raise _refusal(error) from error
    finally:
        GlobalHydra.instance().clear()


def is_group(override: str, folder: Path | None = None, groups: Sequence[str] = GROUPS) -> bool:
    """Whether an override chooses a file of a group, or a name that is registered without one; refuses all others."""
    from continual.registered import unfiled

    key, equals, value = override.partition("=")
    if key == "+experiment":
        return True
    if key not in groups or not equals:
        return False
    known = sorted(path.stem for path in ((folder or configs_folder()) / key).glob("*.yaml"))
    if value not in known and value not in unfiled(key):
        own = [name for name in unfiled(key) if name not in known]
        raise ConfigError(no_such(key, value, [*known, *own], own=key in GROUPS))
    return True


def refuse_renaming(overrides: Sequence[str]) -> None:
    """Refuses overrides that would give the options of one thing the name of another.

    Raises:
        ConfigError: There is one, such as `method.name=spot`.
    """
    for item in overrides:
        key, equals, value = item.lstrip("+").partition("=")
        group, _, option = key.partition(".")
        if equals and group in GROUPS and option == ("kind" if group == "stream" else "name"):
            raise ConfigError(
                f"{item} would keep the options of another {group}; choose it with its own by {group}={value}."
            )


def with_absolute_path(section: Any, folder: Path | None = None) -> Any:
    """A section of plain settings whose `path` does not depend on the folder that a command is given in.

    Args:
        section: The section.
        folder: What a relative path starts from; the current folder if None. A path that leads nowhere stays as it is.
    """
    if isinstance(section, Mapping) and isinstance(section.get("parts"), Mapping):  # a stream of streams
        parts = {key: with_absolute_path(part, folder) for key, part in section["parts"].items()}
        section = {**section, "parts": parts}
    path = section.get("path") if isinstance(section, Mapping) else None
    if not isinstance(path, str):
        return section
    place = (folder or Path()) / path
    return {**section, "path": str(place.absolute())} if place.exists() else section


def _adding(override: str, plain: Mapping[str, Any]) -> str:
    """An override, as Hydra wants it where the file of its group leaves its key out: with a plus."""
    section, _, key = override.partition("=")[0].partition(".")
    if section not in GROUPS or not isinstance(plain.get(section), Mapping) or key in plain[section]:
        return override
    return f"+{override}" if key in _with_options(plain)[section] else override


def _with_options(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Settings in which each group has all keys that it may have, those that a file leaves out too."""
    from continual.registered import options_of

    groups = {key: plain[key] for key in GROUPS if isinstance(plain.get(key), Mapping)}
    return {**plain, **{key: {**dict.fromkeys(options_of(key, it)), **it} for key, it in groups.items()}}


def _offer(chosen: Sequence[str], folder: Path) -> None:
    """Lets Hydra find the names of groups that are registered and have no file."""
    from hydra.core.config_store import ConfigStore

    from continual.registered import default_settings

    for item in chosen:
        group, _, name = item.partition("=")
        if group in GROUPS and not (folder / group / f"{name}.yaml").is_file():
            ConfigStore.instance().store(group=group, name=name, node=default_settings(group, name))


def _looks_like_a_group(override: str, folder: Path) -> bool:
    """Whether Hydra would look for a file, because the key of a setting is also the name of a folder of files."""
    key, _, value = override.partition("=")
    return not value.startswith("{") and "." not in key and (folder / key).is_dir()


def _checked(override: str, plain: Mapping[str, Any]) -> str:
    """An override `key=value` whose key exists in the config."""
    key, equals, _ = override.partition("=")
    if not equals:
        raise ConfigError(f"The setting {override!r} has no value; write it as {override}=VALUE.")
    known = list(_leaves(plain))
    bare = key.lstrip("+")
    inside = any(bare.startswith(f"{leaf}.") or leaf.startswith(f"{bare}.") for leaf in known)
    if bare not in known and not inside and not (key.startswith("+") and "." in key):
        last = [leaf for leaf in known if leaf.split(".")[-1] == bare.split(".")[-1]]
        hint = suggestion(bare, known) or (f" (did you mean {last[0]!r}?)" if last else "")
        section = bare.split(".")[0]
        near = [leaf for leaf in known if leaf.split(".")[0] == section] or sorted(
            {leaf.split(".")[0] for leaf in known}
        )
        raise ConfigError(f"There is no setting {bare!r}{hint}; known: {', '.join(near)}.")
    return override


def _leaves(value: Any, start: str = "") -> Any:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _leaves(item, f"{start}.{key}" if start else str(key))
    else:
        yield start


def _data_path(relative: str) -> str:
    """`${data:PATH}` in a config: a file below the folder that the environment variable CONTINUAL_DATA names."""
    root = os.environ.get("CONTINUAL_DATA")
    if not root:
        raise ConfigError(
            f"These settings read {relative} from the folder named by the environment variable CONTINUAL_DATA, which "
            "is not set; run: export CONTINUAL_DATA=FOLDER, or give the path itself (stream.path=, pool.folder=)."
        )
    return str(Path(root).expanduser().absolute() / relative)


def _refusal(error: Exception) -> UserError:
    """What a library's error says in one sentence; our own, where that lies below."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, UserError):
        cause = cause.__cause__ or cause.__context__
    if isinstance(cause, UserError):
        return cause
    line = str(error).strip().splitlines()[0].rstrip(".")
    return ConfigError(f"The configuration is not valid: {line}; correct it and run the command again.")
