"""Where the time of a piece of work goes, by kinds of operators."""

from collections.abc import Callable
from typing import Any

KINDS = {
    "matrix products": ("aten::addmm", "aten::mm", "aten::bmm", "aten::linear", "aten::einsum", "linear_dynamic"),
    "attention": ("scaled_dot_product",),
    "GELU": ("aten::gelu",),
    "layer norm": ("layer_norm",),
}
"""What the names of each kind's operators contain; all others are `rest`."""

REST = "rest"


def shares(body: Callable[[], Any]) -> dict[str, float]:
    """The share of each kind of operator in the CPU time of `body`, biggest first; they add up to 1.

    Time between operators (Python, the profiler itself) is not in it.
    """
    from torch.profiler import ProfilerActivity, profile

    body()
    with profile(activities=[ProfilerActivity.CPU]) as found:
        body()
    seconds = dict.fromkeys([*KINDS, REST], 0.0)
    for event in found.key_averages():
        seconds[_kind(event.key)] += event.self_cpu_time_total
    total = sum(seconds.values())
    return {name: value / total for name, value in sorted(seconds.items(), key=lambda item: -item[1])}


def sentence(found: dict[str, float]) -> str:
    """The shares in words."""
    return "of its operators' time: " + ", ".join(f"{name} {share:.0%}" for name, share in found.items())


def _kind(operator: str) -> str:
    return next((kind for kind, parts in KINDS.items() if any(part in operator for part in parts)), REST)
