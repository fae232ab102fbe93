"""What is trained for a task: the shapes a prompt can take."""

from typing import Any

from continual.registry import Registry

TUNINGS = Registry("tuning")
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


def build_tuning(spec: dict[str, Any]) -> Any:
    """The tuning that a config or a stored prompt describes, such as `{"name": "late", "length": 16, "layer": 3}`.

    Raises:
        ConfigError: The name or an option is unknown.
    """
    from continual.construction import construct_named

    return construct_named(TUNINGS, spec, section="tuning")
