"""Composes the configuration of a run from `configs/` and the command line, and checks it."""

import dataclasses
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from continual.backbone.generation import Decoding
from continual.backbone.kept import as_kept
from continual.backbone.readout import Readout
from continual.construction import coerced
from continual.construction import typed as _typed
from continual.errors import ConfigError, UserError
from continual.files import read_json
from continual.following import FOLLOWS, following, with_values
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
    return parse(_as_kept(_compose([first, *overrides]), _backbone_options(overrides)))


def from_file(path: Path, overrides: Sequence[str] = ()) -> RunConfig:
    """The configuration in a YAML file, such as the `config.yaml` of a finished run, with overrides.

    Sections that the file leaves out keep their defaults. A relative `path` in the file starts from the file's folder,
    or from the current one where only that has it; one among the overrides starts from the current folder.
    """
    overrides = _with_backbone_folders(overrides)
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
    return parse(_as_kept(settings, {*given.get("backbone", {}), *_backbone_options(overrides)}))


def settings_in(path: Path, instead: str) -> dict[str, Any]:
    """The plain settings that stand in a YAML file, references such as `${data:PATH}` as they are.

    Args:
        path: The file.
        instead: What else could be given, for the message.

    Raises:
        ConfigError: It is not there, cannot be read or holds no settings.
    """
    import yaml
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        # OmegaConf's own loader, since plain YAML takes 1e-3 for a text.
        given = OmegaConf.to_container(OmegaConf.create(path.read_text(encoding="utf-8")), resolve=False)
    except FileNotFoundError:
        raise ConfigError(f"There is no file {path}; give the path of a YAML file or {instead}.") from None
    except (OSError, ValueError, yaml.YAMLError, OmegaConfBaseException) as error:
        reason = str(error).replace("\n", " ")
        raise ConfigError(f"{path} is not a readable YAML file ({reason}); correct it.") from error
    if not isinstance(given, dict):
        raise ConfigError(f"{path} holds no settings, expected `section: {{key: value}}`; correct it.")
    return given


def not_chosen(given: Mapping[str, Any], chosen: Sequence[str]) -> dict[str, Any]:
    """A file's settings without the sections that are replaced by `chosen`, groups chosen on the command line."""
    return {key: value for key, value in given.items() if not any(item.startswith(f"{key}=") for item in chosen)}


Finish = Callable[[Any], dict[str, Any]]
"""Makes plain values of composed settings."""


def looked_up(settings: Any) -> dict[str, Any]:
    """Plain settings, all references looked up."""
    from omegaconf import OmegaConf

    return OmegaConf.to_container(settings, resolve=True)


def as_written(settings: Any) -> dict[str, Any]:
    """Plain settings, references as they are written."""
    from omegaconf import OmegaConf

    return OmegaConf.to_container(settings, resolve=False)


def laid_over(
    base: Mapping[str, Any],
    given: Mapping[str, Any],
    own: Sequence[str],
    overrides: Sequence[str],
    finish: Finish = looked_up,
) -> dict[str, Any]:
    """The plain settings that a file's settings make with defaults and overrides.

    Args:
        base: The defaults.
        given: The file's settings.
        own: Sections of the file that have no defaults.
        overrides: `key=value`.
        finish: What becomes of references such as `${data:PATH}`, which are looked up by default.

    Raises:
        ConfigError: A key is unknown, or a value is of the wrong type.
    """
    import yaml
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        merged = OmegaConf.merge({**base, **{key: {} for key in own}}, given)
        plain = _with_stream_options(OmegaConf.to_container(merged))
        merged.merge_with_dotlist([_checked(item, plain).lstrip("+") for item in overrides])
        return finish(merged)
    except (OmegaConfBaseException, yaml.YAMLError) as error:
        raise _refusal(error) from error


def _adding(override: str, plain: Mapping[str, Any]) -> str:
    """An override, as Hydra wants it where the file of the stream leaves its key out: with a plus."""
    section, _, key = override.partition("=")[0].partition(".")
    stream = plain.get("stream")
    if section != "stream" or not isinstance(stream, Mapping) or key in stream:
        return override
    return f"+{override}" if key in _with_stream_options(plain)["stream"] else override


