"""Lifelong pretraining: one language model learns domain after domain of text, and should forget none.

An *objective* says what is asked of the model in a batch of texts and how its answer is scored; everything else that a
strategy may have (domain prompts, replay, distillation, expansion) is independent of it, put together in `lifelong.py`.
"""

from continual.registry import Registry

OBJECTIVES = Registry("pretraining objective", "continual.objectives")
OBJECTIVES.add(
    "masked",
    "continual.pretraining.lifelong.objectives:Masked",
    "tokens masked at random (15 %: 80 % mask, 10 % random, 10 % kept)",
    "Devlin et al. 2019, BERT (arXiv 1810.04805)",
)
OBJECTIVES.add(
    "causal",
    "continual.pretraining.lifelong.objectives:NextToken",
    "the next token, for causal models",
    "Radford et al. 2018, GPT",
)
OBJECTIVES.add(
    "self_evolution",
    "continual.pretraining.lifelong.objectives:SelfEvolution",
    "tokens that the model itself finds hard are masked, with token-specific label smoothing",
    "Zhong et al. 2022, Vega v2 (arXiv 2212.01853); Zhong et al. 2023, SE (Findings of ACL)",
)
