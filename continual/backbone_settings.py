"""How a backbone is named where settings are given: by its name, its options, or the folder of a model."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from continual.backbone import BACKBONES
from continual.backbone.kept import as_kept
from continual.errors import ConfigError
from continual.files import read_json


def backbone_settings(words: Sequence[str]) -> dict[str, Any]:
    """The settings of a backbone that are given word by word: a name, the folder of a model, or key=value.

    Example:
        >>> backbone_settings(["minilm", "max_length=64"])
        {'name': 'minilm', 'max_length': 64}

    Raises:
        ConfigError: A value is no YAML.
    """
    found: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        folder = Path(word).expanduser()
        if (folder / "config.json").is_file():
            found |= {"name": _kind_of_model(folder), "path": str(folder.absolute())}
        else:
            found |= {key: _plain(value, key)} if equals else {"name": word}
    return as_kept(found, found)


def backbone_named(word: str) -> dict[str, Any]:
    """The settings of a backbone that one word names: a name of `continual ls backbones`, or the folder of a model.

    Raises:
        ConfigError: It is written as a path and leads to no model.
    """
    folder = Path(word).expanduser()
    saved = (folder / "config.json").is_file() and word not in BACKBONES
    if not saved and "/" in word:
        raise _no_model(word)
    if not saved:
        return {"name": word}
    found = {"name": _kind_of_model(folder), "path": str(folder.absolute())}
    return as_kept(found, found)


def with_backbone_folders(overrides: Sequence[str]) -> list[str]:
    """The overrides with `backbone=FOLDER`, a folder of a model, as the backbone of its kind and its path.

    Raises:
        ConfigError: What is written as a path leads to no model.
    """
    result = []
    for item in overrides:
        key, _, value = item.partition("=")
        folder = Path(value).expanduser()
        if key == "backbone" and (folder / "config.json").is_file():
            result += [f"backbone={_kind_of_model(folder)}", f"backbone.path='{folder.absolute()}'"]
        elif key == "backbone" and "/" in value and not value.startswith("{"):
            raise _no_model(value)
        else:
            result.append(item)
    return result


def with_kept_backbone(resolved: dict[str, Any], given: Collection[str]) -> dict[str, Any]:
    """Settings in which a saved model is opened as its folder says, but for the options that were given."""
    return {**resolved, "backbone": as_kept(resolved["backbone"], given)}


def backbone_options(overrides: Sequence[str]) -> set[str]:
    """The options of the backbone that overrides such as `backbone.pooling=cls` name."""
    keys = [item.partition("=")[0].lstrip("+") for item in overrides]
    return {key.removeprefix("backbone.") for key in keys if key.startswith("backbone.")}


def _no_model(path: str) -> ConfigError:
    found = "a folder without config.json" if Path(path).expanduser().is_dir() else "nothing"
    return ConfigError(
        f"backbone={path} has to be the folder of a saved model, but {found} is there; correct the path, or write "
        f"`backbone=hub backbone.path={path}` for a model of the Hugging Face hub."
    )


def _plain(text: str, key: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(
            f"{key} is {text!r}, expected a plain value ({str(error).splitlines()[0]}); correct it."
        ) from None


def _kind_of_model(folder: Path) -> str:
    """The backbone that reads a model; what is wrong with its config.json is told when it is loaded."""
    try:
        config = read_json(folder / "config.json")
        architectures = [str(name) for name in config.get("architectures") or []]
    except (OSError, ValueError, AttributeError):
        return "hub"
    if config.get("is_encoder_decoder"):
        return "seq2seq"
    return "causal" if any(name.endswith(("ForCausalLM", "LMHeadModel")) for name in architectures) else "hub"
