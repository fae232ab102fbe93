"""Frozen pretrained models behind one interface."""

from continual.registry import Registry

BACKBONES = Registry("backbone")
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
