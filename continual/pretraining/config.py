"""Composes the configuration of a pretraining from `configs/pretrain` and the command line, and checks it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from continual.config import TrackingConfig, compose_in, configs_folder, names_in, with_absolute_path
from continual.construction import coerced, typed
from continual.errors import ConfigError
from continual.pretraining import RECIPES
from continual.pretraining.recipe import Recipe
from continual.registry import suggestion

FOLDER = "pretrain"
GROUPS = ("pool", "objectives", "stream", "strategy")
_COMMON = ("name", "kind", "description", "threads", "tracking")


@dataclass(frozen=True)
class PretrainConfig:
    """Everything that decides a pretraining.

    Attributes:
        name: The name of its file, or the `name` in it.
        kind: Of the recipe.
        recipe: How the model is made.
        tracking: Where it is logged.
        threads: CPU threads, or None for torch's choice.
        resolved: The whole configuration as plain values.
    """

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


def compose(name: str, overrides: Sequence[str] = ()) -> PretrainConfig:
    """The configuration called `name`, or in the YAML file of that path, with overrides such as `training.minutes=5`.

    Raises:
        ConfigError: A name, key or value is unknown or of the wrong type.
    """
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise ConfigError(
                f"There is no file {path}; give the path of a YAML file or a name from `continual ls pretrainings`."
            )
        return parse(path.stem, compose_in(path.absolute().parent, path.name, overrides, GROUPS))
    known = names_in(FOLDER)
    if name not in known:
        raise ConfigError(
            f"There is no pretraining named {name!r}{suggestion(name, known)}; known: {', '.join(known)}; or give a "
            "YAML file."
        )
    return parse(name, compose_in(configs_folder() / FOLDER, name, overrides, GROUPS))


def parse(name: str, resolved: dict[str, Any]) -> PretrainConfig:
    """Checks plain settings and gives them types; local paths become absolute, so that they mean the same elsewhere."""
    resolved = {key: with_absolute_path(value) for key, value in resolved.items()}
    kind = coerced(resolved.get("kind", ""), str, "kind")
    recipe = RECIPES.load(kind)
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
    return PretrainConfig(
        name=name,
        kind=kind,
        recipe=recipe.parse(resolved),
        tracking=typed(TrackingConfig, resolved.get("tracking"), "tracking"),
        threads=threads,
        resolved={"name": name, **resolved},
    )
