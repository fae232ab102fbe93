"""What a folder is that a command is given, and where its prompts are: one answer for all commands."""

from pathlib import Path
from typing import Any

from continual.baselines import BASELINES
from continual.errors import PoolError
from continual.plugins import KEY as PLUGINS
from continual.plugins import load_plugins
from continual.pool.layout import HEADER_FILE
from continual.pretraining import RECIPES
from continual.students import STUDENTS

RUN, POOL, HOLDER, STUDENT, PRETRAINED = "run", "pool", "holder", "student", "pretrained"
"""A run; a pool; a folder with a pool in it, as `continual grow` makes; what `distil` and `pretrain` make."""

INNER, _CONFIG, _STATE = "pool", "config.yaml", "state.json"
_MADE_BY = {STUDENT: "student that `continual distil`", PRETRAINED: "model that `continual pretrain`"}


def sort_of(path: Path) -> str | None:
    """`RUN`, `POOL`, `HOLDER`, `STUDENT` or `PRETRAINED`; None for everything else, such as a model or nothing.

    Raises:
        ConfigError: A plugin that its config.yaml names cannot be imported.
    """
    if (path / HEADER_FILE).is_file():
        return POOL
    settings = _settings(path)
    load_plugins(settings.get(PLUGINS))  # what the folder is may have a name of the user's own
    kind = str(settings.get("kind"))
    if kind in STUDENTS or kind in RECIPES:
        return STUDENT if kind in STUDENTS else PRETRAINED
    if (path / _CONFIG).is_file() or (path / _STATE).is_file():
        return RUN
    return HOLDER if (path / INNER / HEADER_FILE).is_file() else None


def pool_folder(path: Path) -> Path:
    """The folder of the prompts: of a run, those on its newest backbone.

    What is neither a run nor holds a pool is given back as it is; `PromptPool` then says what is wrong.

    Raises:
        PoolError: The folder is a model that was made here, or the run of a baseline, and has no prompts.
        ConfigError: A plugin that the run names cannot be imported.
    """
    sort = sort_of(path)
    if sort in _MADE_BY:
        raise PoolError(
            f"{path} is a {_MADE_BY[sort]} made, and has no prompts; learn some on it with "
            f"`continual run NAME backbone={_model_in(path)}`, and give that run."
        )
    if sort == RUN:
        return _pool_of_run(path)
    return path / INNER if sort == HOLDER else path


def _pool_of_run(path: Path) -> Path:
    from continual.growth.generations import generations

    method = _settings(path).get("method")
    name = method.get("name") if isinstance(method, dict) else method
    if name in BASELINES:
        raise PoolError(
            f"The run {path} is of the baseline {name!r}, which is measured and leaves no prompts; give a run of "
            "one of our methods, such as method=panda."
        )
    grown = generations(path)
    return grown[-1].pool if grown else path / INNER


def _settings(path: Path) -> dict[str, Any]:
    """The plain settings in a folder; nothing where there are none, or they are damaged, which others tell."""
    import yaml

    try:
        value = yaml.safe_load((path / _CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return value if isinstance(value, dict) else {}


def _model_in(path: Path) -> Path:
    """The folder of the model, or of the first where several were made at once."""
    inner = sorted(file.parent for file in path.glob("*/config.json"))
    return path if (path / "config.json").is_file() or not inner else inner[0]
