"""What one task added: `Prompt` with its tensors, `PromptRecord` without, and the rules for ids."""

import hashlib
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from continual.errors import PoolError

if TYPE_CHECKING:
    import torch

KEYS = "keys"
"""Name of the tensor that every prompt must have: its search keys, float32 [K, D], rows of length one."""

_LONGEST_SLUG = 64
_ID = re.compile(r"(?P<slug>[a-z0-9]+(?:-[a-z0-9]+)*)-v(?P<version>[1-9][0-9]{0,8})")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")


@dataclass(frozen=True, eq=False)
class Prompt:
    """A learned task. Never changed once it is stored.

    Attributes:
        id: `make_id(task, version)`; also the name of its folder.
        task: Name of the task, any text.
        version: 1 for the first prompt of a task, then 2, 3, ...
        labels: Label names; the position is the class index of the head.
        backbone: Fingerprint (hexadecimal) of the backbone for which the tensors were trained.
        tuning: How the tensors enter the backbone, as JSON, such as `{"name": "late", "length": 16, "layer":
            3}`.
        method: Name of the method that trained it.
        tensors: Named tensors. `keys`, float32 [K, D] with rows of length one, is obligatory.
        provenance: How it came to be, as JSON: sources and their scores, seed, number of examples, ...
        created: ISO 8601 time in UTC.
    """

    id: str
    task: str
    version: int
    labels: tuple[str, ...]
    backbone: str
    tuning: dict[str, Any]
    method: str
    tensors: dict[str, "torch.Tensor"]
    provenance: dict[str, Any] = field(default_factory=dict)
    created: str = field(default_factory=_now)


