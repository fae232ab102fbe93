"""The grown model itself: every old weight at its new places."""

import copy
import inspect
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from continual.errors import BackboneError, ConfigError
from continual.growth import families
from continual.growth.expansion import Expansion, generator
from continual.growth.families import Family, Stack, family_of
from continual.growth.maps import Copies, GrowthMap, LayerMap, StackMap
from continual.growth.sizes import Amount, Sizes, StackSizes
from continual.seeding import seed_of

if TYPE_CHECKING:
    from transformers import PretrainedConfig

_TIED_HEAD = "lm_head.weight"


def sizes_of(model: nn.Module) -> Sizes:
    """How large a model is. Raises as `family_of`."""
    return family_of(model).sizes(model.config)


def plan(model: nn.Module, expansion: Expansion, amount: Amount, seed: int = 0) -> GrowthMap:
    """Decides what is copied when a model grows.

    Raises:
        BackboneError: Models of its family cannot grow, or this one cannot have more layers.
        ConfigError: The expansion cannot make a model of that size.
    """
    check_growable(model, expansion, amount)
    family = family_of(model)
    return expansion.map(model.config.model_type, family.sizes(model.config), amount, seed, family.one_head_map)


def check_growable(model: nn.Module, expansion: Expansion, amount: Amount, times: int = 1) -> None:
    """Refuses a model that could not grow when it has to, so that nobody learns it after hours.

    Args:
        model: A Hugging Face model.
        expansion: How it is to grow.
        amount: By how much each time.
        times: How often.

    Raises:
        BackboneError: As `plan` does.
        ConfigError: The expansion cannot make a model of that size.
    """
    _check_weights(model)
    sizes = sizes_of(model)
    if amount.layers and getattr(model.config, "scale_attn_by_inverse_layer_idx", False):
        raise BackboneError(
            "The model divides attention by its layers' numbers (scale_attn_by_inverse_layer_idx), so what stands "
            "behind a new layer would compute something else; grow its width alone."
        )
    for done in range(times):
        try:
            sizes = expansion.larger(sizes, amount)
        except ConfigError as error:
            if not done:
                raise
            # Another amount is no way out: what is a whole multiple once is none of what it has made.
            other = ", or by elle" if expansion.exact else ""
            raise ConfigError(
                f"The model is to grow {times} times by a width of {amount.width}, but {expansion.name} growth can add "
                f"that to states of {sizes_of(model).width} numbers alone and not once more to those of {sizes.width}; "
                f"grow once, or without more width{other}."
            ) from error


def grown(model: nn.Module, plan: GrowthMap, noise: float = 0.0, seed: int = 0) -> nn.Module:
    """A larger model of the same class, on the CPU, in evaluation mode and frozen; the given one stays as it is.

    Weights that the given model shares are shared; what it has apart stays apart, whatever its configuration says.

    Args:
        model: A Hugging Face model of one of `FAMILIES`.
        plan: What is copied.
        noise: See `Expansion.noise`.
        seed: Decides the noise.

    Raises:
        BackboneError: The model has a weight that is not described, or lies partly on disk.
    """
    _check_weights(model)
    family = family_of(model)
    own_head = _has_own_head(model, family)
    origins = _origins(model, own_head)
    given = {name: value for name, value in _named(model).items() if origins.get(name, name) == name}
    weights = _Grower(family, plan, noise, seed, own_head).all(given)
    _finish(weights, family, plan, model, own_head)
    larger = _built(model, _resized(model, family, plan))
    _fill(larger, weights, origins)
    larger.set_attn_implementation("sdpa")
    if getattr(model, "generation_config", None) is not None:
        larger.generation_config = copy.deepcopy(model.generation_config)
    return larger.eval().requires_grad_(False)


def _check_weights(model: nn.Module) -> None:
    """Refuses a model with a weight that is not described, or that lies on disk.

    Raises:
        BackboneError: It is such a model.
    """
    family, kind = family_of(model), model.config.model_type
    if any(value.is_meta for value in model.parameters()):
        raise BackboneError(
            "A model that lies partly on disk (backbone.memory_mb) cannot grow; load it whole, without that limit."
        )
    others = {*family.others, *([_TIED_HEAD] if _has_own_head(model, family) else [])}
    for name in _named(model):
        place = _place(family, name)
        if place is None and name not in others:
            raise BackboneError(
                f"The model has the weight {name!r}, which growing a {kind} does not know; grow the model without that "
                "part."
            )
        if place is not None and place[2] not in family.stacks[place[0]].weights:
            raise BackboneError(
                f"Layers of the model have the weight {place[2]!r}, which growing a {kind} does not know; grow another "
                "model."
            )


def _has_own_head(model: nn.Module, family: Family) -> bool:
    return _TIED_HEAD in model.state_dict() and (family.untie or not _head_is_tied(model))


