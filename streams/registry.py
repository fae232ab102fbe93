"""One registry for all that has a name: what is built in, what a program adds, what installed packages offer.

It lies on the data side because kinds of streams have names too, and `streams` imports nothing from `continual`.
"""

import difflib
import importlib
import inspect
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Generic, Self, TypeVar

from streams.errors import ConfigError, UserError

_OWN = ("continual.", "streams.")
_Target = TypeVar("_Target")


@dataclass(frozen=True)
class Entry:
    """What `continual ls` shows of a registered name.

    Attributes:
        name: The name used in configs.
        target: Where it lives, as `package.module:attribute`; imported only when it is asked for.
        help: One line for people.
        paper: The publication it follows, or an empty string when it is ours.
        held: The thing itself where that was registered, and not the place where it lives.
    """

    name: str
    target: str
    help: str
    paper: str = ""
    held: Any = field(default=None, compare=False, repr=False)

    def load(self) -> Any:
        """Imports and returns the target."""
        if self.held is not None:
            return self.held
        module, _, path = self.target.partition(":")
        found = importlib.import_module(module)
        for attribute in path.split("."):
            found = getattr(found, attribute)
        return found

    def is_same(self, other: "Entry") -> bool:
        """Whether both stand for one thing, which a package may offer in one module and define in another."""
        if "<lambda>" in self.target:
            return self.held is other.held
        (place, _, path), (other_place, _, other_path) = (it.target.partition(":") for it in (self, other))
        return path == other_path and place.partition(".")[0] == other_place.partition(".")[0]


EntryType = TypeVar("EntryType", bound=Entry)


class Registry(Mapping[str, EntryType], Generic[EntryType]):
    """Names of one kind of thing, such as methods.

    What installed packages offer under the entry points of a group is looked for when a name is unknown or names are
    listed, and imported when it is loaded.

    Args:
        kind: What is named, for messages.
        group: The group of entry points; None where packages offer nothing.
        error: What is raised for what the user can put right.
        entry: The class of the entries, whose further fields `add` and `register` take.
        complete: Whether an entry point is imported to learn the rest of its entry from it.

    Example:
        >>> from streams.registry import Registry
        >>> numbers = Registry("number")
        >>> numbers.add("pi", "math:pi", "half a turn")
        >>> round(numbers.load("pi"), 2)
        3.14
        >>> @numbers.register("answer", help="what was asked is not known")
        ... def answer():
        ...     return 42
        >>> numbers.load("answer")()
        42
    """

    # A registry is itself, whatever it holds.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __init__(
        self,
        kind: str,
        group: str | None = None,
        *,
        error: type[UserError] = ConfigError,
        entry: type[EntryType] = Entry,  # type: ignore[assignment]
        complete: bool = False,
    ) -> None:
        self.kind, self.group = kind, group
        self._error, self._entry, self._complete = error, entry, complete
        self._entries: dict[str, EntryType] = {}
        self._looked = group is None

    def add(self, name: str, target: Any, help: str = "", paper: str = "", **facts: Any) -> None:
        """Registers `name`.

        A name is taken once; the same class or function may come again, as from a cell of a notebook that is run a
        second time, and the newer one counts.

        Args:
            name: The name.
            target: A class or function, or where it lives: `package.module:attribute`.
            help: One line for people; the first of the docstring if there is none.
            paper: The publication that it follows.
            **facts: Further fields of the entry.

        Raises:
            ConfigError: The name is registered already, or the target is none.
        """
        entry = self._made(name, target, help, paper, facts)
        known = self._entries.get(name)
        if known is not None and not known.is_same(entry):
            raise self._error(
                f"The {self.kind} {name!r} is registered already, as {known.target}, and cannot be {entry.target} as "
                "well; choose another name."
            )
        self._entries[name] = entry

    def register(self, name: str, *, help: str = "", paper: str = "", **facts: Any) -> Callable[[_Target], _Target]:
        """A decorator that registers a class or function and leaves it as it is; arguments as for `add`."""

        def enter(target: _Target) -> _Target:
            self.add(name, target, help, paper, **facts)
            return target

        return enter

    def entry(self, name: str) -> EntryType:
        """The entry of `name`.

        Raises:
            ConfigError: There is no such name; the message lists the known ones and the closest.
        """
        if name not in self:
            raise self._error(no_such(self.kind, name, self, own=self.group is not None))
        return self[name]

    def load(self, name: str) -> Any:
        """Imports and returns what `name` stands for.

        Raises:
            ConfigError: There is no such name, or the user's own module cannot be imported.
        """
        entry = self.entry(name)
        if entry.held is not None or entry.target.startswith(_OWN):
            return entry.load()  # what fails here is a defect of this program
        said = f"The {self.kind} {name!r} is registered as {entry.target}"
        import_module(entry.target.partition(":")[0], said, self._error)
        try:
            return self[name].load()  # which the module may have entered itself by now
        except AttributeError:
            raise self._error(f"{said}, but there is no such thing in that module; correct the name.") from None

    def names(self) -> list[str]:
        """The registered names in the order of registration."""
        return list(self)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and super().__contains__(name)

    def __getitem__(self, name: str) -> EntryType:
        if name not in self._entries:
            self._look()
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        self._look()
        return iter(self._entries)

    def __len__(self) -> int:
        self._look()
        return len(self._entries)

    def _made(self, name: str, target: Any, help: str, paper: str, facts: Mapping[str, Any]) -> EntryType:
        if isinstance(target, str) and all(target.partition(":")):
            return self._entry(name, target, help, paper, **facts)
        if isinstance(target, str) or not hasattr(target, "__qualname__"):
            raise self._error(
                f"The {self.kind} {name!r} was to be registered as {target!r}, expected a class, a function, or where "
                "it lives, as 'package.module:attribute'; correct it."
            )
        help = help or next(iter((inspect.getdoc(target) or "").splitlines()), "").rstrip(".")
        return self._entry(name, f"{target.__module__}:{target.__qualname__}", help, paper, held=target, **facts)

    def _look(self) -> Self:
        """Enters what installed packages offer, once."""
        if self._looked:
            return self
        self._looked = True  # at once, for a module that is imported here may ask for names itself
        try:
            self._enter_offered()
        except UserError:
            self._looked = False  # to be told again
            raise
        return self

    def _enter_offered(self) -> None:
        from importlib.metadata import entry_points  # which costs milliseconds that most commands need not spend

        for point in sorted(entry_points(group=self.group), key=lambda point: point.name):
            package = f"the package {point.dist.name} {point.dist.version}" if point.dist else "an installed package"
            offered, known = self._made(point.name, point.value, f"of {package}", "", {}), self._entries.get(point.name)
            if known is not None and not known.is_same(offered):
                raise self._error(
                    f"The {self.kind} {point.name!r} of {package} is {point.value}, but {known.target} has that name "
                    "already; uninstall one of them."
                )
            self._entries[point.name] = known or offered
            if self._complete:
                self.load(point.name)


