"""Layer norms, low-rank additions and adapters: the arithmetic by hand, initial values, and the joint prompt."""

import math

import pytest
import torch
from tiny_models import DEPTH, INNER, WIDTH
from tuning_samples import FAMILIES, SPECS, BlockByHand, check_last_layer, fresh, generator, last, learned

from continual.backbone.catalog import hub
from continual.tuning import build_tuning
from continual.tuning.compacter import kronecker_sums

each_family = pytest.mark.parametrize("family", FAMILIES)
TOP = {"layer": DEPTH - 1}


def double(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors of the one layer that is changed."""
    return {name: (value if name == "slow" else value[0]).double() for name, value in tensors.items()}


class WithNorms(BlockByHand):
    """A block with other gains and biases; what is not given is the model's own."""

    def __init__(self, block, tensors, norms=("norm1", "norm2")) -> None:
        super().__init__(block)
        self.tensors, self.norms = tensors, norms

    def norm(self, name, vector):
        module = getattr(self.block, name)
        own = {"gains": module.weight.double(), "biases": module.bias.double()}
        if name in self.norms:
            own |= {part: self.tensors[part][self.norms.index(name)] for part in own if part in self.tensors}
        return self.normed(vector, own["gains"], own["biases"], module.eps)


@each_family
@pytest.mark.parametrize("parts", ["both", "gains", "biases"])
@pytest.mark.parametrize(
    ("norms", "names"), [("both", ("norm1", "norm2")), ("attention", ("norm1",)), ("feed_forward", ("norm2",))]
)
def test_layer_norms_by_hand(tiny_encoder, family, parts, norms, names):
    encoder = tiny_encoder(family)
    tuning = build_tuning({"name": "layer_norm", "norms": norms, "parts": parts} | TOP)
    tensors = learned(encoder, tuning)
    assert set(tensors) == {"gains", "biases"} if parts == "both" else {parts}
    assert all(value.shape == (1, len(names), WIDTH) for value in tensors.values())
    block = WithNorms(encoder.body.blocks[-1], double(tensors), names)
    check_last_layer(encoder, tuning, tensors, lambda place, tokens, bias: block.position(place, tokens, bias=bias))


@each_family
def test_a_prefix_and_layer_norms_by_hand(tiny_encoder, family):
    encoder = tiny_encoder(family)
    tuning = build_tuning({"name": "prefix_layer_norm", "length": 2} | TOP)
    tensors = learned(encoder, tuning)
    assert {name: tuple(value.shape) for name, value in tensors.items()} == {
        "prefix": (1, 2, 2, WIDTH),
        "gains": (1, 2, WIDTH),
        "biases": (1, 2, WIDTH),
    }
    block, (keys, values) = WithNorms(encoder.body.blocks[-1], double(tensors)), tensors["prefix"][0].double()

    def by_hand(place, tokens, bias):
        return block.position(place, tokens, keys, values, bias)

    check_last_layer(encoder, tuning, tensors, by_hand, prefix=2)


class WithLowRank(BlockByHand):
    """A block with `scale * vector A B` beside some of its linear layers."""

    def __init__(self, block, tensors, scale) -> None:
        super().__init__(block)
        self.tensors, self.scale = tensors, scale

    def linear(self, name, vector):
        result = super().linear(name, vector)
        if f"{name}_a" not in self.tensors:
            return result
        return result + self.scale * (vector @ self.tensors[f"{name}_a"] @ self.tensors[f"{name}_b"])


@each_family
@pytest.mark.parametrize(
    "targets", [["query", "value"], ["key"], ["output"], ["up"], ["down"], SPECS["lora-all-1"]["targets"]]
)
def test_lora_by_hand(tiny_encoder, family, targets):
    encoder = tiny_encoder(family)
    tuning = build_tuning({"name": "lora", "rank": 2, "alpha": 3.0, "targets": targets} | TOP)
    tensors = learned(encoder, tuning)
    sizes = {"up": (WIDTH, INNER), "down": (INNER, WIDTH)}
    expected = {}
    for target in targets:
        inputs, outputs = sizes.get(target, (WIDTH, WIDTH))
        expected |= {f"{target}_a": (1, inputs, 2), f"{target}_b": (1, 2, outputs)}
    assert {name: tuple(value.shape) for name, value in tensors.items()} == expected
    block = WithLowRank(encoder.body.blocks[-1], double(tensors), 3.0 / 2)
    check_last_layer(encoder, tuning, tensors, lambda place, tokens, bias: block.position(place, tokens, bias=bias))


def test_lora_starts_as_released(tiny_encoder):
    tensors = fresh(tiny_encoder("bert"), build_tuning({"name": "lora", "rank": 64, "targets": ["query", "down"]}))
    for name, inputs in (("query_a", WIDTH), ("down_a", INNER)):
        bound = 1 / math.sqrt(inputs)
        assert bound * 0.99 < tensors[name].abs().max() <= bound
        assert tensors[name].std() == pytest.approx(bound / math.sqrt(3), rel=0.02)
        assert tensors[name].mean() == pytest.approx(0.0, abs=0.02 * bound)
    assert not tensors["query_b"].any()
    assert not tensors["down_b"].any()


# ---------------------------------------------------------------- Compacter


def kronecker_by_hand(slow, rows, columns):
    """W = sum_i A_i kron (s_i t_i^T), product by product."""
    return sum(torch.kron(a, torch.outer(s, t)) for a, s, t in zip(slow, rows, columns, strict=True))


def test_a_kronecker_sum_worked_by_hand():
    # A_1 = [[1, 2], [0, 1]], s_1 t_1^T = [1, 2]^T [3]; A_2 = [[0, 0], [1, 0]], s_2 t_2^T = [1, 0]^T [5].
    slow = torch.tensor([[[1.0, 2.0], [0.0, 1.0]], [[0.0, 0.0], [1.0, 0.0]]])
    rows, columns = torch.tensor([[1.0, 2.0], [1.0, 0.0]]), torch.tensor([[3.0], [5.0]])
    expected = [[3, 6], [6, 12], [0 + 5, 3], [0, 6]]
    assert kronecker_sums(slow[None], rows[None, None], columns[None, None])[0, 0].tolist() == expected
    assert kronecker_by_hand(slow, rows, columns).tolist() == expected


class WithAdapters(WithNorms):
    """A block with adapters at some positions, and perhaps norms of its own."""

    def __init__(self, block, tensors, positions) -> None:
        super().__init__(block, tensors)
        self.positions = positions

    def adapt(self, name, vector):
        if name not in self.positions:
            return vector
        row = self.positions.index(name)
        inner = vector @ self.matrix("down", row) + self.tensors["down_bias"][row]
        # The tanh approximation of GELU (Hendrycks and Gimpel 2016).
        gelu = inner / 2 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (inner + 0.044715 * inner**3)))
        return vector + gelu @ self.matrix("up", row) + self.tensors["up_bias"][row]

    def matrix(self, direction, row):
        fast = (self.tensors[f"{direction}_{letter}"][row] for letter in "st")
        return kronecker_by_hand(self.tensors["slow"], *fast)


