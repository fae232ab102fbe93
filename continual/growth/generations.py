"""The grown backbones of a run, one folder for each growth, whole or absent.

growth/1/model/     an ordinary Hugging Face folder, with its lineage
growth/1/pool/      the pool on it, with its lineage
growth/1/predictions.safetensors
growth/memory/      a few texts of each task
growth/2/ ...
"""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from continual.errors import PoolError
from continual.growth.carrying import carried_spec
from continual.growth.lineage import Lineage, read_lineage
from continual.tuning import build_tuning

if TYPE_CHECKING:
    from continual.backbone.encoder import Encoder
    from continual.settings import LearnerSettings

FOLDER, MODEL, POOL, PREDICTIONS, MEMORY = "growth", "model", "pool", "predictions.safetensors", "memory"


@dataclass(frozen=True)
class Generation:
    """A grown backbone and its pool.

    Attributes:
        folder: Where both lie.
    """

    folder: Path

    @property
    def model(self) -> Path:
        """The folder of the model."""
        return self.folder / MODEL

    @property
    def pool(self) -> Path:
        """The folder of the pool."""
        return self.folder / POOL

    @property
    def predictions(self) -> Path:
        """Where answers to tests are remembered."""
        return self.folder / PREDICTIONS

    @cached_property
    def lineage(self) -> Lineage:
        """Where the backbone comes from.

        Raises:
            PoolError: That is missing or damaged.
        """
        found = read_lineage(self.pool)
        if found is None:
            raise PoolError(f"{self.pool} lacks its lineage; restore {self.folder} from a copy.")
        return found

    def load(self, root: "Encoder") -> "Encoder":
        """The grown backbone, of the kind and with the settings of the one that the run began with."""
        from continual.growth.models import load_like

        return load_like(root, self.model, self.lineage.name)


def generations(run: Path) -> list[Generation]:
    """The generations of a run, oldest first; none where it has not grown."""
    folder = run / FOLDER
    numbers = sorted(int(path.name) for path in folder.iterdir() if path.name.isdigit()) if folder.is_dir() else []
    return [Generation(folder / str(number)) for number in numbers]


def settings_for(settings: "LearnerSettings", grown: list[Generation]) -> "LearnerSettings":
    """How tasks are learned after the growths of a run: prompts and probes enter where they entered before."""
    if not grown:
        return settings
    spec, probe = build_tuning(settings.tuning).spec(), settings.growth.probe_layer
    for generation in grown:
        plan = generation.lineage.plan
        spec = carried_spec(spec, plan)
        probe = plan.reader.entry(probe) if settings.growth.when == "capacity" else probe
    return replace(settings, tuning=spec, growth=replace(settings.growth, probe_layer=probe))
