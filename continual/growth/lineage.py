"""What tells a grown model or pool where it comes from: the parent's fingerprint and the map, beside the weights.

    growth.json            schema, parent, own name and fingerprint, the map without its tensors
    growth.safetensors     the sources of all units

Both follow from parent, expansion, amount and seed, so they can be made again; with them a prompt of the parent's pool
can be carried over at any later time.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from continual.errors import PoolError
from continual.files import read_json, replacing, write_json
from continual.growth.maps import GrowthMap
from continual.pool.layout import LINEAGE_FILES

LINEAGE, MAPS = LINEAGE_FILES
BACKBONE = "backbone"
"""Where `Lineage.origin` of a pool keeps how its backbone is opened, see `models.opening`."""

_SCHEMA = 1


@dataclass(frozen=True)
class Lineage:
    """Where a grown backbone comes from.

    Attributes:
        parent: Fingerprint of the backbone that has grown.
        parent_name: Its name.
        backbone: Fingerprint of the grown one.
        name: Its name.
        plan: What was copied.
        origin: What the growth was told: how, amount, seed; what it found; how the backbone of a pool is opened.
    """

    parent: str
    parent_name: str
    backbone: str
    name: str
    plan: GrowthMap
    origin: dict[str, Any]

    def write(self, folder: Path) -> None:
        """Stores it in a folder that exists."""
        from safetensors.torch import save

        tensors = save(self.plan.tensors())
        with replacing(folder / MAPS) as temporary:
            temporary.write_bytes(tensors)
        content = {
            "schema": _SCHEMA,
            "parent": {"fingerprint": self.parent, "name": self.parent_name},
            "backbone": {"fingerprint": self.backbone, "name": self.name},
            "origin": self.origin,
            "map": self.plan.to_json(),
            "maps_sha256": hashlib.sha256(tensors).hexdigest(),
        }
        write_json(folder / LINEAGE, content)


def read_lineage(folder: Path) -> Lineage | None:
    """The lineage of a grown model's or pool's folder; None where nothing has grown.

    Raises:
        PoolError: It is damaged, or was written by a newer program.
    """
    from safetensors.torch import load

    path = folder / LINEAGE
    if not path.is_file():
        return None
    try:
        value = read_json(path)
        if value["schema"] > _SCHEMA:
            raise PoolError(
                f"{path} has schema {value['schema']} but this program reads up to {_SCHEMA}; upgrade "
                "continual-prompts."
            )
        data = (folder / MAPS).read_bytes()
        if hashlib.sha256(data).hexdigest() != value["maps_sha256"]:
            raise ValueError(f"{MAPS} has another SHA-256 than was stored")
        plan = GrowthMap.restored(value["map"], load(data))
        parent, own = value["parent"], value["backbone"]
        return Lineage(parent["fingerprint"], parent["name"], own["fingerprint"], own["name"], plan, value["origin"])
    except (OSError, ValueError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise PoolError(f"{path} or {MAPS} beside it is damaged ({error}); restore them from a copy.") from error
