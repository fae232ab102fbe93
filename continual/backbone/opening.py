"""Opens backbones by plain settings, and remembers these: a pool keeps them, so that it can be used without its run."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from continual.backbone import BACKBONES
from continual.backbone_settings import backbone_named
from continual.construction import construct_named
from continual.errors import BackboneError, ConfigError

if TYPE_CHECKING:
    from continual.backbone.encoder import Encoder


def open_backbone(given: Mapping[str, Any] | str | Path) -> "Encoder":
    """Opens a backbone, which keeps as `Encoder.opening` how it opens anywhere.

    Args:
        given: A name of `continual ls backbones`, the folder of a saved model, or `{"name": ..., options}`.

    Raises:
        ConfigError: The name or an option is unknown, or a value is of the wrong type.
        BackboneError: There is no such model, or it cannot be used.
    """
    if not isinstance(given, Mapping | str | Path):
        raise ConfigError(
            f"The backbone is {given!r}, expected an encoder, a name, the folder of a model, or settings such as "
            "{'name': 'hub', 'path': FOLDER}."
        )
    settings = given if isinstance(given, Mapping) else backbone_named(str(given))
    encoder = construct_named(BACKBONES, settings, "backbone")
    if encoder.opening is None:
        encoder.opening = _anywhere(settings)
    return encoder


def changed(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with changes; a backbone of another name takes over none of the old one's options."""
    same = changes.get("name", settings.get("name")) == settings.get("name")
    return {**settings, **changes} if same else dict(changes)


def check_place(settings: Mapping[str, Any], owner: Path) -> None:
    """Refuses a backbone whose folder is gone.

    Args:
        settings: How it is opened.
        owner: Whose backbone it is, for the message.

    Raises:
        BackboneError: The folder is not there.
    """
    path = settings.get("path")
    if isinstance(path, str) and Path(path).is_absolute() and not Path(path).exists():
        raise BackboneError(
            f"The backbone of {owner} was in {path}, where nothing is; put it back, or tell where it is now "
            "(on the command line by --backbone FOLDER)."
        )


def _anywhere(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings so that they mean the same in every working folder."""
    from continual.composing import with_absolute_path

    return dict(with_absolute_path(settings))
