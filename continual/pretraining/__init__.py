"""Models that are pretrained here, from a configuration: no hub is needed.

A *recipe* makes one kind of model. It is registered below and chosen by `kind` in a file of `configs/pretrain`; what
all kinds share (the cache, kill and resume, the loop, tracking) they need not know.
"""

from continual.registry import Registry

RECIPES = Registry("kind of pretraining", "continual.pretrainings")
RECIPES.add(
    "translation",
    "continual.pretraining.translation.recipe:TranslationRecipe",
    "a small encoder-decoder that translates, from scratch",
    "Zhong et al. 2022, arXiv 2205.14912 (its objectives are options)",
)
RECIPES.add(
    "lifelong",
    "continual.pretraining.lifelong.recipe:LifelongRecipe",
    "a masked or causal model that learns domain after domain of text",
    "Qin et al. 2022, ELLE (Findings of ACL); Zhong et al. 2022, Vega v2 (arXiv 2212.01853)",
)
