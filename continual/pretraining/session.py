"""One pretrained model in the cache: found there if it is finished, else made, or made further after a kill."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from continual.errors import BackboneError
from continual.making.config import RecipeConfig
from continual.making.session import Making, by_place
from continual.pretraining.config import compose


def cache_folder() -> Path:
    """Where models are kept: in the folder that CONTINUAL_CACHE names, or ~/.cache/continual."""
    root = os.environ.get("CONTINUAL_CACHE")
    return (Path(root).expanduser() if root else Path.home() / ".cache" / "continual").absolute() / "pretrained"


class Pretraining(Making):
    """A model in the cache.

    Args:
        config: What is to be made.
        cache: Where; `cache_folder()` by default.
    """

    about = "pretraining.json"

    def __init__(self, config: RecipeConfig, cache: Path | None = None) -> None:
        self.cache = cache or cache_folder()
        super().__init__(config, self.cache)

    def metrics(self, summary: Mapping[str, Any]) -> list[dict[str, float]]:
        """The numbers of each domain, as `DOMAIN/WAY/NAME`."""
        return [by_place(summary["scores"], "domain", "way")]


def pretrained(name: str, overrides: Sequence[str] = (), cache: Path | None = None) -> Path:
    """The folder of a finished model.

    Args:
        name: As for `continual pretrain`.
        overrides: Likewise.
        cache: Where models are kept; `cache_folder()` by default.

    Raises:
        BackboneError: It is not there.
    """
    made = Pretraining(compose(name, overrides), cache)
    if not made.is_finished:
        raise BackboneError(
            f"The model {made.folder.name} is not in {made.cache}; make it with "
            f"`continual pretrain {' '.join([name, *overrides])}`."
        )
    return made.folder
