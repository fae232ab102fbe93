"""A prompt as two files: `prompt.json`, sealed by a checksum, and `tensors.safetensors`. Never pickle."""

import hashlib
import json
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from continual import files
from continual.errors import PoolError
from continual.pool.prompt import KEYS, Prompt, PromptRecord, TensorInfo, check_prompt, make_id

if TYPE_CHECKING:
    import torch

SCHEMA = 2
"""Version of the layout of a prompt. 2 added the ground; a larger number was written by a newer program."""

PROMPT_FILE = "prompt.json"
TENSORS_FILE = "tensors.safetensors"

_RESTORE = "restore its folder from a copy or an exported archive"


@dataclass(frozen=True, eq=False)
class EncodedPrompt:
    """A prompt ready to be stored.

    Attributes:
        record: What `json` says.
        json: Content of `prompt.json`.
        tensors: Content of `tensors.safetensors`.
        keys: The search keys among the tensors, float32 [K, D].
    """

    record: PromptRecord
    json: bytes
    tensors: bytes
    keys: np.ndarray

    def renumbered(self, version: int) -> "EncodedPrompt":
        """The same prompt under another version number; the provenance remembers the id that it had."""
        old = self.record
        provenance = old.provenance | {"renumbered_from": old.id}
        record = replace(old, id=make_id(old.task, version), version=version, provenance=provenance)
        return replace(self, record=record, json=encode_record(record))

    def write(self, folder: Path) -> None:
        """Writes both files into `folder`, which exists; the caller makes that atomic."""
        (folder / PROMPT_FILE).write_bytes(self.json)
        (folder / TENSORS_FILE).write_bytes(self.tensors)


def encode(prompt: Prompt) -> EncodedPrompt:
    """The two files of `prompt`; equal prompts give equal bytes.

    Raises:
        PoolError: The prompt is not fit to be stored, see `check_prompt`.
    """
    from safetensors import torch as safetensors

    check_prompt(prompt)
    # safetensors refuses views that share memory; clones do not.
    tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in sorted(prompt.tensors.items())}
    data = safetensors.save(tensors)
    described = {name: _describe(tensor) for name, tensor in tensors.items()}
    shared = {field.name: getattr(prompt, field.name) for field in fields(Prompt) if field.name != "tensors"}
    record = PromptRecord(
        **shared, tensors=described, tensors_sha256=hashlib.sha256(data).hexdigest(), tensors_bytes=len(data)
    )
    text = encode_record(record)
    # Read back, so that what `add` returns equals what any later reader gets (tuples are lists, NaN is null).
    return EncodedPrompt(decode_record(text, Path(prompt.id, PROMPT_FILE)), text, data, tensors[KEYS].numpy())


