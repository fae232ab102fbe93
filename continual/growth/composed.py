"""What the tensors of compositions become when the backbone has grown: their parts are those of other tunings."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from continual.errors import LearningError
from continual.growth.carrying import carried_spec, carried_tuning
from continual.growth.maps import GrowthMap
from continual.registry import Registry
from continual.tuning.base import Tensors

Carried = tuple[dict[str, Any], dict[str, Tensor]]


def _prompts(spec: dict[str, Any], tensors: Tensors, plan: GrowthMap) -> Carried:
    """Prompts side by side. What a template has read are states and products of states, copied as states are."""
    return carried_spec(spec, plan), _parts(spec, tensors, plan)


def _selection(spec: dict[str, Any], tensors: Tensors, plan: GrowthMap) -> Carried:
    """L2P and CODA: vectors that are compared with a text's by cosine, and a list of prompts."""
    _require_even(spec, plan)
    vectors = {name: value for name, value in tensors.items() if name.endswith(("/keys", "/attention"))}
    lists = {name: value for name, value in tensors.items() if name not in vectors}
    found = {name: plan.residual.copied(value, 1) for name, value in vectors.items()}
    return carried_spec(spec, plan), found | _parts(spec, lists, plan, stacked=("own", "earlier"))


def _attention(spec: dict[str, Any], tensors: Tensors, plan: GrowthMap) -> Carried:
    """ATTEMPT: sums over units grow with their number, and so does the temperature if it follows the width."""
    _require_even(spec, plan)
    wide = plan.residual
    if spec["base"]["name"] == "deep" and not wide.unchanged:
        raise LearningError(
            "ATTEMPT compares texts with prefixes unit by unit, and heads are copied otherwise than states; learn with "
            "tuning=late or tuning=input, or grow in depth alone."
        )
    changed = carried_spec(spec, plan)
    if spec["temperature"] is not None:
        changed["temperature"] = spec["temperature"] * len(wide) / wide.old
    network = {name: value for name, value in tensors.items() if name.startswith("network/")}
    found = {name: _network(name, value, plan) for name, value in network.items()}
    rest = {name: value for name, value in tensors.items() if name not in network}
    return changed, found | _parts(spec, rest, plan, stacked=("sources",))


def _network(name: str, value: Tensor, plan: GrowthMap) -> Tensor:
    return plan.residual.shared(value, 1) if name == "network/down" else plan.residual.copied(value, 0)


def _parts(
    spec: Mapping[str, Any], tensors: Tensors, plan: GrowthMap, stacked: tuple[str, ...] = ()
) -> dict[str, Tensor]:
    """Parts `part/name` of the base's tensors; those of `stacked` are several prompts, one behind another."""
    parts: dict[str, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        part, _, own = name.partition("/")
        parts.setdefault(part, {})[own] = value
    found = {}
    for part, own in parts.items():
        count = len(next(iter(own.values())))
        each = [{name: value[row] for name, value in own.items()} for row in range(count)] if part in stacked else [own]
        carried = [carried_tuning(spec["base"], one, plan)[1] for one in each]
        for name in carried[0]:
            values = [one[name] for one in carried]
            found[f"{part}/{name}"] = torch.stack(values) if part in stacked else values[0]
    return found


def _require_even(spec: Mapping[str, Any], plan: GrowthMap) -> None:
    if not plan.residual.even:
        raise LearningError(
            f"A prompt of the composition {spec['name']!r} keeps its meaning only where every unit is copied equally "
            "often, as exact growth does; grow exactly, or in depth alone."
        )


COMPOSED = Registry("carrier of compositions", "continual.composition_carriers")
"""For each composition what becomes of its options and tensors: a function as those above."""
_COMPOSED: dict[str, Callable[[dict[str, Any], Tensors, GrowthMap], Carried]] = {
    "chain": _prompts,
    "low_rank_sum": _prompts,
    "templated": _prompts,
    "selection": _selection,
    "components": _selection,
    "attention": _attention,
}
for _name, _carrier in _COMPOSED.items():
    COMPOSED.add(_name, _carrier, f"prompts of the composition {_name}")
