"""Composes the configuration of a pretraining from `configs/pretrain` and the command line, and checks it."""

from collections.abc import Sequence
from typing import Any

from continual.composing import with_absolute_path
from continual.making import config as making
from continual.making.config import Family, RecipeConfig
from continual.pretraining import RECIPES


def _with_absolute_paths(resolved: dict[str, Any]) -> dict[str, Any]:
    """Plain settings that mean the same in any folder."""
    return {key: with_absolute_path(value) for key, value in resolved.items()}


FAMILY = Family(
    command="pretrain",
    noun="pretraining",
    listing="pretrainings",
    folder="pretrain",
    root="pretrain",
    groups=("pool", "objectives", "stream", "strategy"),
    recipes=RECIPES,
    tidy=_with_absolute_paths,
)


def compose(name: str, overrides: Sequence[str] = ()) -> RecipeConfig:
    """See `continual.making.config.compose`."""
    return making.compose(FAMILY, name, overrides)


def parse(name: str, resolved: dict[str, Any]) -> RecipeConfig:
    """See `continual.making.config.parse`."""
    return making.parse(FAMILY, name, resolved)
