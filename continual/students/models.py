"""The models that students and teachers are: named in settings, loaded, identified by their files."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from continual.backbone import BACKBONES
from continual.backbone.kept import as_kept, digest_of
from continual.backbone.pretrained import found
from continual.construction import construct_named
from continual.errors import ConfigError

if TYPE_CHECKING:
    from continual.backbone.encoder import Encoder
    from continual.backbone.text_to_text import TextToText

_PATHS = ("path", "student", "teachers", "backbone", "texts", "model")
"""Settings whose texts may be paths."""


@dataclass(frozen=True)
class ModelSpec:
    """A model as settings name it.

    Attributes:
        options: `{"name": ..., options}` as for `backbone`; see `continual ls backbones`.
    """

    options: Mapping[str, Any]

    @classmethod
    def parse(cls, value: Any, setting: str, default: str) -> "ModelSpec":
        """From a setting.

        Args:
            value: A folder or a name on the hub, or a mapping as for `backbone`.
            setting: Its name, for messages.
            default: The backbone that opens what is named by a folder alone, such as `seq2seq`.

        Raises:
            BackboneError: The folder's record of how it is opened is damaged.
            ConfigError: It is neither.
        """
        if isinstance(value, str) and value:
            value = {"path": value}
        if not isinstance(value, Mapping) or not isinstance(value.get("name", default), str):
            raise ConfigError(
                f"{setting} is {value!r}, expected the model's folder or name on the hub, or settings such as "
                f"{{name: {default}, path: FOLDER}}."
            )
        return cls(as_kept({"name": default, **value}, value))

    @property
    def label(self) -> str:
        """How it is called in tables: the folder's name, or that of the backbone."""
        path = self.options.get("path")
        return Path(path).name if isinstance(path, str) and path else self.options["name"]

    def load(self, setting: str) -> "Encoder":
        """The model, frozen.

        Args:
            setting: The setting that names it, for messages.

        Raises:
            UserError: There is no such model, or an option is refused.
        """
        return construct_named(BACKBONES, self.options, setting)

    def require(self) -> None:
        """Refuses a folder that is not there, before anything is computed for its model.

        Raises:
            BackboneError: It is not there.
        """
        if isinstance(self.options.get("path"), str):
            found(self.options["path"], self.options["name"])

    def identity(self) -> dict[str, Any]:
        """The options; a digest of the files in the place of a local folder's path."""
        path = self.options.get("path")
        if not isinstance(path, str) or not Path(path).is_dir():
            return dict(self.options)
        return {**self.options, "path": digest_of(Path(path))}


def parse_list(value: Any, setting: str, default: str) -> tuple[ModelSpec, ...]:
    """At least one model from a list in the settings; arguments as for `ModelSpec.parse`."""
    if not isinstance(value, list | tuple) or not value:
        raise ConfigError(f"{setting} is {value!r}, expected a list of models; set {setting}=[FOLDER, ...].")
    return tuple(ModelSpec.parse(item, f"{setting}[{place}]", default) for place, item in enumerate(value))


def text_to_text(spec: ModelSpec, setting: str) -> "TextToText":
    """A model that writes texts.

    Raises:
        ConfigError: It is an encoder.
    """
    from continual.backbone.text_to_text import TextToText

    model = spec.load(setting)
    if not isinstance(model, TextToText):
        raise ConfigError(
            f"{setting} is the encoder {model.name!r}, expected a model that writes texts; name one with seq2seq or "
            "causal."
        )
    return model


def copied(model: "TextToText") -> "TextToText":
    """A frozen copy with weights of its own, as they are now; the tokenizer is shared."""
    twin = copy.deepcopy(model, {id(model.tokenizer): model.tokenizer})
    twin.__dict__.pop("fingerprint", None)  # of other weights, if it was asked for
    twin.model.eval().requires_grad_(False)
    twin.model.zero_grad(set_to_none=True)  # gradients are copied with the weights
    return twin


def with_absolute_paths(resolved: dict[str, Any]) -> dict[str, Any]:
    """Settings in which paths that exist are absolute, so that they mean the same from any folder."""
    return {key: _absolute(value, key) for key, value in resolved.items()}


def _absolute(value: Any, key: str) -> Any:
    if isinstance(value, Mapping):
        return {name: _absolute(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_absolute(item, key) for item in value]
    if isinstance(value, str) and key in _PATHS and Path(value).exists():
        return str(Path(value).absolute())
    return value
