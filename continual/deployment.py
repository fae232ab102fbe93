"""Opens what was learned for use: a run, or a pool alone."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from continual.backbone.generators import PRETRAIN
from continual.backbone.opening import changed, check_place, open_backbone
from continual.config import from_file
from continual.errors import PoolError
from continual.learner import Learner
from continual.places import INNER, RUN, pool_folder, sort_of

if TYPE_CHECKING:
    from continual.backbone.encoder import Encoder
    from continual.growth.lineage import Lineage
    from continual.pool import PromptPool
    from continual.settings import LearnerSettings


def open_learner(path: str | Path, int8: bool = False, backbone: Mapping[str, Any] | None = None) -> Learner:
    """A learner on the pool of a run folder or on a pool folder, ready to predict.

    A run names its backbone in its config. A pool alone says itself how the backbone was opened that it was made with;
    one that has grown lies beside the pool, and so may be the folder of both.

    Args:
        path: The run, the pool, or the folder that `continual grow` made of either.
        int8: Compute in int8: faster on a CPU and less exact, see `Encoder.quantized`; try it on labelled texts first.
        backbone: Settings of the backbone that differ, such as `{"path": FOLDER}` where its folder was moved.

    Raises:
        PoolError: There is neither, the run is that of a baseline, the folder is a student or another model, the
            backbone of a pool cannot be told, or is another one.
        BackboneError: The backbone is not where it was.
    """
    from continual.pool import PromptPool

    path, changes = Path(path), dict(backbone or {})
    folder = pool_folder(path)
    if sort_of(path) == RUN:
        encoder, settings = _of_run(path, changes)
    else:
        alone = PromptPool(folder, create=False, read_only=True)
        encoder, settings = _of_pool(alone, changes), _reading(alone)
    pool = PromptPool(folder, encoder.fingerprint, create=False, read_only=True)
    return Learner(pool, encoder.quantized() if int8 else encoder, settings)


def _of_run(path: Path, changes: Mapping[str, Any]) -> "tuple[Encoder, LearnerSettings]":
    """The newest backbone of a run, and how its tasks are learned on it."""
    from continual.growth.generations import generations, settings_for
    from continual.pool import PromptPool

    config, grown = from_file(path / "config.yaml"), generations(path)
    settings = config.backbone
    if PRETRAIN in settings:  # its pool knows the folder, and the text that the model was made from need not be here
        settings = PromptPool(path / INNER, create=False, read_only=True).opening or settings
    encoder = _opened(settings, changes, path)
    return grown[-1].load(encoder) if grown else encoder, settings_for(config.learner, grown)


def _of_pool(pool: "PromptPool", changes: Mapping[str, Any]) -> "Encoder":
    """The backbone that a pool was made with."""
    from continual.backbone import BACKBONES
    from continual.growth.generations import MODEL
    from continual.growth.lineage import read_lineage

    lineage = read_lineage(pool.path)
    # A pool that was begun on a grown model's folder knows where that is, and its lineage from what it imported.
    if lineage is not None and (pool.opening is None or (pool.path.absolute().parent / MODEL).is_dir()):
        return _grown(pool.path, lineage, changes)
    settings = pool.opening
    if settings is None and pool.backbone_name in BACKBONES:  # pools of older versions keep the name alone
        settings = {"name": pool.backbone_name}
    if settings is None and "name" not in changes:
        raise PoolError(
            f"The pool {pool.path} was made with the backbone {pool.backbone_name!r} and does not say how that is "
            "opened; tell it (on the command line by --backbone FOLDER), or give the folder of a run, whose "
            "config.yaml does."
        )
    return _opened(settings or {}, changes, pool.path)


def _reading(pool: "PromptPool") -> "LearnerSettings | None":
    """Settings by which texts are read as the newest prompt reads them; the default layer need not be there."""
    from continual.backbone.readout import Readout
    from continual.settings import LearnerSettings
    from continual.tuning import stored_tuning

    newest = pool.ids()[-1:]
    if not newest:
        return None
    spec = pool.record(newest[0]).tuning
    return LearnerSettings(tuning=stored_tuning(spec).base.spec(), readout=Readout(**spec["readout"]))


def _opened(settings: Mapping[str, Any], changes: Mapping[str, Any], owner: Path) -> "Encoder":
    wanted = changed(settings, changes)
    check_place(wanted, owner)
    return open_backbone(wanted)


def _grown(path: Path, lineage: "Lineage", changes: Mapping[str, Any]) -> "Encoder":
    """A backbone that has grown, which `continual grow` and runs save beside its pool."""
    from continual.backbone import BACKBONES
    from continual.growth.generations import MODEL
    from continual.growth.lineage import BACKBONE
    from continual.growth.models import load_like, reopened

    model, root = Path(changes.get("path") or path.absolute().parent / MODEL), lineage.name.partition("+")[0]
    settings = lineage.origin.get(BACKBONE)  # pools that grew before this was kept have none
    if not model.is_dir() or (settings is None and root not in BACKBONES):
        raise PoolError(
            f"The pool {path} was made on the backbone {lineage.name!r}, which has grown from {lineage.parent_name!r} "
            f"and is not in {model}; put the grown model there, tell where it is (on the command line by --backbone "
            "FOLDER), or give the folder of the run."
        )
    if settings is None:
        return load_like(BACKBONES.load(root)(), model, lineage.name)
    return reopened(model, lineage.name, settings)