@each_family
@pytest.mark.parametrize("layer_norms", [True, False])
@pytest.mark.parametrize(
    ("name", "positions"), [("compacter", ("adapter1", "adapter2")), ("compacter_pp", ("adapter2",))]
)
def test_compacter_by_hand(tiny_encoder, family, name, positions, layer_norms):
    encoder = tiny_encoder(family)
    tuning = build_tuning({"name": name, "reduction": 4, "layer_norms": layer_norms} | TOP)
    tensors = learned(encoder, tuning)
    places, bottleneck = len(positions), WIDTH // 4
    shapes = {
        "slow": (4, 4, 4),
        "down_s": (1, places, 4, WIDTH // 4),
        "down_t": (1, places, 4, bottleneck // 4),
        "down_bias": (1, places, bottleneck),
        "up_s": (1, places, 4, bottleneck // 4),
        "up_t": (1, places, 4, WIDTH // 4),
        "up_bias": (1, places, WIDTH),
    }
    if layer_norms:
        shapes |= {"gains": (1, 2, WIDTH), "biases": (1, 2, WIDTH)}
    assert {name: tuple(value.shape) for name, value in tensors.items()} == shapes
    block = WithAdapters(encoder.body.blocks[-1], double(tensors), positions)
    check_last_layer(encoder, tuning, tensors, lambda place, tokens, bias: block.position(place, tokens, bias=bias))


def test_slow_weights_are_shared_by_all_layers(tiny_encoder):
    """A change of one number of them changes every layer."""
    encoder, tuning = tiny_encoder("bert"), build_tuning({"name": "compacter_pp", "reduction": 4})
    tensors = learned(encoder, tuning)
    other = tensors | {"slow": tensors["slow"] + torch.eye(4)}
    for place in range(DEPTH):
        changes = [tuning.change(encoder, some, place).adapter2 for some in (tensors, other)]
        assert (changes[0].down - changes[1].down).abs().max() > 1e-3
        assert (changes[0].up - changes[1].up).abs().max() > 1e-3


def test_compacter_starts_as_released(minilm):
    tensors = build_tuning({"name": "compacter", "reduction": 16, "phm_dim": 8}).initial(minilm, None, generator())
    assert tensors["slow"].std() == pytest.approx(1e-4, rel=0.15)
    for name, size in (("down_s", 48), ("down_t", 3), ("up_s", 3), ("up_t", 48)):
        bound = math.sqrt(2) * math.sqrt(6 / (size + 1))
        assert tensors[name].shape[-1] == size
        assert bound * 0.97 < tensors[name].abs().max() <= bound
        assert tensors[name].std() == pytest.approx(bound / math.sqrt(3), rel=0.1)
    assert not tensors["down_bias"].any()
    assert not tensors["up_bias"].any()


# ---------------------------------------------------------------- where weights lie on disk


@pytest.mark.parametrize("kind", ["layer_norm-gains", "lora-all-1", "compacter-1"])
def test_the_same_bits_with_the_backbone_on_disk(tiny_folder, kind):
    folder, tuning = str(tiny_folder("bert")), build_tuning(SPECS[kind])
    plain, spread = hub(folder, max_length=48), hub(folder, max_length=48, memory_mb=0.001)
    tensors = learned(plain, tuning)
    assert all(torch.equal(value, tensors[name]) for name, value in learned(spread, tuning).items())
    with torch.no_grad():
        assert torch.equal(last(spread, tuning, tensors)[0], last(plain, tuning, tensors)[0])
