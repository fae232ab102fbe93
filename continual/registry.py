"""One generic registry: names to lazily imported targets, with help for `continual ls` and "did you mean"."""

import difflib
import importlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from continual.errors import ConfigError


@dataclass(frozen=True)
class Entry:
    """What `continual ls` shows of a registered name.

    Attributes:
        name: The name used in configs.
        target: Where it lives, as `package.module:attribute`; imported only when it is asked for.
        help: One line for people.
        paper: The publication it follows, or an empty string when it is ours.
    """

    name: str
    target: str
    help: str
    paper: str = ""

    def load(self) -> Any:
        """Imports and returns the target."""
        module, _, attribute = self.target.partition(":")
        return getattr(importlib.import_module(module), attribute)


class Registry:
    """Names of one kind of thing, such as methods.

    Example:
        >>> from continual.registry import Registry
        >>> numbers = Registry("number")
        >>> numbers.add("pi", "math:pi", "half a turn")
        >>> round(numbers.load("pi"), 2)
        3.14
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, Entry] = {}

    def add(self, name: str, target: str, help: str, paper: str = "") -> None:
        """Registers `name`. A name is taken once.

        Raises:
            ConfigError: The name is registered already.
        """
        if name in self._entries:
            raise ConfigError(f"The {self.kind} {name!r} is registered already; choose another name.")
        self._entries[name] = Entry(name, target, help, paper)

    def entry(self, name: str) -> Entry:
        """The entry of `name`.

        Raises:
            ConfigError: There is no such name; the message lists the known ones and the closest.
        """
        if name not in self._entries:
            raise ConfigError(
                f"There is no {self.kind} named {name!r}{suggestion(name, self._entries)}; "
                f"known: {', '.join(self._entries)}."
            )
        return self._entries[name]

    def load(self, name: str) -> Any:
        """Imports and returns what `name` stands for."""
        return self.entry(name).load()

    def names(self) -> list[str]:
        """The registered names in the order of registration."""
        return list(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def __contains__(self, name: object) -> bool:
        return name in self._entries


def suggestion(word: str, known: Iterable[str]) -> str:
    """A clause such as ` (did you mean 'panda'?)`, or nothing when no known word is close to `word`."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" (did you mean {close[0]!r}?)" if close else ""
