"""Changes what a stored mixture of prompts is mixed from, without training.

The attention of ATTEMPT (Asai et al. 2022, arXiv 2205.11961) looks at the sources themselves, so that it takes any
number of them: some can be added later, and some taken away. Nothing stored is changed; a new version of the prompt
is stored beside the old one, and answers from then on. Its classifier was trained with the old sources, so whether it
has become better is for its user to measure.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from continual.errors import PoolError
from continual.pool.prompt import Prompt, PromptRecord, next_to
from continual.pool.store import PromptPool
from continual.storing import DEV_ACCURACY
from continual.tuning import stored_tuning
from continual.tuning.base import TRAINED, Tensors, trained_tensors
from continual.tuning.composed.attention import SOURCES, Attention
from continual.tuning.composed.base import of_part, part

REMIXED = "remixed"
"""Where the provenance of a version keeps of which prompt it is a new mixture."""


def remixed(pool: PromptPool, prompt_id: str, add: Sequence[str] = (), remove: Sequence[str] = ()) -> PromptRecord:
    """Stores a new version of a mixture with other sources.

    Args:
        pool: Where the prompts are.
        prompt_id: The mixture.
        add: Prompts whose own parts become sources, behind those that are there.
        remove: Sources that are taken away.

    Returns:
        The record of the new version.

    Raises:
        PoolError: The prompt is no mixture, or not of what is to be removed, or what is to be added does not fit.
        StorageError: The disk refused.
    """
    prompt = pool.get(prompt_id)
    tuning = stored_tuning(prompt.tuning)
    if not isinstance(tuning, Attention):
        raise PoolError(
            f"{prompt_id} is no mixture of prompts (its tuning is {tuning.name!r}); only prompts that method=attempt "
            "learned with at least one source can be mixed anew."
        )
    sources = _sources(prompt)
    _check(prompt_id, [str(item["prompt"]) for item in sources], add, remove)
    tensors = trained_tensors(prompt.tensors)
    stacks = of_part(SOURCES, tensors)
    kept = [place for place, item in enumerate(sources) if item["prompt"] not in remove]
    added = [_lent(pool, name, tuning, stacks) for name in add]
    news = {name: torch.cat([value[kept], *(one[name][None] for one in added)]) for name, value in stacks.items()}
    facts = {"sources": [*(sources[place] for place in kept), *({"prompt": name, "score": None} for name in add)]}
    return pool.add(_version(pool, prompt, part(SOURCES, news), facts), renumber=True)


def _sources(prompt: Prompt) -> list[dict[str, Any]]:
    """The sources of a mixture, in the order of its tensors."""
    return list(prompt.provenance["sources"])


def _check(prompt_id: str, present: list[str], add: Sequence[str], remove: Sequence[str]) -> None:
    if not add and not remove:
        raise PoolError(f"Nothing is to be added to {prompt_id} or removed from it; name a prompt.")
    for name in remove:
        if name not in present:
            raise PoolError(f"{name} is no source of {prompt_id}, which has {', '.join(present)}; remove one of these.")
    for name in add:
        if name in present or name == prompt_id or list(add).count(name) > 1:
            raise PoolError(f"{name} is in {prompt_id} already; add another prompt.")
    if len(set(remove)) == len(present) and not add:
        raise PoolError(f"Without {', '.join(present)} nothing is left to mix in {prompt_id}; leave it a source.")


def _lent(pool: PromptPool, name: str, tuning: Attention, stacks: Tensors) -> Tensors:
    """What a prompt lends to others, which must have the shapes of the sources that are there."""
    other = pool.get(name)
    own, tensors = stored_tuning(other.tuning), trained_tensors(other.tensors)
    lent = own.lent(tensors)
    lent = tensors if lent is None else lent
    wanted = {key: value.shape[1:] for key, value in stacks.items()}
    if own.base.spec() != tuning.base.spec() or {key: value.shape for key, value in lent.items()} != wanted:
        raise PoolError(
            f"{name} was learned with tuning {own.base.spec()}, expected {tuning.base.spec()}, as the mixture's own; "
            "add a prompt of that kind."
        )
    return lent


def _version(pool: PromptPool, prompt: Prompt, sources: dict[str, Tensor], facts: dict[str, Any]) -> Prompt:
    news = {f"{TRAINED}{name}": value.contiguous() for name, value in sources.items()}
    # The classifier was not asked about dev texts with these sources.
    known = {key: value for key, value in prompt.provenance.items() if key != DEV_ACCURACY}
    provenance = known | facts | {REMIXED: prompt.id}
    return next_to(prompt, pool.next_version(prompt.task), tensors=prompt.tensors | news, provenance=provenance)
