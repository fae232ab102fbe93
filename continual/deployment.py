"""Opens what was learned for use: a run, or a pool alone."""

from pathlib import Path

from continual.config import from_file
from continual.errors import PoolError
from continual.learner import Learner
from continual.participant import is_baseline


def open_learner(path: Path, int8: bool = False) -> Learner:
    """A learner on the pool of a run folder or on a pool folder, ready to predict.

    A run names its backbone in its config. A pool alone is opened on the backbone that it was made with, where that
    is one of the named ones.

    Args:
        path: The run or the pool.
        int8: Compute in int8: faster on a CPU and less exact, see `Encoder.quantized`; try it on labelled texts first.

    Raises:
        PoolError: There is neither, the run is that of a baseline, or the backbone of a pool cannot be told.
    """
    from continual.backbone import BACKBONES
    from continual.construction import construct_named
    from continual.pool import PromptPool

    if (path / "config.yaml").is_file():
        config = from_file(path / "config.yaml")
        method = config.learner.method.get("name", "")
        if is_baseline(method):
            raise PoolError(
                f"The run {path} is of the baseline {method!r}, which is measured and leaves nothing to predict with; "
                "give a run of one of our methods, such as method=panda."
            )
        encoder = construct_named(BACKBONES, config.backbone, "backbone")
        pool = PromptPool(path / "pool", encoder.fingerprint, create=False, read_only=True)
        return Learner(pool, encoder.quantized() if int8 else encoder, config.learner)
    pool = PromptPool(path, create=False, read_only=True)
    if pool.backbone_name not in BACKBONES or pool.backbone_name == "hub":
        raise PoolError(
            f"The pool {path} was made with the backbone {pool.backbone_name!r}, which has no name here; "
            "give the folder of a run, whose config.yaml tells how to load it."
        )
    encoder = BACKBONES.load(pool.backbone_name)()
    opened = PromptPool(path, encoder.fingerprint, create=False, read_only=True)
    return Learner(opened, encoder.quantized() if int8 else encoder)
