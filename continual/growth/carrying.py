"""What a prompt's tensors become when the backbone has grown, so that they do to the larger model what they did before.

Each kind of tuning has one function; all follow from two rules. What *writes* units gives its copies what it gave the
unit, what *reads* units shares its weight among copies. An added layer that begins as the identity is given a prompt
that leaves it one: no low-rank product, an adapter that adds nothing, and the norms that `weights.keeps_affine` says.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from continual.errors import LearningError
from continual.growth.families import FAMILIES
from continual.growth.maps import DECODER, READER, Copies, GrowthMap, LayerMap
from continual.growth.weights import keeps_affine
from continual.registry import Registry
from continual.tuning.base import Tensors
from continual.tuning.both import named_for_decoder, split_stacks

LAST_NORM = (
    "A prompt that trains the norms of a decoder whose last one stands before the head (Marian) cannot be carried over "
    "to a wider backbone, where that norm makes up for what the head cannot; learn with tuning.decoder={name: lora}, "
    "or grow in depth alone."
)

Spec = dict[str, Any]
Carrier = Callable[[Spec, Tensors, GrowthMap], dict[str, Tensor]]

_NORMS = {"both": (False, True), "attention": (False,), "feed_forward": (True,)}
"""For each choice of norms whether each is the last of its layer, in the order in which they are stored."""


def carried_tuning(spec: Mapping[str, Any], tensors: Tensors, plan: GrowthMap) -> tuple[Spec, dict[str, Tensor]]:
    """A prompt's tuning and tensors for the grown model.

    Args:
        spec: `Tuning.spec`.
        tensors: The tensors that it trained, by the tuning's own names; all on the CPU.
        plan: What has been copied.

    Raises:
        LearningError: A tuning of this kind cannot be carried over by such a map.
    """
    from continual.growth.composed import COMPOSED

    spec = dict(spec)
    name = spec["name"]
    if name in COMPOSED:
        return COMPOSED.load(name)(spec, tensors, plan)
    if name not in CARRIERS:
        raise LearningError(
            f"A prompt of tuning={name} cannot be carried over to a grown backbone, expected one of "
            f"{', '.join([*CARRIERS, *COMPOSED])}; learn with another one, or do without growth."
        )
    return carried_spec(spec, plan), {
        key: value.contiguous() for key, value in CARRIERS.load(name)(spec, tensors, plan).items()
    }


def carried_spec(spec: Spec, plan: GrowthMap) -> Spec:
    """The options of a tuning for the grown model: prompts enter where they entered, bottlenecks stay as wide."""
    changed = dict(spec)
    if "base" in spec:
        changed["base"] = carried_spec(spec["base"], plan)
    if "decoder" in spec and DECODER in plan.stacks:
        changed["decoder"] = carried_spec(spec["decoder"], plan.of_decoder)
    if "layer" in spec:
        changed["layer"] = plan.reader.entry(spec["layer"])
    if "reduction" in spec:
        changed["reduction"] = spec["reduction"] * (len(plan.residual) // plan.residual.old)
    return changed


def _soft(spec: Spec, tensors: Tensors, plan: GrowthMap) -> dict[str, Tensor]:
    return {"prompt": plan.residual.copied(tensors["prompt"], -1)}


def _prefix(spec: Spec, tensors: Tensors, plan: GrowthMap) -> dict[str, Tensor]:
    """Added layers get their original's prefix: an attention that writes nothing hides it, a duplicate needs it."""
    head = plan.reader.head
    return {
        "prefix": _by_layer(spec, plan, tensors["prefix"], lambda one, item: item.keys.blocks(head).copied(one, -1))
    }


def _norms(spec: Spec, tensors: Tensors, plan: GrowthMap) -> dict[str, Tensor]:
    lasts = _NORMS[spec.get("norms", "both")]
    behind = bool(FAMILIES[plan.family]().stacks[READER].norms)

    def carried(part: str) -> Tensor:
        neutral = 1.0 if part == "gains" else 0.0

        def of(one: Tensor, item: LayerMap) -> Tensor:
            value = plan.residual.copied(one, -1)
            if plan.identity and behind:
                kept = torch.tensor([keeps_affine(item, last) for last in lasts])
                value = torch.where(kept[:, None], value, torch.full_like(value, neutral))
            return value

        return _by_layer(spec, plan, tensors[part], of)

    return {part: carried(part) for part in ("gains", "biases") if part in tensors}


def _prefix_and_norms(spec: Spec, tensors: Tensors, plan: GrowthMap) -> dict[str, Tensor]:
    return _prefix(spec, tensors, plan) | _norms(spec, tensors, plan)


