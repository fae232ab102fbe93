"""Typed options: a dataclass is the schema of a configuration, and its field metadata is the help text.

A source of tasks declares its settings as dataclass fields made with `option`. `from_mapping` fills such a
class from a plain mapping (parsed YAML, JSON, keyword arguments) and refuses unknown keys and wrong types
with one sentence that names the key and the closest known one.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from streams.conversion import MismatchError, converted, hints_of, in_words
from streams.errors import StreamError
from streams.registry import suggestion

T = TypeVar("T")

_MAX_LISTED = 30


@dataclasses.dataclass(frozen=True)
class OptionHelp:
    """One setting, for listings and documentation."""

    name: str
    type: str
    default: Any
    help: str


def option(default: Any = dataclasses.MISSING, help: str = "") -> Any:
    """A dataclass field with a help text. Without `default` the option must be given."""
    return dataclasses.field(default=default, metadata={"help": help})


def default_of(field: dataclasses.Field) -> Any:
    """What a field of a dataclass holds unless it is given; `...` where it must be."""
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return ... if field.default is dataclasses.MISSING else field.default


def describe(cls: type) -> list[OptionHelp]:
    """The options of the dataclass `cls` in order of declaration; a required option has the default `...`."""
    hints = hints_of(cls)
    return [
        OptionHelp(
            name=field.name,
            type=in_words(hints[field.name]),
            default=default_of(field),
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
    hints = hints_of(cls)
    values = {}
    for key, value in config.items():
        if key not in known:
            raise StreamError(f"{_sentence(where)} has an {unknown('key', key, known)}")
        try:
            values[key] = converted(value, hints[key])
        except MismatchError:
            expected = in_words(hints[key])
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
    more = f" and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else ""
    listed = ", ".join(names[:_MAX_LISTED]) or "none"
    return f"unknown {what} {str(found)!r}{suggestion(str(found), names)}; choose one of {listed}{more}."


def require_choice(where: str, what: str, found: object, choices: Sequence[str]) -> None:
    """Raises a `StreamError` unless `found` is one of `choices`."""
    if found not in choices:
        raise StreamError(f"{_sentence(where)} was given an {unknown(what, found, choices)}")


def require_range(where: str, key: str, value: float, low: float, high: float) -> None:
    """Raises a `StreamError` unless `value` lies between `low` and `high`, both allowed."""
    if not low <= value <= high:
        raise StreamError(f"{_sentence(where)} has {key}={value}; choose a value from {low} to {high}.")


def _sentence(where: str) -> str:
    return where[:1].upper() + where[1:]
