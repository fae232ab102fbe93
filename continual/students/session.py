"""One student: its settings from `configs/distil` and the command line, and its folder among the runs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from continual.making import config as making
from continual.making.config import Family, RecipeConfig
from continual.making.session import Making, by_place
from continual.students import STUDENTS
from continual.students.models import with_absolute_paths

FAMILY = Family(
    command="distil",
    noun="student",
    listing="students",
    folder="distil",
    root="",
    groups=("stream",),
    recipes=STUDENTS,
    tidy=with_absolute_paths,
)


def compose(name: str, overrides: Sequence[str] = ()) -> RecipeConfig:
    """See `continual.making.config.compose`."""
    return making.compose(FAMILY, name, overrides)


class Student(Making):
    """A student in the folder of runs.

    Args:
        config: What is to be made.
        runs: The folder of runs.
        name: Of the student's folder; made of the configuration's name and a digest if not given.
    """

    about = "summary.json"

    def __init__(self, config: RecipeConfig, runs: Path, name: str | None = None) -> None:
        super().__init__(config, runs.absolute(), name)

    def metrics(self, summary: Mapping[str, Any]) -> list[dict[str, float]]:
        """The numbers of each row of the scores."""
        return [by_place([row]) for row in summary["scores"]]
