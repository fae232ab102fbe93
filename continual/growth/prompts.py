"""A stored prompt for the grown backbone: tuning, head, ground, keys and signature."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from continual.backbone.encoder import Encoder
from continual.backbone.readout import Readout
from continual.discriminant import CLOUD
from continual.errors import LearningError
from continual.growth.carrying import carried_tuning
from continual.growth.maps import GrowthMap
from continual.growth.method_tensors import carried_kept, read_from_copies
from continual.methods.base import KEPT, kept_tensors
from continual.pool.prompt import Prompt
from continual.storing import REVISION, without_revisions
from continual.transfer.signature import SIGNATURE, Prober
from continual.tuning import build_tuning
from continual.tuning.base import TRAINED, trained_tensors

CARRIED = "carried"
"""Where the provenance of a carried prompt keeps where it comes from."""

_GROUND = "ground."


def carried_prompt(prompt: Prompt, plan: GrowthMap, grown: Encoder, prober: Prober) -> Prompt:
    """A prompt that does to the grown backbone what it did to the old one.

    Id, task, version and time stay; its provenance remembers the backbone that it was learned on.

    Args:
        prompt: The stored prompt.
        plan: What has been copied.
        grown: The grown backbone.
        prober: Makes signatures on the grown backbone.

    Raises:
        LearningError: The prompt is of a kind that cannot be carried over.
    """
    spec = dict(prompt.tuning)
    readout = spec.pop("readout")
    trained = trained_tensors(prompt.tensors)
    changed, tensors = carried_tuning(spec, trained, plan)
    found = {f"{TRAINED}{name}": value for name, value in tensors.items()}
    kept = carried_kept(prompt.id, spec, kept_tensors(prompt), plan)
    found |= {f"{KEPT}{name}": value for name, value in kept.items()}
    for name, value in prompt.tensors.items():
        if not name.startswith((TRAINED, KEPT, REVISION)):  # new versions of others have been stored long since
            found[name] = _other(prompt.id, name, value, plan, Readout(**readout))
    tuning = build_tuning(changed)
    lent = tuning.lent(tensors)
    if lent is not None and grown.stepwise:  # which units a prompt switches on in added layers, no map can tell
        found[f"{SIGNATURE}neurons"] = prober.neurons(tuning.base, lent).to(torch.uint8)
    return replace(
        prompt,
        backbone=grown.fingerprint,
        tuning=changed | {"readout": readout},
        tensors={name: value.contiguous() for name, value in found.items()},
        provenance=without_revisions(prompt.provenance) | {CARRIED: carried_from(prompt.provenance, prompt.backbone)},
    )


def carried_from(provenance: Mapping[str, Any], backbone: str) -> list[str]:
    """The fingerprints of all backbones that a prompt has been on before, oldest first."""
    return [*provenance.get(CARRIED, ()), backbone]


def _other(prompt: str, name: str, value: Tensor, plan: GrowthMap, readout: Readout) -> Tensor:
    """A tensor that no tuning has trained and no method keeps."""
    wide = plan.residual
    if name == "keys":
        return torch.nn.functional.normalize(wide.copied(value, 1), dim=1)
    if name in (f"{CLOUD}mean", f"{CLOUD}spread"):
        halves = value.view(2, wide.old, *value.shape[1:])  # unit vectors that stay unit vectors
        return (wide.copied(halves, 1) * (wide.old / len(wide)) ** 0.5).flatten(0, 1)
    if name == f"{CLOUD}variances":
        return value
    if name == "head.weight":
        return read_from_copies(value, plan)
    if name in (f"{SIGNATURE}shift", f"{SIGNATURE}state"):
        return wide.copied(value, 0)
    if name == f"{_GROUND}weight":
        return _ground(value, plan, readout)
    if name in ("head.bias", f"{SIGNATURE}neurons") or name.startswith(_GROUND):
        return value
    raise LearningError(
        f"The prompt {prompt!r} holds the tensor {name!r}, which this program does not know and cannot carry over to a "
        "grown backbone; do without growth."
    )


def _ground(weight: Tensor, plan: GrowthMap, readout: Readout) -> Tensor:
    """Weights [labels, features] of summaries of states: of each old state where it is now, of new states none."""
    if readout.layers != "all":
        return read_from_copies(weight, plan) if weight.shape[1] else weight
    stack, width = plan.reader, plan.residual.old
    old = weight.view(len(weight), stack.old + 1, len(readout.summaries), width)
    found = old.new_zeros(len(weight), len(stack) + 1, len(readout.summaries), len(plan.residual))
    shared = plan.residual.shared(old, 3)
    for states in range(stack.old + 1):
        found[:, stack.behind(states)] = shared[:, states]
    return found.flatten(1)
