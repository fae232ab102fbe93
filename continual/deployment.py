"""Opens what was learned for use: a run, or a pool alone."""

from pathlib import Path
from typing import TYPE_CHECKING

from continual.config import from_file
from continual.errors import PoolError
from continual.learner import Learner
from continual.places import RUN, pool_folder, sort_of

if TYPE_CHECKING:
    from continual.growth.lineage import Lineage


def open_learner(path: str | Path, int8: bool = False) -> Learner:
    """A learner on the pool of a run folder or on a pool folder, ready to predict.

    A run names its backbone in its config. A pool alone is opened on the backbone that it was made with, where that
    is one of the named ones, or has grown and lies beside the pool; so may be the folder of both.

    Args:
        path: The run, the pool, or the folder that `continual grow` made of either.
        int8: Compute in int8: faster on a CPU and less exact, see `Encoder.quantized`; try it on labelled texts first.

    Raises:
        PoolError: There is neither, the run is that of a baseline, the folder is a student or another model, or the
            backbone of a pool cannot be told.
    """
    from continual.backbone import BACKBONES
    from continual.construction import construct_named
    from continual.growth.generations import generations, settings_for
    from continual.growth.lineage import read_lineage
    from continual.pool import PromptPool

    path = Path(path)
    folder = pool_folder(path)
    if sort_of(path) == RUN:
        config = from_file(path / "config.yaml")
        encoder, grown = construct_named(BACKBONES, config.backbone, "backbone"), generations(path)
        if grown:
            encoder = grown[-1].load(encoder)
        pool = PromptPool(folder, encoder.fingerprint, create=False, read_only=True)
        return Learner(pool, encoder.quantized() if int8 else encoder, settings_for(config.learner, grown))
    pool = PromptPool(folder, create=False, read_only=True)
    lineage = read_lineage(folder)
    if lineage is not None:
        return _grown(folder, lineage, int8)
    if pool.backbone_name not in BACKBONES or pool.backbone_name == "hub":
        raise PoolError(
            f"The pool {folder} was made with the backbone {pool.backbone_name!r}, which has no name here; "
            "give the folder of a run, whose config.yaml tells how to load it."
        )
    encoder = BACKBONES.load(pool.backbone_name)()
    opened = PromptPool(folder, encoder.fingerprint, create=False, read_only=True)
    return Learner(opened, encoder.quantized() if int8 else encoder)


def _grown(path: Path, lineage: "Lineage", int8: bool) -> Learner:
    """A learner on the pool of a grown backbone, which `continual grow` and runs save beside it."""
    from continual.backbone import BACKBONES
    from continual.growth.generations import MODEL
    from continual.growth.lineage import BACKBONE
    from continual.growth.models import load_like, reopened
    from continual.pool import PromptPool

    model, root = path.absolute().parent / MODEL, lineage.name.partition("+")[0]
    settings = lineage.origin.get(BACKBONE)  # pools that grew before this was kept have none
    if not model.is_dir() or (settings is None and root not in BACKBONES):
        raise PoolError(
            f"The pool {path} was made on the backbone {lineage.name!r}, which has grown from {lineage.parent_name!r} "
            f"and is not in {model}; put the grown model there, or give the folder of the run."
        )
    if settings is None:
        encoder = load_like(BACKBONES.load(root)(), model, lineage.name)
    else:
        encoder = reopened(model, lineage.name, settings)
    opened = PromptPool(path, encoder.fingerprint, create=False, read_only=True)
    return Learner(opened, encoder.quantized() if int8 else encoder)
