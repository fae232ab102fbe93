"""Linear layers that multiply with the faster of torch's two CPU libraries.

torch multiplies float32 matrices with MKL, which keeps to AVX2 on processors that are not Intel's. oneDNN, which comes
with torch too, uses AVX-512 there: 2.2 times as many products a second, forward and backward. So on such a processor a
model's layers ask oneDNN. What they compute differs in the last bits, as it does between any two libraries; on one
machine it is always the same.
"""

from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional as F

SMALLEST = 128 * 128
"""Weights of a layer from which on it pays; below, the call itself takes the time."""


class QuickLinear(nn.Linear):
    """A linear layer whose products oneDNN computes, where they are of float32 and on the CPU."""

    def forward(self, states: Tensor) -> Tensor:
        """States [..., inputs] to states [..., outputs]."""
        if not _fits(states, self.weight):
            return F.linear(states, self.weight, self.bias)
        if torch.is_grad_enabled() and (states.requires_grad or self.weight.requires_grad):
            return _Product.apply(states, self.weight, self.bias)
        return _product(states, self.weight, self.bias)


def quicken(model: nn.Module) -> nn.Module:
    """The same model, whose larger linear layers have become `QuickLinear` where that is quicker; weights stay."""
    return _with_class(model, nn.Linear, QuickLinear) if helps() else model


def slowed(model: nn.Module) -> nn.Module:
    """The same model with torch's own linear layers, for what looks for just these."""
    return _with_class(model, QuickLinear, nn.Linear)


@cache
def helps() -> bool:
    """Whether oneDNN is the quicker one here: a processor with AVX-512 that is not Intel's."""
    return (
        torch.backends.cpu.get_cpu_capability().startswith("AVX512")
        and torch.backends.mkldnn.is_available()
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
        and "GenuineIntel" not in _processor()
    )


def _processor() -> str:
    """What the kernel says of the processor; GenuineIntel, which changes nothing, where it says nothing."""
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")[0]
    except OSError:
        return "GenuineIntel"


def _with_class(model: nn.Module, old: type[nn.Linear], new: type[nn.Linear]) -> nn.Module:
    for module in model.modules():
        if type(module) is old and module.weight.numel() >= SMALLEST:
            module.__class__ = new  # a copy or a checkpoint of the model knows it by its weights alone
    return model


def _fits(states: Tensor, weight: Tensor) -> bool:
    """Whether oneDNN computes what torch would: plain float32 on the CPU, and something to multiply."""
    return (
        states.dtype == weight.dtype == torch.float32
        and states.device.type == weight.device.type == "cpu"
        and states.numel() > 0
        and not torch.is_autocast_enabled("cpu")
    )


def _product(states: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(states, weight, bias, "none", [], "")


class _Product(torch.autograd.Function):
    """`states @ weight.T + bias`, for which torch's operator has no derivative."""

    @staticmethod
    def forward(ctx: FunctionCtx, states: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        # What has no gradient need not be kept: a frozen layer keeps no states, which are most of a pass's memory.
        ctx.save_for_backward(states if weight.requires_grad else None, weight if states.requires_grad else None)
        return _product(states, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        states, weight = ctx.saved_tensors
        for_states = for_weight = for_bias = None
        gradient = gradient.contiguous()
        if ctx.needs_input_grad[0]:
            for_states = _product(gradient, weight.t(), None)
        rows = gradient.reshape(-1, gradient.shape[-1])
        if ctx.needs_input_grad[1]:
            for_weight = _product(rows.t(), states.reshape(-1, states.shape[-1]).t(), None)
        if ctx.needs_input_grad[2]:
            for_bias = rows.sum(0)
        return for_states, for_weight, for_bias
