"""What a metric is, and how one is found by its name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from continual.errors import ConfigError
from continual.registry import suggestion

Better = Literal["higher", "lower", "neither"]
_Function = TypeVar("_Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Metric:
    """A named metric with the words that explain it.

    Attributes:
        name: How it is called in configs, summaries and tables.
        help: One line in plain words.
        formula: The definition in one line of text.
        better: Which direction is good.
        function: The pure function that computes it.
        needs_bound: Whether it needs the scores of joint training as well, which a run by itself does not have.
    """

    name: str
    help: str
    formula: str
    better: Better
    function: Callable[..., Any]
    needs_bound: bool = False


def registered(
    registry: dict[str, Metric], name: str, *, help: str, formula: str, better: Better, needs_bound: bool = False
) -> Callable[[_Function], _Function]:
    """A decorator that enters a function into `registry` as `name` and returns it unchanged.

    Raises:
        ValueError: The name is taken; two metrics of one name would make tables ambiguous.
    """

    def enter(function: _Function) -> _Function:
        if name in registry:
            raise ValueError(f"a metric named {name!r} is registered already")
        registry[name] = Metric(name, help, formula, better, function, needs_bound)
        return function

    return enter


def find_metric(registry: Mapping[str, Metric], name: str) -> Metric:
    """The metric named `name`.

    Raises:
        ConfigError: There is none; the message lists the known ones and the closest.
    """
    if name not in registry:
        raise ConfigError(
            f"There is no metric named {name!r}{suggestion(name, registry)}; known: {', '.join(registry)}."
        )
    return registry[name]