def _with_stream_options(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Settings in which the stream has all keys of its kind, those that a file leaves out too."""
    from streams.catalog import KINDS, describe_stream

    stream = plain.get("stream")
    if not isinstance(stream, Mapping):
        return dict(plain)
    known = [item.name for item in describe_stream(stream["kind"])] if stream.get("kind") in KINDS else []
    return {**plain, "stream": {**dict.fromkeys(known), **stream}}


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


def _as_kept(resolved: dict[str, Any], given: Collection[str]) -> dict[str, Any]:
    """Settings in which a saved model is opened as its folder says, but for the options that were given."""
    return {**resolved, "backbone": as_kept(resolved["backbone"], given)}


def _backbone_options(overrides: Sequence[str]) -> set[str]:
    """The options of the backbone that overrides such as `backbone.pooling=cls` name."""
    keys = [item.partition("=")[0].lstrip("+") for item in overrides]
    return {key.removeprefix("backbone.") for key in keys if key.startswith("backbone.")}


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
    return as_kept(found, found)


def _plain(text: str, key: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(
            f"{key} is {text!r}, expected a plain value ({str(error).splitlines()[0]}); correct it."
        ) from None


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


def compose_in(
    folder: Path, name: str, overrides: Sequence[str], groups: Sequence[str], finish: Finish = looked_up
) -> dict[str, Any]:
    """The plain settings that the file `name` of a folder of YAML files makes with overrides.

    Args:
        folder: Where the files are; each group is a folder in it.
        name: The file to begin with, without its ending.
        overrides: `group=file` and `key=value`.
        groups: The groups of which another file can be chosen.
        finish: What becomes of references such as `${data:PATH}`, which are looked up by default.

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
            chosen = [item for item in overrides if is_group(item, folder, groups)]
            plain = OmegaConf.to_container(hydra_compose(name, overrides=chosen))
            values = [_checked(_adding(item, plain), plain) for item in overrides if item not in chosen]
            texts = [item for item in values if _looks_like_a_group(item, folder)]
            composed = hydra_compose(name, overrides=[*chosen, *(item for item in values if item not in texts)])
            OmegaConf.set_struct(composed, False)
            composed.merge_with_dotlist(texts)
        return finish(composed)
    except UserError:
        raise
    except (HydraException, OmegaConfBaseException) as error:
        raise _refusal(error) from error
    finally:
        GlobalHydra.instance().clear()


def _following_seed(settings: Any) -> dict[str, Any]:
    """Plain settings, all references looked up but those to the seed."""
    return with_values(looked_up(settings), following(as_written(settings)), FOLLOWS)


def is_group(override: str, folder: Path | None = None, groups: Sequence[str] = GROUPS) -> bool:
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


def _looks_like_a_group(override: str, folder: Path) -> bool:
    """Whether Hydra would look for a file, because the key of a setting is also the name of a folder of files."""
    key, _, value = override.partition("=")
    return not value.startswith("{") and "." not in key and (folder / key).is_dir()


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


def with_absolute_path(section: Any, folder: Path | None = None) -> Any:
    """A section of plain settings whose `path` does not depend on the folder that a command is given in.

    Args:
        section: The section.
        folder: What a relative path starts from; the current folder if None. A path that leads nowhere stays as it is.
    """
    if isinstance(section, Mapping) and isinstance(section.get("parts"), Mapping):  # a stream of streams
        parts = {key: with_absolute_path(part, folder) for key, part in section["parts"].items()}
        section = {**section, "parts": parts}
    path = section.get("path") if isinstance(section, Mapping) else None
    if not isinstance(path, str):
        return section
    place = (folder or Path()) / path
    return {**section, "path": str(place.absolute())} if place.exists() else section


def _number(resolved: Mapping[str, Any], key: str, default: float, kind: type, smallest: float = 0) -> Any:
    value = coerced(resolved.get(key, default), kind, key)
    if value < smallest:
        raise ConfigError(f"{key} is {value}, expected {smallest} or more.")
    return value


def _refusal(error: Exception) -> UserError:
    """What a library's error says in one sentence; our own, where that lies below."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, UserError):
        cause = cause.__cause__ or cause.__context__
    if isinstance(cause, UserError):
        return cause
    line = str(error).strip().splitlines()[0].rstrip(".")
    return ConfigError(f"The configuration is not valid: {line}; correct it and run the command again.")
