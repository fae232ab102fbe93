"""Lets a `Change` act inside the modules of a Hugging Face model, which computes by its own code.

Prefixes come through an attention function that `transformers` lets anyone register, everything else through forward
hooks on linear layers and norms. Both are installed once and do nothing until `acting` names changes: what acts belongs
to the calling context, not to the model, so that threads and copies of the model do not see each other's prompts.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from continual.backbone.change import Change, Prefix
from continual.backbone.parts import Linear, Parts

ATTENTION = "continual"
"""The name under which `transformers` knows the attention function."""

Observer = Callable[[int, Tensor], None]
Site = tuple[str, int]
"""Which stack of layers, and which layer of it."""

_SITE = "continual_site"


@dataclass(frozen=True)
class _Acting:
    changes: Mapping[Site, Change] = field(default_factory=dict)
    observers: Mapping[str, Observer] = field(default_factory=dict)


_NOTHING = _Acting()
_ACTING: ContextVar[_Acting] = ContextVar("acting", default=_NOTHING)


@contextlib.contextmanager
def acting(stack: str, changes: Mapping[int, Change], observer: Observer | None = None) -> Iterator[None]:
    """Within the context, `changes` act in the layers of one stack, and `observer` is told its activations.

    Args:
        stack: The name given to `install`.
        changes: What changes, by the number of the layer.
        observer: Told each layer's number and feed-forward activations.
    """
    sites = {(stack, number): change for number, change in changes.items()}
    token = _ACTING.set(_Acting(sites, {} if observer is None else {stack: observer}))
    try:
        yield
    finally:
        _ACTING.reset(token)


def install(model: nn.Module, stack: str, layers: list[Parts]) -> None:
    """Prepares the layers of one stack of `model`; doing so twice is the same as once.

    Args:
        model: A Hugging Face model whose attention goes through `transformers`' attention interface.
        stack: A name for these layers, for `acting`.
        layers: Their modules.
    """
    _register()
    model.set_attn_implementation(ATTENTION)
    for number, parts in enumerate(layers):
        if hasattr(parts.attention, _SITE):
            continue
        site = (stack, number)
        setattr(parts.attention, _SITE, site)
        for group in parts.linear_modules():
            group[0][1].module.register_forward_hook(_linear_hook(site, group))
        for which in ("norm1", "norm2"):
            getattr(parts, which).register_forward_hook(_norm_hook(site, which))
        parts.down.module.register_forward_pre_hook(_observing_hook(site))


def _register() -> None:
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(ATTENTION, _attention)
    AttentionMaskInterface.register(ATTENTION, sdpa_mask)


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    position_bias: Tensor | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """Scaled dot product attention of `transformers`, behind the prefix of the layer where one acts."""
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    change = _ACTING.get().changes.get(getattr(module, _SITE, None))
    if change is not None and change.prefix is not None:
        prefix = change.prefix
        attention_mask = _behind_prefix(module, query, key, attention_mask, prefix)
        key = torch.cat([_heads(prefix.keys, key), key], dim=2)
        value = torch.cat([_heads(prefix.values, value), value], dim=2)
        if position_bias is not None:
            position_bias = F.pad(position_bias, (prefix.keys.shape[1], 0))
    if position_bias is not None:
        options["position_bias"] = position_bias
    return sdpa_attention_forward(module, query, key, value, attention_mask, **options)


def _heads(states: Tensor, like: Tensor) -> Tensor:
    """States [prompts, prefix, heads * size] as [batch, heads, prefix, size], in the shape of `like`."""
    batch, heads, _, size = like.shape
    return states.view(*states.shape[:2], heads, size).transpose(1, 2).expand(batch, -1, -1, -1)


def _behind_prefix(module: nn.Module, query: Tensor, key: Tensor, mask: Tensor | None, prefix: Prefix) -> Tensor | None:
    """The boolean mask [batch, 1, queries, prefix + keys]; None where everything may be seen."""
    batch, queries, keys = query.shape[0], query.shape[2], key.shape[2]
    length = prefix.keys.shape[1]
    if mask is None:
        # Without a mask `transformers` relies on a flag that means nothing once there are more keys than queries.
        causal = queries > 1 and getattr(module, "is_causal", False)
        if not causal and prefix.real is None:
            return None
        mask = query.new_ones(queries, keys, dtype=torch.bool)
        mask = mask.tril(keys - queries)[None, None] if causal else mask[None, None]
    real = mask.new_ones(1, length) if prefix.real is None else prefix.real
    real = real[:, None, None, :].expand(batch, 1, queries, length)
    return torch.cat([real, mask.expand(batch, 1, queries, keys)], dim=3)


def _linear_hook(site: Site, group: list[tuple[str, Linear]]) -> Callable[..., Tensor | None]:
    """Adds low-rank products to the columns that belong to each name, then puts an adapter behind the module."""
    columns = [(name, linear.start, linear.out_features) for name, linear in group]
    adapter = {"output": "adapter1", "down": "adapter2"}.get(columns[0][0])

    def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
        change = _ACTING.get().changes.get(site)
        if change is None:
            return None
        for name, start, width in columns:
            if name in change.low_rank:
                added = change.low_rank[name](inputs[0])
                rest = output.shape[-1] - start - width
                output = output + (F.pad(added, (start, rest)) if start or rest else added)
        behind = None if adapter is None else getattr(change, adapter)
        return output if behind is None else behind(output)

    return hook


def _norm_hook(site: Site, which: str) -> Callable[..., Tensor | None]:
    def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
        change = _ACTING.get().changes.get(site)
        affine = None if change is None else getattr(change, which)
        return None if affine is None else affine(module, inputs[0])

    return hook


def _observing_hook(site: Site) -> Callable[..., None]:
    stack, number = site

    def hook(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        observer = _ACTING.get().observers.get(stack)
        if observer is not None:
            observer(number, inputs[0])

    return hook
