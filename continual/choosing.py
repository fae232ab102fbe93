"""Chooses which version of a task answers, where the newest should not: an import brought another one, or a mixture.

The newest version answers, and nothing stored is ever changed. So the chosen prompt is stored again, as a new version
whose provenance says which one it is. That is one prompt more, whole or not at all, and the catalogue still follows
from the prompts.
"""

from continual.pool.prompt import PromptRecord, next_to
from continual.pool.store import PromptPool
from continual.storing import without_revisions

CHOSEN = "chosen"
"""Where the provenance of a version keeps which prompt it is again, since that was chosen to answer."""


def chosen(pool: PromptPool, prompt_id: str) -> PromptRecord:
    """Lets a prompt answer for its task from now on.

    Args:
        pool: Where the prompts are.
        prompt_id: The prompt.

    Returns:
        The record of the new version; of the one that answers, where that is the prompt already.

    Raises:
        PoolError: There is no such prompt, or the pool is open for reading only.
        StorageError: The disk refused; the pool is as it was.
    """
    pool.check_writable()
    prompt = pool.get(prompt_id)
    newest = pool.latest(prompt.task)
    if newest is not None and prompt_id in (newest.id, newest.provenance.get(CHOSEN)):
        return newest
    # What learning it has done to other prompts was done once.
    tensors, facts = without_revisions(prompt.tensors), without_revisions(prompt.provenance)
    version = pool.next_version(prompt.task)
    chosen_again = next_to(prompt, version, tensors=tensors, provenance=facts | {CHOSEN: prompt_id})
    return pool.add(chosen_again, renumber=True)
