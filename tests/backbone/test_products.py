"""Linear layers by oneDNN: the same numbers and gradients as torch's own, which stay where it does not fit."""

import copy

import pytest
import torch
from torch import nn

from continual.backbone import products
from continual.backbone.products import SMALLEST, QuickLinear, quicken, slowed

# The operator is there on any x86 CPU, so that what it computes is tested also where it would not be chosen.
pytestmark = pytest.mark.skipif(
    not (torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")),
    reason="this build of torch has no oneDNN",
)


@pytest.fixture(autouse=True)
def chosen(monkeypatch):
    monkeypatch.setattr(products, "helps", lambda: True)


def pair(inputs: int = 160, outputs: int = 200, bias: bool = True) -> tuple[nn.Linear, nn.Linear]:
    """A layer of torch and its quick twin."""
    torch.manual_seed(0)
    plain = nn.Linear(inputs, outputs, bias)
    quick = quicken(copy.deepcopy(plain))
    assert type(quick) is QuickLinear
    return plain, quick


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(160,), (1, 160), (5, 160), (3, 7, 160), (2, 3, 4, 160), (0, 160)])
def test_values_and_gradients_are_those_of_torch(shape, bias):
    plain, quick = pair(bias=bias)
    inputs = torch.randn(shape)
    found = []
    for layer in (plain, quick):
        states = inputs.clone().requires_grad_()
        result = layer(states)
        (result**2).sum().backward()
        found.append([result, states.grad, *(weight.grad for weight in layer.parameters())])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_the_derivative_is_that_of_a_product_by_hand():
    quick = quicken(nn.Linear(128, 128))
    with torch.no_grad():
        quick.weight.copy_(torch.eye(128) * 2)
        quick.bias.fill_(1)
    states = torch.zeros(1, 128).index_fill_(1, torch.tensor([3]), 5.0).requires_grad_()
    result = quick(states)
    assert result[0, 3] == 11
    assert result[0, 4] == 1
    result[0, 3].backward()
    assert states.grad[0].nonzero().tolist() == [[3]]
    assert states.grad[0, 3] == 2
    assert quick.weight.grad[3, 3] == 5
    assert quick.weight.grad.count_nonzero() == 1
    assert quick.bias.grad.nonzero().tolist() == [[3]]


def test_strided_and_expanded_inputs():
    plain, quick = pair()
    states = torch.randn(160, 6)
    torch.testing.assert_close(quick(states.t()), plain(states.t()), rtol=1e-4, atol=1e-4)
    one = torch.randn(1, 160, requires_grad=True)
    other = one.detach().clone().requires_grad_()
    quick(one.expand(4, 160)).mean().backward()  # the gradient that comes back is expanded too
    plain(other.expand(4, 160)).mean().backward()
    torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-6)


def test_a_frozen_layer_keeps_no_states_and_gives_no_gradient():
    _, quick = pair()
    quick.requires_grad_(False)
    states = torch.randn(4, 160, requires_grad=True)
    result = quick(states)
    kept = [tensor for tensor in result.grad_fn.saved_tensors if tensor is not None]
    assert [tuple(tensor.shape) for tensor in kept] == [(200, 160)]
    result.sum().backward()
    assert quick.weight.grad is None
    assert quick(torch.randn(4, 160)).grad_fn is None
    with torch.no_grad():
        assert quick(states).grad_fn is None


def test_what_it_does_not_fit_is_computed_by_torch():
    plain, quick = pair()
    assert torch.equal(quick.double()(torch.ones(2, 160).double()), plain.double()(torch.ones(2, 160).double()))
    _, quick = pair()
    with torch.autocast("cpu", torch.bfloat16):
        assert quick(torch.randn(2, 160)).dtype == torch.bfloat16


def test_only_large_plain_layers_change_and_change_back():
    class Own(nn.Linear):
        pass

    small, own, large = nn.Linear(8, 8), Own(256, 256), nn.Linear(256, 256)
    assert small.weight.numel() < SMALLEST <= large.weight.numel()
    model = nn.Sequential(small, own, large)
    weights = list(model.parameters())
    assert quicken(model) is model
    assert [type(layer) for layer in model] == [nn.Linear, Own, QuickLinear]
    assert all(one is other for one, other in zip(weights, model.parameters(), strict=True))
    assert type(copy.deepcopy(model)[2]) is QuickLinear
    assert [type(layer) for layer in slowed(model)] == [nn.Linear, Own, nn.Linear]


def test_nothing_changes_where_it_does_not_help(monkeypatch):
    monkeypatch.setattr(products, "helps", lambda: False)
    assert type(quicken(nn.Linear(256, 256))) is nn.Linear


def test_intels_processors_keep_torchs_own(monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    for vendor, expected in (("GenuineIntel", False), ("AuthenticAMD", True)):
        monkeypatch.setattr(products, "_processor", lambda vendor=vendor: f"vendor_id\t: {vendor}")
        assert products.helps.__wrapped__() is expected
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    assert products.helps.__wrapped__() is False