@dataclass(frozen=True)
class TensorInfo:
    """Type and shape of a stored tensor, known without opening the file that holds it."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class PromptRecord:
    """Everything about a stored prompt except the values of its tensors; what listings need.

    The attributes are those of `Prompt`; the rest describes the tensors file.

    Attributes:
        tensors: Type and shape of every tensor.
        tensors_sha256: Checksum of `tensors.safetensors`.
        tensors_bytes: Size of `tensors.safetensors`.
    """

    id: str
    task: str
    version: int
    labels: tuple[str, ...]
    backbone: str
    tuning: dict[str, Any]
    method: str
    provenance: dict[str, Any]
    created: str
    tensors: dict[str, TensorInfo]
    tensors_sha256: str
    tensors_bytes: int

    @property
    def keys(self) -> tuple[int, int]:
        """Number of search keys and their width."""
        count, width = self.tensors[KEYS].shape
        return count, width

    def to_json(self) -> dict[str, Any]:
        """The record as plain JSON values, in the order of the fields."""
        return asdict(self) | {"labels": list(self.labels), "tensors": _tensors_to_json(self.tensors)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "PromptRecord":
        """The inverse of `to_json`.

        Raises:
            KeyError, TypeError, ValueError: `value` does not have the fields of a record.
        """
        tensors = {
            name: TensorInfo(str(info["dtype"]), tuple(int(size) for size in info["shape"]))
            for name, info in value["tensors"].items()
        }
        if len(tensors[KEYS].shape) != 2:
            raise ValueError("the tensor 'keys' must have two dimensions")
        return cls(
            id=_of(str, value, "id"),
            task=_of(str, value, "task"),
            version=_of(int, value, "version"),
            labels=tuple(str(label) for label in _of(list, value, "labels")),
            backbone=_of(str, value, "backbone"),
            tuning=_of(dict, value, "tuning"),
            method=_of(str, value, "method"),
            provenance=_of(dict, value, "provenance"),
            created=_of(str, value, "created"),
            tensors=tensors,
            tensors_sha256=_of(str, value, "tensors_sha256"),
            tensors_bytes=_of(int, value, "tensors_bytes"),
        )


def task_slug(task: str) -> str:
    """The part of an id that stands for the task: lower-case ASCII letters, digits and hyphens.

    A name that has none of these, or too many, gets a piece of its SHA-256, so that it stays recognisable.

    >>> task_slug("Ottawa Shooting (2014)")
    'ottawa-shooting-2014'
    >>> task_slug("Müller & Söhne")
    'muller-sohne'
    """
    plain = unicodedata.normalize("NFKD", task).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    if slug and len(slug) <= _LONGEST_SLUG:
        return slug
    digest = hashlib.sha256(task.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{slug[:_LONGEST_SLUG].rstrip('-') or 'task'}-{digest}"


def make_id(task: str, version: int) -> str:
    """The id of version `version` (1, 2, ...) of the prompt for `task`, such as `'sydneysiege-v1'`."""
    return f"{task_slug(task)}-v{version}"


def next_to(prompt: Prompt, version: int, **changes: Any) -> Prompt:
    """A later version of a prompt, made now; `changes` are fields that differ, by name."""
    made = {"id": make_id(prompt.task, version), "version": version, "created": _now()}
    return replace(prompt, **(made | changes))


def is_prompt_id(text: str) -> bool:
    """Whether `text` has the form of a prompt id; such a text is always safe as the name of a folder."""
    return _ID.fullmatch(text) is not None


def check_prompt(prompt: Prompt) -> None:
    """Refuses a prompt that could not be found or used again after it is stored.

    Raises:
        PoolError: A field is empty, the id does not follow from task and version, labels repeat, a tensor
            holds NaN or infinity, or `keys` is not a float32 [K, D] matrix with rows of length one.
    """
    for name in ("task", "backbone", "method"):
        if not isinstance(getattr(prompt, name), str) or not getattr(prompt, name).strip():
            raise PoolError(f"The field '{name}' of prompt '{prompt.id}' is empty; give it a text.")
    if not isinstance(prompt.version, int) or prompt.version < 1:
        raise PoolError(f"The version of prompt '{prompt.id}' is {prompt.version!r}; give a whole number from 1 on.")
    if prompt.id != make_id(prompt.task, prompt.version):
        expected = make_id(prompt.task, prompt.version)
        raise PoolError(f"Prompt id '{prompt.id}' does not fit its task and version; use '{expected}'.")
    if not all(isinstance(label, str) for label in prompt.labels) or len(set(prompt.labels)) < len(prompt.labels):
        raise PoolError(f"The labels of prompt '{prompt.id}' must be different texts; name each class once.")
    _check_tensors(prompt)


def _check_tensors(prompt: Prompt) -> None:
    import torch

    for name, tensor in prompt.tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor.detach().float()).all()):
            raise PoolError(
                f"Tensor '{name}' of prompt '{prompt.id}' holds NaN or infinity, so training diverged; "
                "train again with a smaller learning rate."
            )
    keys = prompt.tensors.get(KEYS)
    if keys is None or keys.dtype != torch.float32 or keys.dim() != 2 or 0 in keys.shape:
        found = "none" if keys is None else f"{keys.dtype} {list(keys.shape)}"
        raise PoolError(f"Prompt '{prompt.id}' needs a float32 tensor 'keys' of shape [K, D] but has {found}; add it.")
    lengths = keys.detach().norm(dim=1)
    if bool(((lengths - 1).abs() > 1e-3).any()):
        raise PoolError(f"The keys of prompt '{prompt.id}' must have length one; divide each row by its length.")


def _tensors_to_json(tensors: Mapping[str, TensorInfo]) -> dict[str, Any]:
    return {name: {"dtype": info.dtype, "shape": list(info.shape)} for name, info in tensors.items()}


def _of(kind: type, value: Mapping[str, Any], name: str) -> Any:
    found = value[name]
    if not isinstance(found, kind) or isinstance(found, bool):
        raise TypeError(f"'{name}' must be a {kind.__name__}, not {type(found).__name__}")
    return found
