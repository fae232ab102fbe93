"""One file for each published way to learn a task from a pool, readable from top to bottom."""

from continual.registry import Registry

METHODS = Registry("method", "continual.methods")
METHODS.add(
    "scratch",
    "continual.methods.scratch:Scratch",
    "a fresh prompt from the task's own texts alone",
    "Lester et al. 2021, prompt tuning (arXiv 2104.08691)",
)
METHODS.add(
    "spot",
    "continual.methods.spot:Spot",
    "a prompt initialised from the most transferable source",
    "Vu et al. 2022, SPoT (arXiv 2110.07904)",
)
METHODS.add(
    "panda",
    "continual.methods.panda:Panda",
    "a fresh prompt distilled from sources adapted to the target, weighted by transferability",
    "Zhong et al. 2022, PANDA (arXiv 2208.10160)",
)
METHODS.add(
    "vega",
    "continual.methods.vega:Vega",
    "distilled transfer from a larger task for tasks with few texts, plain prompt tuning for the others",
    "Zhong et al. 2022, Vega v2 (arXiv 2212.01853)",
)
METHODS.add(
    "attempt",
    "continual.methods.attempt:Attempt",
    "for each text a mixture of source prompts, weighted by a trained attention network",
    "Asai et al. 2022, ATTEMPT (arXiv 2205.11961)",
)
METHODS.add(
    "progressive",
    "continual.methods.progressive:Progressive",
    "a new prompt in front of all earlier ones, which stay frozen",
    "Razdaibiedina et al. 2023, Progressive Prompts (arXiv 2301.12314)",
)
METHODS.add(
    "cpt_rd",
    "continual.methods.cpt_rd:CptRd",
    "shared and domain prompts, written by a hypernetwork that remembers earlier domains",
    "Zuo et al. 2022, CPT-RD (arXiv 2203.11720)",
)
METHODS.add(
    "l2p",
    "continual.methods.l2p:L2P",
    "one pool of prompts with learned keys for all tasks; told the task, it chooses among its labels",
    "Wang et al. 2022, L2P (arXiv 2112.08654)",
)
METHODS.add(
    "coda",
    "continual.methods.coda:Coda",
    "one sum of prompt components for all tasks; each task adds some; told the task, it chooses among its labels",
    "Smith et al. 2023, CODA-Prompt (arXiv 2211.13218)",
)
METHODS.add(
    "tapd",
    "continual.methods.tapd:Tapd",
    "for stance: target-aware templates and label vectors, several templates distilled into one prompt",
    "Jiang et al. 2022, TAPD (arXiv 2206.13214)",
)
METHODS.add(
    "olora",
    "continual.methods.olora:OLora",
    "low-rank additions of all tasks summed, each orthogonal to others; told the task, it chooses among its labels",
    "Wang et al. 2023, O-LoRA (arXiv 2310.14152)",
)
