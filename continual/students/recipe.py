"""What a kind of student has to offer."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Protocol

from continual.making.recipe import Recipe


class StudentRecipe(Recipe, Protocol):
    """The settings of a student, and how it learns: a dataclass, registered in `STUDENTS`.

    What `make` gives back saves the student as an ordinary Hugging Face folder, and its summary has the keys `student`
    (what it was made of), `task`, `scores` (a row of names and numbers before the first step and after each), `stages`
    and `seconds` (as `stages.Stages` has them).

    Attributes:
        columns: The columns of `scores` that the command shows.
    """

    columns: Sequence[str]


def identity(value: Any) -> Any:
    """What decides a student, as plain values, for `Recipe.identity`.

    Args:
        value: A recipe, or what it is made of: dataclasses (such that have a method `identity` speak for themselves),
            sequences and plain values.
    """
    if dataclasses.is_dataclass(value):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return {name: item.identity() if hasattr(item, "identity") else identity(item) for name, item in fields.items()}
    if isinstance(value, list | tuple):
        return [item.identity() if hasattr(item, "identity") else identity(item) for item in value]
    return value
