"""Plain values, as YAML, JSON and keyword arguments give them, made into what a type asks for; and types in words.

The options of streams and the settings of everything else are checked by these functions alone.
"""

import inspect
import numbers
import sys
import types
import typing
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any, Literal, Union

_UNIONS = (Union, types.UnionType)
_SCALARS = (str, int, float, bool, type(None), Path)
_ONE = {str: "text", int: "a whole number", float: "a number", bool: "true or false", type(None): "null"}
_ONE |= {Path: "a path", Any: "any value"}
_MANY = _ONE | {int: "whole numbers", float: "numbers", Path: "paths"}
_LISTS: dict[Any, Callable[[Iterable[Any]], Any]] = {list: list, tuple: tuple, set: set, frozenset: frozenset}
_LISTS |= {Sequence: tuple, Collection: tuple, Iterable: tuple, Set: frozenset}


class MismatchError(ValueError):
    """A value does not fit its type; whoever knows the name of the setting says so in a sentence."""


def converted(value: Any, hint: Any) -> Any:
    """The value as its type has it: a list as a tuple where one is asked for, 1 as 1.0, 7 as "7".

    Args:
        value: A plain value.
        hint: A type, as an annotation gives it. What is no type of plain values takes only what is one of its own.

    Raises:
        MismatchError: The value is of another type.
    """
    origin = typing.get_origin(hint)
    if origin in _UNIONS:
        return _of_union(value, typing.get_args(hint))
    if origin is Literal:
        return _fitting(value, any(value == it and type(value) is type(it) for it in typing.get_args(hint)))
    kind = origin or hint
    if kind in _LISTS:
        return _of_list(value, kind, typing.get_args(hint))
    if kind in (Mapping, dict):
        return _of_mapping(value, typing.get_args(hint) or (Any, Any))
    return _of_class(value, kind)


def in_words(hint: Any, many: bool = False) -> str:
    """The type in words: `text or null`, `a list of whole numbers`.

    Args:
        hint: The type.
        many: Whether several of it are spoken of.
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in _UNIONS:
        return " or ".join(in_words(it, many) for it in arguments)
    if origin is Literal:
        return " or ".join(repr(it) for it in arguments)
    kind = origin or hint
    if kind in _LISTS:
        inner = [in_words(it, many=True) for it in arguments if it is not ...]
        return f"a list of {' and '.join(inner)}" if inner else "a list"
    if kind in (Mapping, dict):
        return f"a mapping of {in_words(arguments[1], many=True)}" if arguments else "a mapping"
    return (_MANY if many else _ONE).get(kind, getattr(kind, "__name__", str(kind)))


def hints_of(target: Any) -> dict[str, Any]:
    """The types of what a class or function takes, by name.

    An annotation may be written as text, as in a module with `from __future__ import annotations`. One that names what
    is not there when the program runs, such as what is imported for type checkers alone, counts as `Any`.
    """
    hints: dict[str, Any] = {}
    for owner in _annotated(target):
        module = sys.modules.get(owner.__module__)  # None where a program made the class without one
        names = getattr(module, "__dict__", {}) if isinstance(owner, type) else owner.__globals__
        for name, annotation in inspect.get_annotations(owner).items():
            hints[name] = _resolved(annotation, names)
    return hints


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


def _annotated(target: Any) -> list[Any]:
    """What carries the annotations: a function itself, a dataclass and its bases, another class's constructor."""
    if not isinstance(target, type):
        return [it for it in [inspect.unwrap(target)] if inspect.isfunction(it)]
    if hasattr(target, "__dataclass_fields__") and "__init__" in target.__dict__:
        return [it for it in reversed(target.__mro__) if it is not object]
    constructor = inspect.unwrap(target.__init__)
    return [constructor] if inspect.isfunction(constructor) else []


def _resolved(annotation: Any, names: dict[str, Any]) -> Any:
    holder = types.SimpleNamespace(__annotations__={"it": annotation})
    try:
        return typing.get_type_hints(holder, names, names)["it"]
    except Exception:  # whatever a text may hold: the types are for checking, and no text is worth a failure
        return Any


def _of_union(value: Any, hints: Sequence[Any]) -> Any:
    if type(value) in hints:  # so that 1 stays 1 where it may be a number of either kind, or a text
        return value
    for hint in hints:
        try:
            return converted(value, hint)
        except MismatchError:
            continue
    raise MismatchError


def _of_list(value: Any, kind: Any, hints: tuple[Any, ...]) -> Any:
    _fitting(value, isinstance(value, Sequence | Set) and not isinstance(value, str | bytes))
    if hints and kind is tuple and hints[-1] is not ...:
        _fitting(value, len(value) == len(hints))
        return tuple(converted(item, hint) for item, hint in zip(value, hints, strict=True))
    return _LISTS[kind](converted(item, hints[0] if hints else Any) for item in value)


def _of_mapping(value: Any, hints: tuple[Any, ...]) -> dict[Any, Any]:
    _fitting(value, isinstance(value, Mapping))
    return {converted(key, hints[0]): converted(item, hints[1]) for key, item in value.items()}


def _of_class(value: Any, kind: Any) -> Any:
    if kind in _SCALARS:
        return _scalar(value, kind)
    try:
        return _fitting(value, not isinstance(kind, type) or isinstance(value, kind))
    except TypeError:  # a protocol that is for type checkers alone
        return value


def _scalar(value: Any, kind: Any) -> Any:
    truth = isinstance(value, bool)
    if kind is str:
        text = scalar_text(value)
        return _fitting(text, text is not None)
    if kind is Path:
        return Path(_fitting(value, isinstance(value, str | Path)))
    if kind is float:
        return float(_fitting(value, isinstance(value, numbers.Real) and not truth))
    if kind is int:
        return int(_fitting(value, isinstance(value, numbers.Integral) and not truth))
    return _fitting(value, isinstance(value, kind))


def _fitting(value: Any, fits: bool) -> Any:
    if not fits:
        raise MismatchError
    return value
