"""JSON values to dataclasses and back, with errors that name the place in the file."""

import dataclasses
import math
import types
import typing
from typing import Any, TypeVar

import numpy as np

_Record = TypeVar("_Record")


class MismatchError(ValueError):
    """A JSON value that does not fit; the message is `PLACE should be WHAT, found VALUE`."""


def to_json(value: Any) -> Any:
    """A dataclass, and all that it holds, as JSON values; NaN and infinity become None."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def from_json(kind: type[_Record], value: Any, place: str = "") -> _Record:
    """The dataclass `kind` from the JSON value of `to_json`.

    Keys that the dataclass does not know are ignored: a newer version may have added them. A field with a
    default may be absent.

    Raises:
        MismatchError: A field is absent or of the wrong type.
    """
    return _convert(kind, value, place)


def _convert(kind: Any, value: Any, place: str) -> Any:
    if kind is Any:  # for people, and for no code of this program
        return value
    if dataclasses.is_dataclass(kind):
        return _record(kind, value, place)
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is types.UnionType:  # only ever `something | None`
        return None if value is None else _convert(inner[0], value, place)
    if origin is list:
        _expect(isinstance(value, list), "a list", value, place)
        return [_convert(inner[0], item, f"{place}[{index}]") for index, item in enumerate(value)]
    if origin is dict:
        _expect(isinstance(value, dict), "an object", value, place)
        return {key: _convert(inner[1], item, f"{place}.{key}") for key, item in value.items()}
    return _scalar(kind, value, place)


def _record(kind: type, value: Any, place: str) -> Any:
    _expect(isinstance(value, dict), "an object", value, place)
    hints = typing.get_type_hints(kind)
    known: dict[str, Any] = {}
    for field in dataclasses.fields(kind):
        inside = f"{place}.{field.name}" if place else field.name
        if field.name in value:
            known[field.name] = _convert(hints[field.name], value[field.name], inside)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise MismatchError(f"{inside} is missing")
    return kind(**known)


def _scalar(kind: Any, value: Any, place: str) -> Any:
    if kind is Any:
        return value
    if kind is float:
        # bool is an int in Python; a flag where a number belongs is a mistake.
        _expect(isinstance(value, int | float) and not isinstance(value, bool), "a number", value, place)
        return float(value)
    names = {int: "a whole number", str: "a text", bool: "true or false"}
    _expect(isinstance(value, kind) and (kind is bool or not isinstance(value, bool)), names[kind], value, place)
    return value


def _expect(fits: bool, what: str, value: Any, place: str) -> None:
    if not fits:
        shown = repr(value)
        shown = shown if len(shown) <= 60 else shown[:57] + "..."
        raise MismatchError(f"{place or 'the top level'} should be {what}, found {shown}")
