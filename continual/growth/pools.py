"""A pool on the grown backbone: every prompt of the old pool, carried over."""

from pathlib import Path

from continual.backbone.encoder import Encoder
from continual.growth.lineage import Lineage
from continual.growth.prompts import carried_prompt
from continual.pool.store import PromptPool
from continual.transfer.signature import Prober


def carry_pool(old: PromptPool, folder: Path, grown: Encoder, lineage: Lineage) -> PromptPool:
    """Makes a pool for a grown backbone; the old pool stays as it is and belongs to the old backbone.

    Args:
        old: The pool to be carried over, all versions of all prompts.
        folder: Where the new pool will be; the caller makes that whole.
        grown: The grown backbone. Where it has learned since it grew, the units that prompts switch on are measured as
            it is now; all else is copied.
        lineage: Where it comes from.

    Raises:
        LearningError: A prompt is of a kind that cannot be carried over.
    """
    new = PromptPool(folder, grown.fingerprint, backbone_name=grown.name)
    prober = Prober(grown)
    for prompt_id in old.ids():
        new.add(carried_prompt(old.get(prompt_id), lineage.plan, grown, prober))
    lineage.write(folder)
    return new
