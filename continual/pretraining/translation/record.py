"""What the folder of a pretrained model says of the text that it was made from."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from continual.errors import ConfigError
from continual.files import read_json
from continual.making.session import CONFIG
from continual.pretraining.session import Pretraining
from continual.pretraining.translation.config import Direction


def learned_length(folder: Path) -> int:
    """The most tokens that a side of a pair had which the model in a folder has learned from."""
    import yaml

    return yaml.safe_load((folder / CONFIG).read_text(encoding="utf-8"))["model"]["max_length"]


def made_for(opening: Mapping[str, Any] | None) -> Direction | None:
    """The direction that a backbone was pretrained for; None where it was not, or nothing says so.

    Args:
        opening: How the backbone is opened, see `Encoder.opening`.
    """
    path = (opening or {}).get("path")
    if not isinstance(path, str):
        return None
    try:
        record = read_json(Path(path).expanduser() / Pretraining.about)
        first, second = record["languages"]
        return Direction(record["direction"], (first, second))
    except (OSError, ValueError, KeyError, TypeError, ConfigError):
        return None  # it is another kind of folder, or a name on the hub
