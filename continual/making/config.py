"""Composes the settings of a model that is to be made from YAML files and the command line, and checks them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from continual.config import TrackingConfig, compose_in, configs_folder, names_in
from continual.construction import coerced, typed
from continual.errors import ConfigError
from continual.making.recipe import Recipe
from continual.registry import Registry, suggestion

_COMMON = ("name", "kind", "description", "threads", "tracking")


@dataclass(frozen=True)
class Family:
    """A command that makes models by recipes.

    Attributes:
        command: Its name, as in `continual pretrain`.
        noun: What it makes, for messages.
        listing: What `continual ls` calls its files.
        folder: Where in `configs` these files are.
        root: Where in `configs` their groups are, `folder` or the whole of it.
        groups: The groups of which a file can be chosen, such as `pool=mt`.
        recipes: The kinds, by name.
        tidy: What is done to plain settings before they are checked and stored.
    """

    command: str
    noun: str
    listing: str
    folder: str
    root: str
    groups: tuple[str, ...]
    recipes: Registry
    tidy: Callable[[dict[str, Any]], dict[str, Any]] = dict


@dataclass(frozen=True)
class RecipeConfig:
    """Everything that decides a model.

    Attributes:
        family: Which command makes it.
        name: The name of its file, or the `name` in it.
        kind: Of the recipe.
        recipe: How the model is made.
        tracking: Where it is logged.
        threads: CPU threads, or None for torch's choice.
        resolved: The whole configuration as plain values.
    """

    family: Family
    name: str
    kind: str
    recipe: Recipe
    tracking: TrackingConfig
    threads: int | None
    resolved: dict[str, Any]

    def to_yaml(self) -> str:
        """The resolved configuration as YAML, which `compose` takes as a file."""
        import yaml

        return yaml.safe_dump(self.resolved, sort_keys=False, allow_unicode=True)


def compose(family: Family, name: str, overrides: Sequence[str] = ()) -> RecipeConfig:
    """The settings called `name`, or in the YAML file of that path, with overrides such as `training.minutes=5`.

    Raises:
        ConfigError: A name, key or value is unknown or of the wrong type.
    """
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise ConfigError(
                f"There is no file {path}; give the path of a YAML file or a name from `continual ls {family.listing}`."
            )
        return parse(family, path.stem, compose_in(path.absolute().parent, path.name, overrides, family.groups))
    known = names_in(family.folder)
    if name not in known:
        raise ConfigError(
            f"There is no {family.noun} named {name!r}{suggestion(name, known)}; known: {', '.join(known)}; or give a "
            "YAML file."
        )
    root = configs_folder() / family.root
    file = (configs_folder() / family.folder / name).relative_to(root)
    return parse(family, name, compose_in(root, str(file), overrides, family.groups))


def parse(family: Family, name: str, resolved: dict[str, Any]) -> RecipeConfig:
    """Checks plain settings and gives them types."""
    resolved = family.tidy(resolved)
    kind = coerced(resolved.get("kind", ""), str, "kind")
    recipe = family.recipes.load(kind)
    known = [*_COMMON, *recipe.sections]
    for key in resolved:
        if key not in known:
            raise ConfigError(f"There is no setting {key!r}{suggestion(key, known)}; known: {', '.join(known)}.")
    threads = coerced(resolved.get("threads"), int | None, "threads")
    if threads is not None and threads < 1:
        raise ConfigError(f"threads is {threads}, expected 1 or more, or null.")
    name = coerced(resolved.get("name", name), str, "name")
    if not name or "/" in name or name.startswith("."):
        raise ConfigError(f"name is {name!r}, expected one that a folder can have.")
    return RecipeConfig(
        family=family,
        name=name,
        kind=kind,
        recipe=recipe.parse(resolved),
        tracking=typed(TrackingConfig, resolved.get("tracking"), "tracking"),
        threads=threads,
        resolved={"name": name, **resolved},
    )
