"""What is trained for a task: the shapes a prompt can take."""

from collections.abc import Mapping
from typing import Any

from continual.registry import Registry

TUNINGS = Registry("tuning", "continual.tunings")
TUNINGS.add(
    "input",
    "continual.tuning.soft_prompt:InputPrompt",
    "soft tokens in front of the text, before the first layer",
    "Lester et al. 2021, The Power of Scale for Parameter-Efficient Prompt Tuning (arXiv 2104.08691)",
)
TUNINGS.add(
    "late",
    "continual.tuning.soft_prompt:LatePrompt",
    "soft tokens inserted before layer k; the layers below are computed once and kept",
    "Liu et al. 2022, Late Prompt Tuning (arXiv 2210.11292)",
)
TUNINGS.add(
    "deep",
    "continual.tuning.prefix:DeepPrompt",
    "a trained key/value prefix in every layer from `layer` on",
    "Li and Liang 2021, Prefix-Tuning (arXiv 2101.00190); Liu et al. 2021, P-Tuning v2 (arXiv 2110.07602)",
)
TUNINGS.add(
    "layer_norm",
    "continual.tuning.layer_norm:LayerNorm",
    "gains and biases of the layer norms from layer `layer` on",
    "Qi et al. 2022, Parameter-Efficient Tuning on Layer Normalization (arXiv 2211.08682)",
)
TUNINGS.add(
    "prefix_layer_norm",
    "continual.tuning.layer_norm:PrefixLayerNorm",
    "a key/value prefix and the layer norms together, from layer `layer` on",
    "Qi et al. 2022, Parameter-Efficient Tuning on Layer Normalization (arXiv 2211.08682)",
)
TUNINGS.add(
    "compacter",
    "continual.tuning.compacter:Compacter",
    "adapters of shared and rank-one weights after attention and feed-forward part, and the layer norms",
    "Karimi Mahabadi et al. 2021, Compacter (arXiv 2106.04647)",
)
TUNINGS.add(
    "compacter_pp",
    "continual.tuning.compacter:CompacterPlusPlus",
    "the same after the feed-forward part only",
    "Karimi Mahabadi et al. 2021, Compacter++ (arXiv 2106.04647)",
)
TUNINGS.add(
    "lora",
    "continual.tuning.lora:Lora",
    "low-rank additions to linear layers from layer `layer` on",
    "Hu et al. 2021, LoRA (arXiv 2106.09685)",
)
TUNINGS.add(
    "both",
    "continual.tuning.both:BothStacks",
    "one tuning in the encoder and one in the decoder of an encoder-decoder",
    "Li and Liang 2021, Prefix-Tuning (arXiv 2101.00190), whose prefixes stand in both; here for any tuning of layers",
)

COMPOSITIONS = Registry("composition", "continual.compositions")
"""Tunings that methods make out of other tunings. A config names only the tuning that they are made of."""
COMPOSITIONS.add(
    "chain",
    "continual.tuning.composed.chain:Chain",
    "the task's own prompt in front of frozen earlier ones",
    "Razdaibiedina et al. 2023, Progressive Prompts (arXiv 2301.12314)",
)
COMPOSITIONS.add(
    "attention",
    "continual.tuning.composed.attention:Attention",
    "for each text a mixture of source prompts, weighted by an attention network",
    "Asai et al. 2022, ATTEMPT (arXiv 2205.11961)",
)
COMPOSITIONS.add(
    "selection",
    "continual.tuning.composed.selection:Selection",
    "for each text the prompts of a small pool whose learned keys are nearest",
    "Wang et al. 2022, L2P (arXiv 2112.08654)",
)
COMPOSITIONS.add(
    "components",
    "continual.tuning.composed.components:Components",
    "for each text a weighted sum of prompt components",
    "Smith et al. 2023, CODA-Prompt (arXiv 2211.13218)",
)
COMPOSITIONS.add(
    "low_rank_sum",
    "continual.tuning.composed.low_rank_sum:LowRankSum",
    "the sum of the low-rank additions of all tasks so far",
    "Wang et al. 2023, O-LoRA (arXiv 2310.14152)",
)
COMPOSITIONS.add(
    "templated",
    "continual.tuning.composed.templated:Templated",
    "text and target in a template, read at its mask and at the target",
    "Jiang et al. 2022, TAPD (arXiv 2206.13214)",
)


def build_tuning(spec: dict[str, Any]) -> Any:
    """The tuning that a config or a stored prompt describes, such as `{"name": "late", "length": 16, "layer": 3}`.

    Raises:
        ConfigError: The name or an option is unknown.
    """
    from continual.construction import construct_named

    registry = COMPOSITIONS if spec.get("name") in COMPOSITIONS else TUNINGS
    return construct_named(registry, spec, section="tuning")


def stored_tuning(spec: Mapping[str, Any]) -> Any:
    """The tuning of a stored prompt, whose description also says from what its ground was read."""
    return build_tuning({key: value for key, value in spec.items() if key != "readout"})
