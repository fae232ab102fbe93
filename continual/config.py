"""Composes the configuration of a run from `configs/` and the command line, and checks it."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from continual.backbone.generation import Decoding
from continual.backbone.readout import Readout
from continual.construction import coerced
from continual.construction import typed as _typed
from continual.errors import ConfigError, UserError
from continual.files import read_json
from continual.growth.config import GrowthConfig
from continual.registry import suggestion
from continual.settings import LearnerSettings, RoutingConfig, TransferConfig
from continual.training.config import TrainingConfig

GROUPS = ("stream", "backbone", "tuning", "method")


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
        resolved: The whole configuration as plain values: what is saved beside the results.
    """

    stream: dict[str, Any]
    backbone: dict[str, Any]
    learner: LearnerSettings
    tracking: TrackingConfig
    threads: int | None
    resolved: dict[str, Any]

    @property
    def seed(self) -> int:
        """The run's seed."""
        return self.learner.seed

    def to_yaml(self) -> str:
        """The resolved configuration as YAML."""
        import yaml

        return yaml.safe_dump(self.resolved, sort_keys=False, allow_unicode=True)


def configs_folder() -> Path:
    """The folder of the YAML files: inside the installed package, or at the top of a source tree."""
    packaged = Path(__file__).parent / "configs"
    return packaged if packaged.is_dir() else Path(__file__).parent.parent / "configs"


def names_in(group: str) -> list[str]:
    """The names of the YAML files of a group such as `stream`, sorted."""
    return sorted(path.stem for path in (configs_folder() / group).glob("*.yaml"))


def compose(name: str, overrides: Sequence[str] = ()) -> RunConfig:
    """The configuration of an experiment, a stream or a YAML file, with overrides such as `method=scratch`.

    Raises:
        ConfigError: A name, key or value is unknown or of the wrong type.
        UserError: A part refuses its settings.
    """
    overrides = _with_backbone_folders(overrides)
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
    return parse(_compose([first, *overrides]))


def from_file(path: Path, overrides: Sequence[str] = ()) -> RunConfig:
    """The configuration in a YAML file, such as the `config.yaml` of a finished run, with overrides.

    Sections that the file leaves out keep their defaults.
    """
    import yaml
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    overrides = _with_backbone_folders(overrides)
    try:
        # OmegaConf's own loader, since plain YAML takes 1e-3 for a text.
        given = OmegaConf.to_container(OmegaConf.create(path.read_text(encoding="utf-8")), resolve=False)
    except FileNotFoundError:
        raise ConfigError(f"There is no file {path}; give the path of a YAML file or the name of a stream.") from None
    except (OSError, ValueError, yaml.YAMLError, OmegaConfBaseException) as error:
        reason = str(error).replace("\n", " ")
        raise ConfigError(f"{path} is not a readable YAML file ({reason}); correct it.") from error
    if not isinstance(given, dict):
        raise ConfigError(f"{path} holds no settings, expected `section: {{key: value}}`; correct it.")
    for group in GROUPS:
        if group in given and not isinstance(given[group], dict):
            raise ConfigError(f"In {path}, {group} is {given[group]!r}, expected `{group}: {{name: ...}}`; correct it.")
    chosen = [item for item in overrides if _is_group(item)]
    # A group chosen on the command line replaces the file's section.
    given = {key: value for key, value in given.items() if not any(item.startswith(f"{key}=") for item in chosen)}
    named = [f"{key}={given[key]['name']}" for key in GROUPS[1:] if given.get(key, {}).get("name") in names_in(key)]
    base = _compose([*named, *chosen])
    # What has no file of that name has no defaults there either; those of the default section would be another's.
    own = [key for key in GROUPS if key in given and f"{key}={given[key].get('name')}" not in named]
    try:
        merged = OmegaConf.merge({**base, **{key: {} for key in own}}, given)
        values = [item for item in overrides if item not in chosen]
        merged.merge_with_dotlist([_checked(item, OmegaConf.to_container(merged)) for item in values])
        return parse(OmegaConf.to_container(merged, resolve=True))
    except (OmegaConfBaseException, yaml.YAMLError) as error:
        raise ConfigError(_first_line(error)) from error


def _with_backbone_folders(overrides: Sequence[str]) -> list[str]:
    """The overrides with `backbone=FOLDER`, a folder of a model, as the backbone of its kind and its path."""
    result = []
    for item in overrides:
        key, _, value = item.partition("=")
        folder = Path(value).expanduser()
        if key == "backbone" and (folder / "config.json").is_file():
            result += [f"backbone={_kind_of_model(folder)}", f"backbone.path='{folder.absolute()}'"]
        else:
            result.append(item)
    return result


def backbone_settings(words: Sequence[str]) -> dict[str, Any]:
    """The settings of a backbone that are given word by word: a name, the folder of a model, or key=value.

    Example:
        >>> backbone_settings(["minilm", "max_length=64"])
        {'name': 'minilm', 'max_length': 64}

    Raises:
        ConfigError: A value is no YAML.
    """
    found: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        folder = Path(word).expanduser()
        if (folder / "config.json").is_file():
            found |= {"name": _kind_of_model(folder), "path": str(folder.absolute())}
        else:
            found |= {key: _plain(value, key)} if equals else {"name": word}
    return found


