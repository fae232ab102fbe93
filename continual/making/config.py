"""Composes the settings of a model that is to be made from YAML files and the command line, and checks them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from continual.composing import (
    Finish,
    as_written,
    compose_in,
    configs_folder,
    is_group,
    laid_over,
    looked_up,
    names_in,
    not_chosen,
    settings_in,
)
from continual.config import TrackingConfig
from continual.construction import coerced, typed
from continual.errors import ConfigError
from continual.making.recipe import Recipe
from continual.plugins import KEY as PLUGINS
from continual.plugins import load_plugins, with_loaded, without_plugins
from continual.registry import Registry, suggestion

_COMMON = (PLUGINS, "name", "kind", "description", "threads", "tracking")


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
    overrides, given = without_plugins(overrides)
    plugins = None if given is None else load_plugins(given)
    if path.suffix in (".yaml", ".yml"):
        return parse(family, path.stem, _in_file(family, path, overrides, plugins))
    known = names_in(family.folder)
    if name not in known:
        raise ConfigError(
            f"There is no {family.noun} named {name!r}{suggestion(name, known)}; known: {', '.join(known)}; or give a "
            "YAML file."
        )
    return parse(family, name, {PLUGINS: plugins or [], **_packaged(family, name, overrides)})


def _packaged(family: Family, name: str, overrides: Sequence[str], finish: Finish = looked_up) -> dict[str, Any]:
    """The plain settings of a file in `configs`; arguments as for `compose_in`."""
    root = configs_folder() / family.root
    file = (configs_folder() / family.folder / name).relative_to(root)
    return compose_in(root, str(file), overrides, family.groups, finish)


def _in_file(family: Family, path: Path, overrides: Sequence[str], plugins: list[str] | None) -> dict[str, Any]:
    """The plain settings in a YAML file, over the defaults of its kind; other plugins than it names, if not None."""
    given = settings_in(path, f"a name from `continual ls {family.listing}`")
    given[PLUGINS] = load_plugins(given.get(PLUGINS), path.parent) if plugins is None else plugins
    chosen = [item for item in overrides if is_group(item, configs_folder() / family.root, family.groups)]
    given = not_chosen(given, chosen)
    nearest = _nearest(family, path, given)
    base = _bare() if nearest is None else _packaged(family, nearest, chosen, as_written)
    base = {key: value for key, value in base.items() if key not in ("name", "description")}  # of the other file
    # What names its kind is whole: the options of another kind would not be its own.
    own = [group for group in family.groups if isinstance(given.get(group), Mapping) and "kind" in given[group]]
    return laid_over(base, given, own, [item for item in overrides if item not in chosen])


def _bare() -> dict[str, Any]:
    """The defaults of a kind of the user's own, of which there is no file: those that every kind has."""
    return {"threads": None, "tracking": asdict(TrackingConfig())}


def _nearest(family: Family, path: Path, given: Mapping[str, Any]) -> str | None:
    """The file in `configs` whose settings are a file's defaults: its namesake, or the first of its kind, if any is.

    Raises:
        ConfigError: The file names no kind that there is.
    """
    kind = given.get("kind")
    if not isinstance(kind, str):
        raise ConfigError(
            f"In {path}, kind is {kind!r}, expected one of {', '.join(family.recipes.names())}; add `kind: NAME`."
        )
    family.recipes.entry(kind)
    files = {name: configs_folder() / family.folder / f"{name}.yaml" for name in names_in(family.folder)}
    same = [name for name, file in files.items() if settings_in(file, "").get("kind") == kind]
    return next((name for name in (given.get("name"), kind, *same[:1]) if name in same), None)


def parse(family: Family, name: str, resolved: dict[str, Any]) -> RecipeConfig:
    """Checks plain settings and gives them types."""
    resolved = family.tidy(with_loaded(resolved))
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
