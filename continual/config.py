"""Composes the configuration of a run from `configs/` and the command line, and checks it."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from continual.backbone.generation import Decoding
from continual.backbone.readout import Readout
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
    settings_in,
    with_absolute_path,
)
from continual.construction import coerced
from continual.construction import typed as _typed
from continual.errors import ConfigError
from continual.following import FOLLOWS, following, with_values
from continual.growth.config import GrowthConfig
from continual.limits import at_least
from continual.registry import suggestion
from continual.settings import LearnerSettings, RoutingConfig, TransferConfig
from continual.training.config import TrainingConfig


@dataclasses.dataclass(frozen=True)
class TrackingConfig:
    """Where a run is logged."""

    enabled: bool = dataclasses.field(default=True, metadata={"help": "log to MLflow"})
    uri: str | None = dataclasses.field(
        default=None, metadata={"help": "tracking URI; null: a SQLite file in the runs folder"}
    )
    experiment: str = dataclasses.field(default="continual", metadata={"help": "name of the MLflow experiment"})

    def __post_init__(self) -> None:
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
        follows: Dotted names of the settings that are whatever the seed is, such as `stream.split_seed`.
    """

    stream: dict[str, Any]
    backbone: dict[str, Any]
    learner: LearnerSettings
    tracking: TrackingConfig
    threads: int | None
    resolved: dict[str, Any]
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
    overrides = with_backbone_folders(overrides)
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        return from_file(path, overrides)
    if name in names_in("experiment"):
        first = f"+experiment={name}"
    elif name in names_in("stream"):
        first = f"stream={name}"
    else:
        known = sorted({*names_in("experiment"), *names_in("stream")})
        raise ConfigError(
            f"There is no experiment or stream named {name!r}{suggestion(name, known)}; known: {', '.join(known)}; "
            "or give a YAML file."
        )
    return parse(with_kept_backbone(_compose([first, *overrides]), backbone_options(overrides)))


def from_file(path: Path, overrides: Sequence[str] = ()) -> RunConfig:
    """The configuration in a YAML file, such as the `config.yaml` of a finished run, with overrides.

    Sections that the file leaves out keep their defaults. A relative `path` in the file starts from the file's folder,
    or from the current one where only that has it; one among the overrides starts from the current folder.
    """
    overrides = with_backbone_folders(overrides)
    given = {
        key: with_absolute_path(value, path.parent) for key, value in settings_in(path, "the name of a stream").items()
    }
    for group in GROUPS:
        if group in given and not isinstance(given[group], dict):
            raise ConfigError(f"In {path}, {group} is {given[group]!r}, expected `{group}: {{name: ...}}`; correct it.")
    chosen = [item for item in overrides if is_group(item)]
    given = not_chosen(given, chosen)
    named = [f"{key}={given[key]['name']}" for key in GROUPS[1:] if given.get(key, {}).get("name") in names_in(key)]
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
    seed = _number(resolved, "seed", 0, int)
    resolved = with_values(resolved, follows, seed)
    resolved = {key: with_absolute_path(value) for key, value in resolved.items()}
    known = [
        "stream",
        "backbone",
        "tuning",
        "method",
        "readout",
        "training",
        "transfer",
        "routing",
        "growth",
        "decoding",
        "tracking",
        "seed",
        "answers",
        "cache_mb",
        "threads",
    ]
    for key in resolved:
        if key not in known:
            raise ConfigError(f"There is no setting {key!r}{suggestion(key, known)}; known: {', '.join(known)}.")
    growth = _typed(GrowthConfig, resolved.get("growth"), "growth")
    if not growth.active:
        resolved.pop("growth", None)  # a run without growth is the run that it was before there was growth
    settings = LearnerSettings(
        method=dict(resolved["method"]),
        tuning=dict(resolved["tuning"]),
        readout=_typed(Readout, resolved.get("readout"), "readout"),
        training=_typed(TrainingConfig, resolved.get("training"), "training"),
        transfer=_typed(TransferConfig, resolved.get("transfer"), "transfer"),
        routing=_typed(RoutingConfig, resolved.get("routing"), "routing"),
        growth=growth,
        decoding=_typed(Decoding, resolved.get("decoding"), "decoding"),
        answers=coerced(resolved.get("answers", "head"), str, "answers"),
        cache_mb=_number(resolved, "cache_mb", 2048, float),
        seed=seed,
    )
    threads = resolved.get("threads")
    return RunConfig(
        stream=dict(resolved["stream"]),
        backbone=dict(resolved["backbone"]),
        learner=settings,
        tracking=_typed(TrackingConfig, resolved.get("tracking"), "tracking"),
        threads=None if threads is None else _number(resolved, "threads", 1, int, smallest=1),
        resolved=dict(resolved),
        follows=tuple(follows),
    )


def _compose(overrides: Sequence[str]) -> dict[str, Any]:
    return compose_in(configs_folder(), "config", overrides, GROUPS, _following_seed)


def _following_seed(settings: Any) -> dict[str, Any]:
    """Plain settings, all references looked up but those to the seed."""
    return with_values(looked_up(settings), following(as_written(settings)), FOLLOWS)


def _number(resolved: Mapping[str, Any], key: str, default: float, kind: type, smallest: float = 0) -> Any:
    return at_least(smallest, coerced(resolved.get(key, default), kind, key), key)