def _plain(text: str, key: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{key} is {text!r}, expected a plain value ({_first_line(error)}); correct it.") from None


def _kind_of_model(folder: Path) -> str:
    """The backbone that reads a model; what is wrong with its config.json is told when it is loaded."""
    try:
        config = read_json(folder / "config.json")
        architectures = [str(name) for name in config.get("architectures") or []]
    except (OSError, ValueError, AttributeError):
        return "hub"
    if config.get("is_encoder_decoder"):
        return "seq2seq"
    return "causal" if any(name.endswith(("ForCausalLM", "LMHeadModel")) for name in architectures) else "hub"


def parse(resolved: Mapping[str, Any]) -> RunConfig:
    """Checks plain settings and gives them types.

    Local paths become absolute, so that a run can be continued from any folder.
    """
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
        seed=_number(resolved, "seed", 0, int),
    )
    threads = resolved.get("threads")
    return RunConfig(
        stream=dict(resolved["stream"]),
        backbone=dict(resolved["backbone"]),
        learner=settings,
        tracking=_typed(TrackingConfig, resolved.get("tracking"), "tracking"),
        threads=None if threads is None else _number(resolved, "threads", 1, int, smallest=1),
        resolved=dict(resolved),
    )


def _compose(overrides: Sequence[str]) -> dict[str, Any]:
    return compose_in(configs_folder(), "config", overrides, GROUPS)


def compose_in(folder: Path, name: str, overrides: Sequence[str], groups: Sequence[str]) -> dict[str, Any]:
    """The plain settings that the file `name` of a folder of YAML files makes with overrides.

    Args:
        folder: Where the files are; each group is a folder in it.
        name: The file to begin with, without its ending.
        overrides: `group=file` and `key=value`.
        groups: The groups of which another file can be chosen.

    Raises:
        ConfigError: A file, key or value is unknown.
    """
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    OmegaConf.register_new_resolver("data", _data_path, replace=True)
    try:
        with initialize_config_dir(str(folder), version_base="1.3"):
            # Values are checked against the config that the chosen groups make, so groups come first.
            chosen = [item for item in overrides if _is_group(item, folder, groups)]
            plain = OmegaConf.to_container(hydra_compose(name, overrides=chosen))
            values = [_checked(item, plain) for item in overrides if item not in chosen]
            composed = hydra_compose(name, overrides=[*chosen, *values])
        return OmegaConf.to_container(composed, resolve=True)
    except UserError:
        raise
    except (HydraException, OmegaConfBaseException) as error:
        cause = error
        while cause is not None and not isinstance(cause, UserError):
            cause = cause.__cause__ or cause.__context__
        raise cause if isinstance(cause, UserError) else ConfigError(_first_line(error)) from error
    finally:
        GlobalHydra.instance().clear()


def _is_group(override: str, folder: Path | None = None, groups: Sequence[str] = GROUPS) -> bool:
    """Whether an override chooses a file of a group; refuses one that chooses a file that is not there."""
    key, equals, value = override.partition("=")
    if key == "+experiment":
        return True
    if key not in groups or not equals:
        return False
    known = sorted(path.stem for path in ((folder or configs_folder()) / key).glob("*.yaml"))
    if value not in known:
        raise ConfigError(f"There is no {key} named {value!r}{suggestion(value, known)}; known: {', '.join(known)}.")
    return True


def _checked(override: str, plain: Mapping[str, Any]) -> str:
    """An override `key=value` whose key exists in the config."""
    key, equals, _ = override.partition("=")
    if not equals:
        raise ConfigError(f"The setting {override!r} has no value; write it as {override}=VALUE.")
    known = list(_leaves(plain))
    bare = key.lstrip("+")
    inside = any(bare.startswith(f"{leaf}.") or leaf.startswith(f"{bare}.") for leaf in known)
    if bare not in known and not inside and not (key.startswith("+") and "." in key):
        last = [leaf for leaf in known if leaf.split(".")[-1] == bare.split(".")[-1]]
        hint = suggestion(bare, known) or (f" (did you mean {last[0]!r}?)" if last else "")
        section = bare.split(".")[0]
        near = [leaf for leaf in known if leaf.split(".")[0] == section] or sorted(
            {leaf.split(".")[0] for leaf in known}
        )
        raise ConfigError(f"There is no setting {bare!r}{hint}; known: {', '.join(near)}.")
    return override


def _leaves(value: Any, start: str = "") -> Any:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _leaves(item, f"{start}.{key}" if start else str(key))
    else:
        yield start


def _data_path(relative: str) -> str:
    """`${data:PATH}` in a config: a file below the folder that the environment variable CONTINUAL_DATA names."""
    root = os.environ.get("CONTINUAL_DATA")
    if not root:
        raise ConfigError(
            f"These settings read {relative} from the folder named by the environment variable CONTINUAL_DATA, which "
            "is not set; run: export CONTINUAL_DATA=FOLDER, or give the path itself (stream.path=, pool.folder=)."
        )
    return str(Path(root).expanduser().absolute() / relative)


def with_absolute_path(section: Any) -> Any:
    """A section of plain settings whose `path` does not depend on the folder that a command is given in."""
    if isinstance(section, Mapping) and isinstance(section.get("parts"), Mapping):  # a stream of streams
        section = {**section, "parts": {key: with_absolute_path(part) for key, part in section["parts"].items()}}
    path = section.get("path") if isinstance(section, Mapping) else None
    if not isinstance(path, str) or not Path(path).exists():
        return section
    return {**section, "path": str(Path(path).absolute())}


def _number(resolved: Mapping[str, Any], key: str, default: float, kind: type, smallest: float = 0) -> Any:
    value = coerced(resolved.get(key, default), kind, key)
    if value < smallest:
        raise ConfigError(f"{key} is {value}, expected {smallest} or more.")
    return value


def _first_line(error: Exception) -> str:
    line = str(error).strip().splitlines()[0].rstrip(".")
    return f"The configuration is not valid: {line}; correct it and run the command again."
