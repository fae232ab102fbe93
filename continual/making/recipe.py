"""What a kind of model that is made has to offer, and what it is given."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from continual.training.watch import Watcher


@dataclass(frozen=True)
class Place:
    """Where a model is made.

    Attributes:
        folder: Keeps what has to survive a kill; it is removed when the model is finished.
        started: `time.monotonic()` at the beginning of this session of work.
        watcher: Told of the steps of the training; may ask to stop.
        say: Shows a line to the person at the terminal.
        done: The same, when one of the recipe's `parts` is done.
    """

    folder: Path
    started: float
    watcher: Watcher
    say: Callable[[str], None]
    done: Callable[[str], None]


@dataclass(frozen=True)
class Made:
    """A finished model.

    Attributes:
        save: Writes it to an empty folder, as Hugging Face's library does.
        summary: What is told of it: plain values, with `scores`, a list of rows of names and numbers.
    """

    save: Callable[[Path], None]
    summary: dict[str, Any]


class Recipe(Protocol):
    """The settings of a model, and how it is made. Registered under the `kind` that its YAML files name.

    Attributes:
        sections: Keys that its YAML file may have, beside those of every kind.
        parts: What `make` tells as done, one after the other.
    """

    sections: tuple[str, ...]

    @property
    def parts(self) -> Sequence[str]:
        """See `Attributes`."""

    @classmethod
    def parse(cls, settings: Mapping[str, Any]) -> "Recipe":
        """From plain settings; refuses what it does not know."""

    def identity(self) -> dict[str, Any]:
        """Plain values that decide the model: the same ones mean that it need not be made again."""

    def make(self, place: Place) -> Made:
        """Makes the model, from where a killed process left it.

        Raises:
            Interrupted: The user asked to stop; what was done is kept in `place.folder`.
            UserError: Something has to be put right first.
        """
