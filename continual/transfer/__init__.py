"""Transferability: how much an old prompt will help a new task."""

from continual.registry import Registry

TRANSFERABILITY = Registry("transferability metric", "continual.transfer")
TRANSFERABILITY.add(
    "panda",
    "continual.transfer.metrics:panda",
    "cosine of task embeddings: how each learned prompt moves the mean last state of shared probe texts",
    "Zhong et al. 2022, PANDA (arXiv 2208.10160)",
)
TRANSFERABILITY.add(
    "panda_state",
    "continual.transfer.metrics:panda_state",
    "the other reading of PANDA: cosine of the mean last states themselves, common part included",
    "Zhong et al. 2022, PANDA (arXiv 2208.10160)",
)
TRANSFERABILITY.add(
    "on",
    "continual.transfer.metrics:activated_neurons",
    "overlap of the feed-forward units that each prompt switches on",
    "Su et al. 2022, On Transferability of Prompt Tuning (arXiv 2111.06719)",
)
TRANSFERABILITY.add(
    "e_avg",
    "continual.transfer.metrics:e_avg",
    "mean cosine over all pairs of soft tokens",
    "Vu et al. 2022, SPoT (arXiv 2110.07904); Su et al. 2022",
)
TRANSFERABILITY.add(
    "e_concat",
    "continual.transfer.metrics:e_concat",
    "cosine of the flattened prompts",
    "Su et al. 2022, On Transferability of Prompt Tuning (arXiv 2111.06719)",
)
TRANSFERABILITY.add(
    "key_cosine",
    "continual.transfer.metrics:key_cosine",
    "closeness of the tasks' texts: mean over the target's keys of the best cosine with a source's key",
)
