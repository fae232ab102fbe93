"""Composes the configuration of a run from `configs/` and the command line, and checks it."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from continual.backbone_settings import backbone_options, with_backbone_folders, with_kept_backbone
from continual.composing import (
    GROUPS,
    as_written,
    compose_in,
    configs_folder,
    is_group,
    laid_over,
    looked_up,
    names_in,
    not_chosen,
    refuse_renaming,
    settings_in,
    with_absolute_path,
)
from continual.construction import coerce_fields, coerced, typed
from continual.errors import ConfigError
from continual.following import FOLLOWS, following, with_values
from continual.limits import at_least
from continual.plugins import KEY as PLUGINS
from continual.plugins import load_plugins, with_loaded, without_plugins
from continual.registered import unfiled
from continual.registry import suggestion
from continual.settings import LearnerSettings

_RUN = "run.json"
"""What a run's folder holds beside its config.yaml."""


@dataclasses.dataclass(frozen=True)
class TrackingConfig:
    """Where a run is logged."""

    enabled: bool = dataclasses.field(default=True, metadata={"help": "log to MLflow"})
    uri: str | None = dataclasses.field(
        default=None, metadata={"help": "tracking URI; null: a SQLite file in the runs folder"}
    )
    experiment: str = dataclasses.field(default="continual", metadata={"help": "name of the MLflow experiment"})

    def __post_init__(self) -> None:
        coerce_fields(self, "tracking")
        if self.uri and "@" in self.uri.partition("://")[2].partition("/")[0]:
            raise ConfigError(
                "tracking.uri holds a password, which would be stored with the run; set the environment variables "
                "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD instead."
            )


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """Everything that decides a run.

    Attributes:
        stream: The stream's section, as `streams.build_stream` takes it.
        backbone: `{"name": ..., options}`.
        learner: How tasks are learned.
        tracking: Where the run is logged.
        threads: CPU threads, or None for torch's choice.
        resolved: The whole configuration as plain values.
        plugins: Modules that are imported first, since they register parts; files by their paths.
        follows: Dotted names of the settings that are whatever the seed is, such as `stream.split_seed`.
    """

    stream: dict[str, Any]
    backbone: dict[str, Any]
    learner: LearnerSettings
    tracking: TrackingConfig
    threads: int | None
    resolved: dict[str, Any]
    plugins: tuple[str, ...] = ()
    follows: tuple[str, ...] = ()

    @property
    def seed(self) -> int:
        """The run's seed."""
        return self.learner.seed

    @property
    def stored(self) -> dict[str, Any]:
        """What is saved beside the results: as `resolved`, but what follows the seed still does."""
        return with_values(self.resolved, list(self.follows), FOLLOWS)

    def to_yaml(self) -> str:
        """What is saved beside the results, as YAML."""
        import yaml

        return yaml.safe_dump(self.stored, sort_keys=False, allow_unicode=True)


def compose(name: str, overrides: Sequence[str] = ()) -> RunConfig:
    """The configuration of an experiment, a stream or a YAML file, with overrides such as `method=scratch`.

    Raises:
        ConfigError: A name, key or value is unknown or of the wrong type.
        UserError: A part refuses its settings.
    """
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        return from_file(path, overrides)
    overrides, given = without_plugins(overrides)
    plugins = load_plugins(given)
    overrides = with_backbone_folders(overrides)
    refuse_renaming(overrides)
    if name in names_in("experiment"):
        first = f"+experiment={name}"
    elif name in _names("stream"):
        first = f"stream={name}"
    else:
        known = sorted({*names_in("experiment"), *_names("stream")})
        raise ConfigError(
            f"There is no experiment or stream named {name!r}{suggestion(name, known)}; known: {', '.join(known)}; "
            "or give a YAML file."
        )
    resolved = _compose([first, *overrides]) | {PLUGINS: plugins}
    return parse(with_kept_backbone(resolved, backbone_options(overrides)))


