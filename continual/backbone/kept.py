"""How a saved model is opened as the backbone that it was: kind, pooling, lengths and prefix, beside its weights.

Hugging Face's files say nothing of these, and a model that was scored with one pooling answers otherwise with another.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from continual.errors import BackboneError
from continual.files import read_json, write_json

if TYPE_CHECKING:
    from continual.backbone.encoder import Encoder
    from continual.backbone.seq2seq import Seq2Seq

FILE = "backbone.json"
_FILES_OF_MODELS = ("*.safetensors", "*.bin", "*.json", "*.model*", "*.spm", "*.txt", "*.jinja", "*.gguf")
_TELLING = ("summary.json", "pretraining.json", "growth.json", FILE)
"""They tell of a model, with times, and decide nothing of it; what the last one says is among a backbone's options."""


def opening(encoder: "Encoder") -> dict[str, Any]:
    """The options that open a backbone from its folder, and its `kind`: the name of what takes them. JSON-able."""
    from continual.backbone.causal import Causal
    from continual.backbone.seq2seq import Seq2Seq

    if isinstance(encoder, Causal):
        return {"kind": "causal", **_of_generator(encoder), "between": encoder.between}
    if isinstance(encoder, Seq2Seq):
        return {"kind": "seq2seq", **_of_generator(encoder), **_languages(encoder)}
    return {"kind": "hub", "pooling": encoder.pooling, "max_length": encoder.max_length}


def keep_opening(settings: Mapping[str, Any], folder: Path) -> None:
    """Writes what `opening` gave into the folder of a model."""
    write_json(folder / FILE, dict(settings))


def kept_opening(folder: Path) -> dict[str, Any] | None:
    """What `keep_opening` wrote into a folder; None where nothing was.

    Raises:
        BackboneError: It is damaged.
    """
    try:
        settings = read_json(folder / FILE)
    except FileNotFoundError:
        return None
    except (OSError, json.JSONDecodeError, UnicodeDecodeError):
        settings = None
    if not isinstance(settings, dict) or "kind" not in settings:
        raise BackboneError(
            f"{folder / FILE} does not say how the model is opened; restore it from a copy, or remove it and give "
            "backbone.pooling, backbone.prefix and the like yourself."
        )
    return settings


def as_kept(spec: Mapping[str, Any], given: Collection[str]) -> dict[str, Any]:
    """The settings of a backbone, opened as its folder says.

    Args:
        spec: `{"name": ..., options}`.
        given: Options that the user gave, which stay.

    Raises:
        BackboneError: The folder's record is damaged.
    """
    path = spec.get("path")
    kept = kept_opening(Path(path).expanduser()) if isinstance(path, str) and path else None
    if kept is None or kept["kind"] != spec.get("name"):
        return dict(spec)
    return {**spec, **{key: value for key, value in kept.items() if key != "kind" and key not in given}}


def digest_of(folder: Path) -> str:
    """SHA-256 over the files of a saved model that decide what it computes: the same for one that was made again."""
    whole = hashlib.sha256()
    for path in sorted({path for pattern in _FILES_OF_MODELS for path in folder.glob(pattern)}):
        if path.name not in _TELLING:
            with open(path, "rb") as file:
                whole.update(f"{path.name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return whole.hexdigest()


def _of_generator(encoder: Any) -> dict[str, Any]:
    return {"max_length": encoder.max_length, "max_target": encoder.max_target, "prefix": encoder.prefix}


def _languages(encoder: "Seq2Seq") -> dict[str, str]:
    """An mBART has to be told its languages."""
    words = encoder.tokenizer
    return {"source_language": words.src_lang, "target_language": words.tgt_lang} if encoder.family == "mbart" else {}
