"""Models that are pretrained here, from a configuration: no hub is needed.

A *recipe* makes one kind of model. It is registered below and chosen by `kind` in a file of `configs/pretrain`; what
all kinds share (the cache, kill and resume, the loop, tracking) they need not know.
"""

from continual.registry import Registry

RECIPES = Registry("kind of pretraining")
RECIPES.add(
    "translation",
    "continual.pretraining.translation.recipe:TranslationRecipe",
    "a small encoder-decoder that translates, from scratch",
    "Zhong et al. 2022, arXiv 2205.14912 (its objectives are options)",
)