def _place(family: Family, name: str) -> tuple[str, int, str] | None:
    """The stack, the number of the layer and the name within it of a layer's weight; None for other weights."""
    for which, stack in family.stacks.items():
        match = re.fullmatch(rf"{re.escape(stack.prefix)}(\d+)\.(.+)", name)
        if match:
            return which, int(match[1]), match[2]
    return None


class _Grower:
    """Grows weight after weight; all are described, see `_check_weights`."""

    def __init__(self, family: Family, plan: GrowthMap, noise: float, seed: int, own_head: bool) -> None:
        self._family, self._plan = family, plan
        self._noise, self._seed = noise, seed
        self._others = dict(family.others)
        if own_head:
            self._others[_TIED_HEAD] = (families.KEEP, families.WIDE_READS)

    def all(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The weights of the grown model, by their names without the base model's prefix."""
        found: dict[str, Tensor] = {}
        for name, value in weights.items():
            found |= self._one(name, value)
        return found

    def _one(self, name: str, value: Tensor) -> dict[str, Tensor]:
        place = _place(self._family, name)
        if place is not None:
            which, number, rest = place
            return self._of_layers(self._plan.stacks[which], self._family.stacks[which], number, rest, value)
        return {name: self._grow(name, value, self._others[name], self._plan.reader.layers[0])}

    def _of_layers(self, plan: StackMap, stack: Stack, source: int, name: str, value: Tensor) -> dict[str, Tensor]:
        found = {}
        for number, layer in enumerate(plan.layers):
            if layer.source == source and not (layer.fresh and name in stack.first):
                whole = f"{stack.prefix}{number}.{name}"
                larger = self._grow(whole, value, stack.weights[name], layer)
                found[whole] = self._begun(larger, stack, layer, name)
        return found

    def _begun(self, value: Tensor, stack: Stack, layer: LayerMap, name: str) -> Tensor:
        """The weight as its layer begins: that of the identity where growth asks for it."""
        module, _, kind = name.rpartition(".")
        if not self._plan.identity:
            return value
        if layer.fresh and module in stack.outputs:
            return torch.zeros_like(value)
        if module in stack.norms and not keeps_affine(layer, module == stack.norms[-1]):
            return torch.ones_like(value) if kind == "weight" else torch.zeros_like(value)
        return value

    def _grow(self, name: str, value: Tensor, axes: families.Axes, layer: LayerMap) -> Tensor:
        larger = value
        for axis, kind in enumerate(axes):
            larger = self._along(name, larger, axis, kind, layer)
        return larger.clone() if larger is value else larger.contiguous()  # the given model's numbers stay its own

    def _along(self, name: str, value: Tensor, axis: int, kind: str, layer: LayerMap) -> Tensor:
        if kind == families.KEEP:
            return value
        if kind == families.FUSED:
            parts = value.chunk(3, axis)
            return torch.cat([self._along(name, part, axis, families.HEADS, layer) for part in parts], axis)
        copies = self._copies(kind, layer)
        if kind not in (families.WIDE_READS, families.HEADS_READ, families.INNER_READS):
            return copies.copied(value, axis)
        value = copies.shared(value, axis)
        if self._plan.tilt and not copies.unchanged:
            value = value * self._shares(name, value, axis, copies)
        return value + self._drawn(name, value, axis, copies) if self._noise else value

    def _copies(self, kind: str, layer: LayerMap) -> Copies:
        head = self._plan.reader.head
        if kind in (families.WIDE, families.WIDE_READS):
            return self._plan.residual
        if kind in (families.INNER, families.INNER_READS):
            return layer.inner
        if kind == families.HEAD_NUMBERS:
            return layer.heads
        return (layer.keys if kind == families.KEYS else layer.heads).blocks(head)

    def _shares(self, name: str, value: Tensor, axis: int, copies: Copies) -> Tensor:
        """What part of an equal share each copy gets; which one gets more is drawn for each line of weights.

        One order for all would make gradients of copies multiples of each other, and Adam, which takes out the size
        of a gradient, would move them alike.
        """
        lines = [1 if number == axis else size for number, size in enumerate(value.shape)]
        draw = generator(seed_of(self._seed, "growth", "shares", name, str(axis)))
        signs = 2 * torch.randint(2, lines, generator=draw) - 1
        return (1 + signs * (_along_axis(copies.tilted(self._plan.tilt), value.dim(), axis) - 1)).to(value.dtype)

    def _drawn(self, name: str, value: Tensor, axis: int, copies: Copies) -> Tensor:
        noise = torch.randn(value.shape, generator=generator(seed_of(self._seed, "growth", "noise", name)))
        return noise * self._noise * _along_axis(copies.extra, value.dim(), axis)


def _along_axis(vector: Tensor, axes: int, axis: int) -> Tensor:
    """A vector that is multiplied with one axis of a tensor."""
    return vector.view([-1 if number == axis else 1 for number in range(axes)])


def keeps_affine(layer: LayerMap, last_norm: bool) -> bool:
    """Whether a norm behind a part keeps its original's gain and bias among layers that begin as the identity.

    The last norm's wander to the last copy; the others stay with the original.
    """
    return layer.last if last_norm else not layer.fresh


def _finish(weights: dict[str, Tensor], family: Family, plan: GrowthMap, old: nn.Module, own_head: bool) -> None:
    """What a wider model must make up for: scales that follow the width, and heads tied to undivided embeddings."""
    factor = (plan.residual.old / len(plan.residual)) ** 0.5
    scaled = family.scaled and getattr(old.config, "scale_embedding", False)
    if scaled:
        for name in weights:
            if name.endswith(("shared.weight", "embed_tokens.weight")):
                weights[name] = weights[name] * factor
    outputs = getattr(old.config, "scale_decoder_outputs", False)
    if own_head and outputs:
        weights[_TIED_HEAD] = weights[_TIED_HEAD] / factor
    if family.last_norm is None or own_head or _TIED_HEAD not in old.state_dict():
        return
    # Logits are sums over units: `counts` too much of each, times what the scale of embeddings or outputs has changed.
    change = factor if scaled or outputs else 1.0
    norm = family.last_norm.format(last=len(plan.stacks[families.DECODER]) - 1)
    for kind in ("weight", "bias"):
        if f"{norm}.{kind}" in weights:
            weights[f"{norm}.{kind}"] = weights[f"{norm}.{kind}"] / plan.residual.counts / change


def _larger_sizes(sizes: Sizes, plan: GrowthMap) -> Sizes:
    stacks = {
        name: StackSizes(len(stack), len(stack.layers[0].heads), len(stack.layers[0].keys), len(stack.layers[0].inner))
        for name, stack in plan.stacks.items()
    }
    return replace(sizes, width=len(plan.residual), stacks=stacks)


def _resized(model: nn.Module, family: Family, plan: GrowthMap) -> "PretrainedConfig":
    """The configuration of the grown model."""
    config = copy.deepcopy(model.config)
    for name, value in family.resized(_larger_sizes(family.sizes(model.config), plan)).items():
        setattr(config, name, value)
    if family.untie:
        config.tie_word_embeddings = False
    return config


def _built(model: nn.Module, config: "PretrainedConfig") -> nn.Module:
    """A model of the same class whose weights are still to be filled in; encoders without the pooler stay without.

    It has no weights but all buffers, none of which follows from a size that grows.
    """
    from accelerate import init_empty_weights

    options = {}
    if "add_pooling_layer" in inspect.signature(type(model)).parameters:
        options["add_pooling_layer"] = getattr(model, "pooler", None) is not None
    with init_empty_weights(include_buffers=False):
        return type(model)(config, **options).to(model.dtype)


def _fill(larger: nn.Module, weights: dict[str, Tensor], origins: Mapping[str, str]) -> None:
    """Gives a model without weights its own ones, and makes those one that are one in the model that it grew from."""
    state = larger.state_dict()
    prefix = _prefix(larger, state)
    whole = {_bare(name, prefix): name for name in state}
    larger.load_state_dict(
        {whole[name]: value for name, value in weights.items()}
        | {whole[name]: weights[origin] for name, origin in origins.items()},
        assign=True,
    )
    for name, origin in origins.items():
        module, _, own = whole[name].rpartition(".")
        setattr(larger.get_submodule(module), own, larger.get_parameter(whole[origin]))


def _origins(model: nn.Module, own_head: bool) -> dict[str, str]:
    """For each weight that is one with an earlier one the name of that; a head that must be the head's own is none.

    Not the configuration tells: a checkpoint may hold two matrices where that says one.
    """
    first: dict[int, str] = {}
    found: dict[str, str] = {}
    prefix = _prefix(model, model.state_dict())
    for whole, value in model.named_parameters(remove_duplicate=False):
        name = _bare(whole, prefix)
        origin = name if own_head and name == _TIED_HEAD else first.setdefault(id(value), name)
        if origin != name:
            found[name] = origin
    return found


def _named(model: nn.Module) -> dict[str, Tensor]:
    """The model's weights on the CPU, where growth computes, by their names without the base model's prefix.

    What is tied appears under each name.
    """
    state = model.state_dict()
    prefix = _prefix(model, state)
    return {_bare(name, prefix): value.detach().cpu() for name, value in state.items()}


def _prefix(model: nn.Module, state: Mapping[str, Tensor]) -> str:
    prefix = f"{model.base_model_prefix}."
    return prefix if any(name.startswith(prefix) for name in state) else ""


def _bare(name: str, prefix: str) -> str:
    return name.removeprefix(prefix) if prefix else name


def _head_is_tied(model: nn.Module) -> bool:
    """Whether the head is the matrix of embeddings, be they the decoder's own ones (Marian with two vocabularies)."""
    head = model.get_output_embeddings().weight
    return any(head is module.weight for module in model.modules() if isinstance(module, nn.Embedding))