def _lora(spec: Spec, tensors: Tensors, plan: GrowthMap) -> dict[str, Tensor]:
    found = {}
    for target in spec["targets"]:

        def first(one: Tensor, item: LayerMap, target: str = target) -> Tensor:
            return _sides(target, item, plan)[0].shared(one, 0)

        def second(one: Tensor, item: LayerMap, target: str = target) -> Tensor:
            return _silent(item, plan, _sides(target, item, plan)[1].copied(one, 1))

        found[f"{target}_a"] = _by_layer(spec, plan, tensors[f"{target}_a"], first)
        found[f"{target}_b"] = _by_layer(spec, plan, tensors[f"{target}_b"], second)
    return found


def _sides(target: str, item: LayerMap, plan: GrowthMap) -> tuple[Copies, Copies]:
    """What a linear layer of a block reads and what it writes."""
    wide, head = plan.residual, plan.reader.head
    return {
        "query": (wide, item.heads.blocks(head)),
        "key": (wide, item.keys.blocks(head)),
        "value": (wide, item.keys.blocks(head)),
        "output": (item.heads.blocks(head), wide),
        "up": (wide, item.inner),
        "down": (item.inner, wide),
    }[target]


def _compacter(spec: Spec, tensors: Tensors, plan: GrowthMap) -> dict[str, Tensor]:
    """Its matrices are sums of Kronecker products: copies beside their originals keep that form, others do not."""
    wide = plan.residual
    if not wide.even:
        raise LearningError(
            f"A prompt of tuning={spec['name']} keeps its form only where every unit is copied equally often, as exact "
            "growth does; grow exactly, or in depth alone."
        )
    n = spec["phm_dim"]
    fast = Copies.spread(wide.old // n, len(wide) // n)
    changes: dict[str, Callable[[Tensor, LayerMap], Tensor]] = {
        "down_s": lambda one, item: fast.shared(one, -1),
        "up_t": lambda one, item: _silent(item, plan, fast.copied(one, -1)),
        "up_bias": lambda one, item: _silent(item, plan, wide.copied(one, -1)),
    }
    found = {"slow": tensors["slow"]}
    for name in ("down_s", "down_t", "down_bias", "up_s", "up_t", "up_bias"):
        found[name] = _by_layer(spec, plan, tensors[name], changes.get(name, lambda one, item: one))
    return found | (_norms({**spec, "norms": "both"}, tensors, plan) if spec.get("layer_norms", True) else {})


def _both(spec: Spec, tensors: Tensors, plan: GrowthMap) -> dict[str, Tensor]:
    """Each part by the map of its own stack; a backbone without a decoder of its own has the first alone."""
    own, decoder = split_stacks(tensors)
    _, found = carried_tuning(spec["base"], own, plan)
    if not decoder:
        return found
    if not plan.residual.unchanged and trains_last_norm(spec["decoder"], plan.family):
        raise LearningError(LAST_NORM)
    return found | named_for_decoder(carried_tuning(spec["decoder"], decoder, plan.of_decoder)[1])


def trains_last_norm(decoder: Mapping[str, Any], family: str) -> bool:
    """Whether a tuning of a decoder replaces the norm that in a wider model stands for a head tied to embeddings."""
    norms = "norm" in decoder["name"] or (decoder["name"].startswith("compacter") and decoder.get("layer_norms", True))
    # Only where it is a layer's own norm can a prompt replace it.
    return norms and "{last}" in (FAMILIES[family]().last_norm or "")


def _silent(item: LayerMap, plan: GrowthMap, value: Tensor) -> Tensor:
    """What writes to the residual stream: nothing in a layer that begins as the identity."""
    return torch.zeros_like(value) if plan.identity and item.fresh else value


def _by_layer(spec: Spec, plan: GrowthMap, value: Tensor, of: Callable[[Tensor, LayerMap], Tensor]) -> Tensor:
    """A tensor [layers from `layer` on, ...] for the layers that the prompt touches now."""
    start = spec["layer"]
    return torch.stack([of(value[item.source - start], item) for item in plan.reader.above(start)])


CARRIERS = Registry("carrier of prompts", "continual.carriers")
"""For each tuning what a prompt's tensors become: a `Carrier`, under the tuning's name."""
_CARRIERS: dict[str, Carrier] = {
    "input": _soft,
    "late": _soft,
    "deep": _prefix,
    "layer_norm": _norms,
    "prefix_layer_norm": _prefix_and_norms,
    "lora": _lora,
    "compacter": _compacter,
    "compacter_pp": _compacter,
    "both": _both,
}
for _name, _carrier in _CARRIERS.items():
    CARRIERS.add(_name, _carrier, f"prompts of tuning={_name}")
