"""How many numbers the parameter-efficient modules train on a model, worked out from its configuration alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from continual._torchvision import declare_missing_operators
from continual.backbone.blocks import FAMILIES, blocks_of
from continual.backbone.change import LINEAR
from continual.errors import BackboneError

if TYPE_CHECKING:
    from transformers import PretrainedConfig

_T5_LINEAR = {
    "q": "query",
    "k": "key",
    "v": "value",
    "o": "output",
    "wi": "up",
    "wi_0": "up",
    "wi_1": "up",
    "wo": "down",
}


@dataclass(frozen=True)
class Anatomy:
    """The parts of a model that modules are attached to.

    Attributes:
        width: Size of a hidden state.
        blocks: Transformer blocks, those of encoder and decoder together.
        norms: Numbers in the layer norms that are trained: for encoders gains and biases of all blocks, as our
            tunings train them; for T5 the gains (it has no biases) of all norms, the two final ones included.
        linear: Inputs and outputs of all linear layers in blocks, by their name in `change.LINEAR`.
        total: Numbers in the whole model, those used twice counted once.
    """

    width: int
    blocks: int
    norms: int
    linear: Mapping[str, Sequence[tuple[int, int]]]
    total: int

    @classmethod
    def of(cls, config: "PretrainedConfig") -> "Anatomy":
        """The anatomy of an encoder of `blocks.FAMILIES`, or of a T5 with its decoder.

        The model is built without weights: nothing is read and no memory is taken.

        Raises:
            BackboneError: The configuration is of another family.
        """
        declare_missing_operators()
        from transformers import AutoModel, T5ForConditionalGeneration

        if config.model_type != "t5" and config.model_type not in FAMILIES:
            raise BackboneError(
                f"Parameters can be counted for the families t5, {', '.join(FAMILIES)}, but the configuration is of "
                f"family {config.model_type!r}; give one of these."
            )
        with torch.device("meta"):
            if config.model_type == "t5":
                return cls._of_t5(T5ForConditionalGeneration(config))
            return cls._of_encoder(AutoModel.from_config(config))

    @classmethod
    def _of_encoder(cls, model: nn.Module) -> "Anatomy":
        blocks = blocks_of(model) or []
        norms = [norm for block in blocks for norm in (block.norm1, block.norm2)]
        linear = {name: [_sizes(getattr(block, name)) for block in blocks] for name in LINEAR}
        return cls(model.config.hidden_size, len(blocks), sum(map(_size, norms)), linear, _size(model))

    @classmethod
    def _of_t5(cls, model: nn.Module) -> "Anatomy":
        norms = [module for module in model.modules() if type(module).__name__ == "T5LayerNorm"]
        linear: dict[str, list[tuple[int, int]]] = {name: [] for name in LINEAR}
        for path, module in model.named_modules():
            name = _T5_LINEAR.get(path.rpartition(".")[2])
            if name:
                linear[name].append(_sizes(module))
        blocks = len(model.encoder.block) + len(model.decoder.block)
        return cls(model.config.d_model, blocks, sum(map(_size, norms)), linear, _size(model))


def compacter_parameters(
    anatomy: Anatomy,
    reduction: int = 32,
    phm_dim: int = 4,
    after_attention: bool = True,
    layer_norms: bool = True,
) -> int:
    """Numbers trained by Compacter, or by Compacter++ with `after_attention=False` (arXiv 2106.04647).

    Counted are, as the released code trains them: in each block of encoder and decoder one adapter after the
    feed-forward part, and one after self-attention (none after cross-attention), each of two matrices with s_i and t_i
    for every i and a bias; the one set of n^3 slow weights; and all layer norms. On T5-base with the vocabulary cut to
    the tokenizer's 32,100 words (222,882,048 numbers in all) and a bottleneck of 24 these are 161,728 = .0726 % and
    104,704 = .0470 %: the paper's .073 % and .047 %. The formula in the paper's text, 4 L (k + d) + n^3, leaves out
    biases and layer norms; without the norms the shares are .051 % and .026 %.

    Args:
        anatomy: Of the model.
        reduction: Width of the model divided by that of the bottleneck.
        phm_dim: The number n of Kronecker products.
        after_attention: Whether adapters stand after self-attention too.
        layer_norms: Whether the layer norms are trained too.
    """
    width, bottleneck = anatomy.width, anatomy.width // reduction
    fast, biases = 2 * (width + bottleneck), bottleneck + width
    adapters = anatomy.blocks * (2 if after_attention else 1)
    return adapters * (fast + biases) + phm_dim**3 + (anatomy.norms if layer_norms else 0)


def layer_norm_parameters(anatomy: Anatomy) -> int:
    """Numbers trained by LN-tuning (arXiv 2211.08682); see `Anatomy.norms` for which they are."""
    return anatomy.norms


def lora_parameters(anatomy: Anatomy, rank: int = 8, targets: Sequence[str] = ("query", "value")) -> int:
    """Numbers trained by LoRA (arXiv 2106.09685) beside every linear layer of the kinds `targets`.

    In a decoder these are those of self-attention and of cross-attention.
    """
    return sum(rank * (inputs + outputs) for target in targets for inputs, outputs in anatomy.linear[target])


def _size(module: nn.Module) -> int:
    return sum(value.numel() for value in module.parameters())


def _sizes(linear: nn.Linear) -> tuple[int, int]:
    return linear.in_features, linear.out_features