def encode_record(record: PromptRecord) -> bytes:
    """The bytes of `prompt.json`.

    Raises:
        PoolError: The provenance, or another field, holds what JSON cannot.
    """
    content = {"schema": SCHEMA, **files.finite(record.to_json())}
    try:
        sealed = content | {"sha256": _seal(content)}
        return (json.dumps(sealed, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise PoolError(
            f"Prompt '{record.id}' holds something that JSON cannot ({error}); "
            "keep only texts, numbers, lists and dictionaries in its provenance and tuning."
        ) from error


def decode_record(data: bytes, file: Path, backbone: str | None = None) -> PromptRecord:
    """The record in the bytes of `prompt.json`.

    Args:
        data: The bytes.
        file: Where they came from; its parent must be named like the prompt.
        backbone: Fingerprint that the record must have, or None for any.

    Raises:
        PoolError: Not JSON, a newer schema, altered, incomplete, under another name or of another backbone.
    """
    value = _parse(data, file)
    if value["schema"] > SCHEMA:
        raise PoolError(
            f"{file} has schema {value['schema']} but this program reads up to {SCHEMA}; upgrade continual-prompts."
        )
    if value["schema"] < SCHEMA:
        raise PoolError(
            f"{file} has schema {value['schema']}, of an older program, but this one reads {SCHEMA}; "
            "learn its task again."
        )
    if value.pop("sha256", None) != _seal(value):
        raise PoolError(f"{file} was altered after it was stored (its checksum is wrong); {_RESTORE}.")
    try:
        record = PromptRecord.from_json(value)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise PoolError(f"{file} lacks a field or has a wrong one ({error}); {_RESTORE}.") from error
    _check_place(record, file, backbone)
    return record


def decode(prompt_json: bytes, tensors: bytes, folder: Path, backbone: str | None = None) -> Prompt:
    """The prompt in the bytes of its two files, every checksum verified.

    Args:
        prompt_json: Content of `prompt.json`.
        tensors: Content of `tensors.safetensors`.
        folder: Where they came from, for messages; must be named like the prompt.
        backbone: Fingerprint that the prompt must have, or None for any.

    Raises:
        PoolError: As `decode_record`, or the tensors are altered, missing, additional or of another shape.
    """
    record = decode_record(prompt_json, folder / PROMPT_FILE, backbone)
    loaded = _decode_tensors(tensors, record, folder / TENSORS_FILE)
    shared = {field.name: getattr(record, field.name) for field in fields(Prompt) if field.name != "tensors"}
    return Prompt(**shared, tensors=loaded)


def read_record(folder: Path, backbone: str | None = None) -> PromptRecord:
    """The record of the prompt in `folder`; its tensors are not opened. Raises as `decode_record`."""
    return decode_record(_read(folder / PROMPT_FILE), folder / PROMPT_FILE, backbone)


def read_prompt(folder: Path, backbone: str | None = None) -> Prompt:
    """The prompt in `folder`, every checksum verified. Raises as `decode`."""
    return decode(_read(folder / PROMPT_FILE), _read(folder / TENSORS_FILE), folder, backbone)


def verified(prompt_json: bytes, tensors: bytes, folder: Path, backbone: str | None = None) -> EncodedPrompt:
    """The bytes of a prompt after every check of `decode` and `check_prompt`. Raises as these."""
    prompt = decode(prompt_json, tensors, folder, backbone)
    check_prompt(prompt)
    record = decode_record(prompt_json, folder / PROMPT_FILE)
    return EncodedPrompt(record, prompt_json, tensors, prompt.tensors[KEYS].numpy())


def read_encoded(folder: Path, backbone: str | None = None) -> EncodedPrompt:
    """The files of the prompt in `folder`, byte for byte, after every check. Raises as `verified`."""
    return verified(_read(folder / PROMPT_FILE), _read(folder / TENSORS_FILE), folder, backbone)


def _describe(tensor: "torch.Tensor") -> TensorInfo:
    return TensorInfo(str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape))


def _parse(data: bytes, file: Path) -> dict[str, Any]:
    try:
        value = json.loads(data, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise PoolError(f"{file} is not valid JSON ({error}); {_RESTORE}.") from error
    if not isinstance(value, dict) or not isinstance(value.get("schema"), int):
        raise PoolError(f"{file} does not describe a prompt (it has no schema number); {_RESTORE}.")
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _seal(content: dict[str, Any]) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _check_place(record: PromptRecord, file: Path, backbone: str | None) -> None:
    if record.id != make_id(record.task, record.version) or record.id != file.parent.name:
        raise PoolError(f"{file} describes prompt '{record.id}'; rename its folder back to that id.")
    if backbone is not None and record.backbone != backbone:
        raise PoolError(
            f"{file} was trained for backbone {record.backbone[:12]}, not for {backbone[:12]} of this pool; "
            "move the folder to a pool of its own backbone."
        )


def _decode_tensors(data: bytes, record: PromptRecord, file: Path) -> "dict[str, torch.Tensor]":
    from safetensors import SafetensorError
    from safetensors import torch as safetensors

    if hashlib.sha256(data).hexdigest() != record.tensors_sha256:
        raise PoolError(
            f"{file} is damaged: {len(data):,} bytes were found where {record.tensors_bytes:,} with another "
            f"SHA-256 were stored; {_RESTORE}."
        )
    try:
        loaded = safetensors.load(data)
    except SafetensorError as error:
        raise PoolError(f"{file} is not a safetensors file ({error}); {_RESTORE}.") from error
    if missing := sorted(record.tensors.keys() - loaded.keys()):
        raise PoolError(f"{file} lacks the tensor '{missing[0]}' that {PROMPT_FILE} names; {_RESTORE}.")
    if extra := sorted(loaded.keys() - record.tensors.keys()):
        raise PoolError(f"{file} has the tensor '{extra[0]}' that {PROMPT_FILE} does not name; {_RESTORE}.")
    for name, tensor in loaded.items():
        if _describe(tensor) != record.tensors[name]:
            raise PoolError(f"Tensor '{name}' in {file} has another type or shape than {PROMPT_FILE} says; {_RESTORE}.")
    return loaded


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError as error:
        raise PoolError(f"{file} is missing; {_RESTORE}.") from error
    except OSError as error:
        raise PoolError(f"{file} cannot be read ({error.strerror}); check its permissions and the disk.") from error
