"""What methods keep with their prompts for tasks to come, for the grown backbone."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from continual.errors import LearningError
from continual.growth.carrying import carried_tuning
from continual.growth.maps import GrowthMap
from continual.methods.cpt_rd import STATISTICS
from continual.tuning.base import Tensors
from continual.tuning.composed.base import of_part, part
from continual.tuning.composed.generated import EMBEDDING, NETWORK, SHARED, START

ONE_NETWORK = (
    "CPT-RD's network writes the prefixes of all layers, whose heads are copied differently; grow exactly or in depth "
    "alone, or learn with tuning=late."
)

Spec = Mapping[str, Any]


def carried_kept(prompt: str, spec: Spec, kept: Tensors, plan: GrowthMap) -> dict[str, Tensor]:
    """The kept tensors for the grown model; see `Learned.kept`.

    Args:
        prompt: The id of the prompt.
        spec: Its tuning on the old model.
        kept: What is kept with it, under the method's own names.
        plan: What has been copied.

    Raises:
        LearningError: They cannot be carried over, or nobody knows what they are.
    """
    if EMBEDDING in kept:
        return _generated(spec["base"], kept, plan)
    for name in kept:
        if name not in _CLASSIFIER:
            raise LearningError(
                f"The prompt {prompt!r} holds the tensor {name!r} of its method, which cannot be carried over to a "
                "grown backbone; learn with another method, or do without growth."
            )
    return {name: _CLASSIFIER[name](value, plan) for name, value in kept.items()}


def read_from_copies(weight: Tensor, plan: GrowthMap) -> Tensor:
    """Weights [labels, vectors * width] of what reads one or more vectors of the backbone's width."""
    vectors = weight.view(len(weight), -1, plan.residual.old)
    return plan.residual.shared(vectors, 2).flatten(1)


_CLASSIFIER: dict[str, Callable[[Tensor, GrowthMap], Tensor]] = {
    "weight": read_from_copies,
    "bias": lambda value, plan: value,
    "mean": lambda value, plan: plan.residual.copied(value, 0),
    "scale": lambda value, plan: plan.residual.copied(value, 0),
}
"""What methods with one model for all tasks keep, see `methods/shared.py`."""


def _generated(base: Spec, kept: Tensors, plan: GrowthMap) -> dict[str, Tensor]:
    """CPT-RD: the prompts as all prompts, and a hypernetwork that writes copies where it wrote originals."""
    found = {EMBEDDING: kept[EMBEDDING]}
    for group in (START, SHARED):
        found |= part(group, carried_tuning(base, of_part(group, kept), plan)[1])
    for name, start in of_part(START, kept).items():
        places, units = _sources(base, name, start.shape, plan)
        task, place, out = (f"{NETWORK}/{name}-{kind}" for kind in ("task", "place", "out"))
        found |= {task: kept[task], place: kept[place][places], out: kept[out][units]}
    return found | part(STATISTICS, _statistics(of_part(STATISTICS, kept), plan))


def _sources(base: Spec, name: str, shape: torch.Size, plan: GrowthMap) -> tuple[Tensor, Tensor]:
    """Which place and which unit of a prompt's tensor the places and units of the carried one are copies of.

    It is read off a prompt whose numbers are the numbers of their places.

    Raises:
        LearningError: The units are copied differently in different places, which one network cannot write.
    """
    numbers = torch.arange(math.prod(shape), dtype=torch.float64).view(shape)
    carried = carried_tuning(base, {name: numbers}, plan)[1][name].long()
    places, units = (carried // shape[-1]).flatten(0, -2), (carried % shape[-1]).flatten(0, -2)
    if (units != units[0]).any():
        raise LearningError(ONE_NETWORK)
    return places[:, 0], units[0]


def _statistics(kept: Tensors, plan: GrowthMap) -> dict[str, Tensor]:
    wide = plan.residual
    copied = {name: wide.copied(kept[name], 1) for name in ("means", "deviation", "embedding")}
    copied["embedding"] = torch.nn.functional.normalize(copied["embedding"], dim=1)
    return {**kept, **copied}
