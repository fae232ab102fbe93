"""One file for each published way to learn a task from a pool, readable from top to bottom."""

from continual.registry import Registry

METHODS = Registry("method")
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
