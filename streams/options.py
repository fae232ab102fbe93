"""Typed options: a dataclass is the schema of a configuration, and its field metadata is the help text.

A source of tasks declares its settings as dataclass fields made with `option`. `from_mapping` fills such a
class from a plain mapping (parsed YAML, JSON, keyword arguments) and refuses unknown keys and wrong types
with one sentence that names the key and the closest known one.
"""

import dataclasses
import difflib
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypeVar, Union

from streams.errors import StreamError

T = TypeVar("T")

_MAX_LISTED = 30


@dataclasses.dataclass(frozen=True)
class OptionHelp:
    """One setting, for listings and documentation."""

    name: str
    type: str
    default: Any
    help: str


class _MismatchError(ValueError):
    """The value does not fit the type; internal to this module."""


def option(default: Any = dataclasses.MISSING, help: str = "") -> Any:
    """A dataclass field with a help text. Without `default` the option must be given."""
    return dataclasses.field(default=default, metadata={"help": help})


def describe(cls: type) -> list[OptionHelp]:
    """The options of the dataclass `cls` in order of declaration; a required option has the default `...`."""
    hints = typing.get_type_hints(cls)
    return [
        OptionHelp(
            name=field.name,
            type=_expected(hints[field.name]),
            default=... if field.default is dataclasses.MISSING else field.default,
            help=field.metadata.get("help", ""),
        )
        for field in dataclasses.fields(cls)
        if field.init
    ]


def from_mapping(cls: type[T], config: Mapping[str, Any], where: str) -> T:
    """An instance of the dataclass `cls` with the values of `config`.

    Args:
        cls: a dataclass whose fields are the allowed keys.
        config: plain values; lists become tuples, numbers given for text become text.
        where: what is configured, for messages, such as `stream 'pheme'`.

    Raises:
        StreamError: a key is unknown or missing, or a value has the wrong type.
    """
    known = {help_.name: help_ for help_ in describe(cls)}
    hints = typing.get_type_hints(cls)
    values = {}
    for key, value in config.items():
        if key not in known:
            raise StreamError(f"{_sentence(where)} has an {unknown('key', key, known)}")
        try:
            values[key] = _convert(value, hints[key])
        except _MismatchError:
            expected = _expected(hints[key])
            raise StreamError(
                f"{_sentence(where)} needs {expected} for the key {key!r}, but found {value!r}; correct that value."
            ) from None
    for key, help_ in known.items():
        if help_.default is ... and key not in values:
            raise StreamError(f"{_sentence(where)} lacks the key {key!r} ({help_.help}); add it.")
    return cls(**values)


def unknown(what: str, found: object, choices: Iterable[str]) -> str:
    """The tail of a message about a name that is none of `choices`, with the closest one suggested."""
    names = [str(choice) for choice in choices]
    close = difflib.get_close_matches(str(found).lower(), [name.lower() for name in names], n=1)
    hint = next((f" (did you mean {name!r}?)" for name in names if close and name.lower() == close[0]), "")
    more = f" and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else ""
    listed = ", ".join(names[:_MAX_LISTED]) or "none"
    return f"unknown {what} {str(found)!r}{hint}; choose one of {listed}{more}."


def require_choice(where: str, what: str, found: object, choices: Sequence[str]) -> None:
    """Raises a `StreamError` unless `found` is one of `choices`."""
    if found not in choices:
        raise StreamError(f"{_sentence(where)} was given an {unknown(what, found, choices)}")


def require_range(where: str, key: str, value: float, low: float, high: float) -> None:
    """Raises a `StreamError` unless `value` lies between `low` and `high`, both allowed."""
    if not low <= value <= high:
        raise StreamError(f"{_sentence(where)} has {key}={value}; choose a value from {low} to {high}.")


def scalar_text(value: Any) -> str | None:
    """The text of a number, truth value or string as it stands in a cell; None for anything else and for NaN.

    Whole numbers stored as floating point (a column with gaps) read as whole numbers, so that `1.0` is `1`.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        if value != value:
            return None
        return str(int(value)) if value.is_integer() else str(value)
    return str(value) if isinstance(value, bool | int) else None


def _sentence(where: str) -> str:
    return where[:1].upper() + where[1:]


def _convert(value: Any, hint: Any) -> Any:
    origin = typing.get_origin(hint)
    if hint is Any:
        return value
    if origin in (Union, types.UnionType):
        return _convert_union(value, typing.get_args(hint))
    if origin is Literal:
        return _check(value, value in typing.get_args(hint))
    if origin is tuple:
        return _convert_list(value, typing.get_args(hint)[0])
    if origin is Mapping or (isinstance(origin, type) and issubclass(origin, Mapping)):
        return _convert_mapping(value, typing.get_args(hint)[1])
    return _convert_scalar(value, hint)


def _convert_union(value: Any, hints: tuple[Any, ...]) -> Any:
    if value is None and type(None) in hints:
        return None
    for hint in hints:
        try:
            return _convert(value, hint)
        except _MismatchError:
            continue
    raise _MismatchError


def _convert_list(value: Any, item: Any) -> tuple[Any, ...]:
    _check(value, isinstance(value, Sequence) and not isinstance(value, str | bytes))
    return tuple(_convert(element, item) for element in value)


def _convert_mapping(value: Any, item: Any) -> dict[str, Any]:
    _check(value, isinstance(value, Mapping))
    return {_convert_scalar(key, str): _convert(element, item) for key, element in value.items()}


def _convert_scalar(value: Any, hint: Any) -> Any:
    if hint is str:
        text = scalar_text(value)
        return _check(text, text is not None)
    if hint is float:
        return float(_check(value, isinstance(value, int | float) and not isinstance(value, bool)))
    if hint is int:
        return _check(value, isinstance(value, int) and not isinstance(value, bool))
    return _check(value, isinstance(value, hint))


def _check(value: T, fits: bool) -> T:
    if not fits:
        raise _MismatchError
    return value


_NAMES = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
    Any: "any value",
}


def _expected(hint: Any) -> str:
    """The type in words: `text or null`, `a list of text`."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(_expected(argument) for argument in arguments)
    if origin is Literal:
        return " or ".join(repr(argument) for argument in arguments)
    if origin is tuple:
        return f"a list of {_expected(arguments[0])}"
    if origin is not None:
        return f"a mapping of {_expected(arguments[1])}"
    return _NAMES.get(hint, getattr(hint, "__name__", str(hint)))