def from_file(path: Path, overrides: Sequence[str] = ()) -> RunConfig:
    """The configuration in a YAML file, such as the `config.yaml` of a finished run, with overrides.

    Sections that the file leaves out keep their defaults; a name may stand for a section, as in `method: spot`, or the
    folder of a model for `backbone`. A relative `path` in the file starts from the file's folder, or from the current
    one where only that has it; one among the overrides starts from the current folder.
    """
    overrides, plugins = without_plugins(overrides)
    given = _given_in(path, plugins)
    refuse_renaming(overrides)
    overrides = with_backbone_folders([*_named_alone(given, overrides, path.parent), *overrides])
    chosen = [item for item in overrides if is_group(item)]
    given = not_chosen(given, chosen)
    named = [f"{key}={given[key]['name']}" for key in GROUPS[1:] if given.get(key, {}).get("name") in _names(key)]
    base = _compose([*named, *chosen])
    # What has no file of that name has no defaults there either; those of the default section would be another's.
    own = [key for key in GROUPS if key in given and f"{key}={given[key].get('name')}" not in named]
    settings = laid_over(base, given, own, [item for item in overrides if item not in chosen], _following_seed)
    return parse(with_kept_backbone(settings, {*given.get("backbone", {}), *backbone_options(overrides)}))


def parse(resolved: Mapping[str, Any]) -> RunConfig:
    """Checks plain settings and gives them types.

    Local paths become absolute, so that a run can be continued from any folder.

    Args:
        resolved: Plain values, or `${seed}` for what follows the seed.
    """
    follows = following(resolved)
    resolved = with_values(resolved, follows, resolved.get("seed", 0))
    resolved = {key: with_absolute_path(value) for key, value in resolved.items()}
    own = [field.name for field in dataclasses.fields(LearnerSettings)]
    known = [PLUGINS, "stream", "backbone", *own, "tracking", "threads"]
    for key in resolved:
        if key not in known:
            raise ConfigError(f"There is no setting {key!r}{suggestion(key, known)}; known: {', '.join(known)}.")
    resolved = with_loaded(resolved)
    settings = LearnerSettings(**{key: resolved[key] for key in own if key in resolved})
    if not settings.growth.active:
        resolved.pop("growth", None)  # a run without growth is the run that it was before there was growth
    threads = coerced(resolved.get("threads"), int | None, "threads")
    return RunConfig(
        stream=dict(resolved["stream"]),
        backbone=dict(resolved["backbone"]),
        learner=settings,
        tracking=typed(TrackingConfig, resolved.get("tracking"), "tracking"),
        threads=None if threads is None else at_least(1, threads, "threads"),
        resolved=resolved,
        plugins=tuple(resolved.get(PLUGINS, ())),
        follows=tuple(follows),
    )


def _compose(overrides: Sequence[str]) -> dict[str, Any]:
    return compose_in(configs_folder(), "config", overrides, GROUPS, _following_seed)


def _following_seed(settings: Any) -> dict[str, Any]:
    """Plain settings, all references looked up but those to the seed."""
    return with_values(looked_up(settings), following(as_written(settings)), FOLLOWS)


def _given_in(path: Path, plugins: list[str] | None) -> dict[str, Any]:
    """What a file says, its plugins imported, or others in their place if they are not None."""
    settings = settings_in(path, "the name of a stream")
    given = {key: with_absolute_path(value, path.parent) for key, value in settings.items()}
    for group in GROUPS:
        if group in given and not isinstance(given[group], dict | str):
            raise ConfigError(f"In {path}, {group} is {given[group]!r}, expected `{group}: {{name: ...}}`; correct it.")
    # A run names its plugins by absolute paths: what lies in the folder of a stranger's run is never taken for one.
    beside = None if (path.parent / _RUN).exists() else path.parent
    return given | {PLUGINS: load_plugins(given.get(PLUGINS), beside) if plugins is None else load_plugins(plugins)}


def _named_alone(given: Mapping[str, Any], overrides: Sequence[str], folder: Path) -> list[str]:
    """The sections of a file that are a name alone, as overrides, which stand back behind those that are given."""
    named = {key: given[key] for key in GROUPS if isinstance(given.get(key), str)}
    if "backbone" in named and (folder / named["backbone"] / "config.json").is_file():
        named["backbone"] = str((folder / named["backbone"]).absolute())
    return [f"{key}={it}" for key, it in named.items() if not any(word.startswith(f"{key}=") for word in overrides)]


def _names(group: str) -> list[str]:
    """All names of a group: those of its YAML files, and those that are registered without one."""
    return [*names_in(group), *unfiled(group)]