def import_module(name: str, said: str, error: type[UserError] = ConfigError) -> ModuleType:
    """Imports a module that the user names.

    Args:
        name: The module.
        said: Who names it, as the beginning of a sentence.
        error: What is raised.

    Raises:
        UserError: It is not there or cannot be imported.
    """
    try:
        return importlib.import_module(name)
    except UserError:
        raise
    except Exception as failure:
        told = " ".join(str(getattr(failure, "msg", None) or failure).split()).rstrip(".")
        reason = f"{type(failure).__name__}: {told}{_place_of(failure)}"
        raise error(
            f"{said}, but the module {name!r} cannot be imported ({reason}); correct the name or the module, or "
            "install what is missing."
        ) from failure


def no_such(kind: str, name: object, known: Iterable[str], own: bool = True) -> str:
    """The sentence about a name that nothing has, with the closest one.

    Args:
        kind: What is named.
        name: What was asked for.
        known: The names that there are.
        own: Whether the user may add names, which is said where no known one is close.
    """
    names = list(known)
    close = suggestion(str(name), names)
    beside = "; one of your own is known once what registers it is imported, as by plugins=[MODULE]"
    more = beside if own and not close else ""
    return f"There is no {kind} named {name!r}{close}; known: {', '.join(names) or 'none'}{more}."


def suggestion(word: str, known: Iterable[str]) -> str:
    """A clause such as ` (did you mean 'panda'?)`, or nothing when no known word is close to `word`."""
    names = {str(name).lower(): name for name in known}
    close = difflib.get_close_matches(str(word).lower(), names, n=1, cutoff=0.6)
    return f" (did you mean {names[close[0]]!r}?)" if close else ""


def _place_of(failure: Exception) -> str:
    """Where in the user's code it happened, as a clause; nothing where the module itself is missing."""
    if isinstance(failure, SyntaxError):
        return f", {failure.filename}, line {failure.lineno}"
    frames = traceback.extract_tb(failure.__traceback__)
    own = [it for it in frames if it.filename != __file__ and "importlib" not in it.filename]
    return f", {own[-1].filename}, line {own[-1].lineno}" if own else ""
