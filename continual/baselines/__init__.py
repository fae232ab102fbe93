"""Published methods on the same stream and backbone, to compare with; the only room that knows Avalanche and PEFT.

This file and `methods.py` import nothing heavy; Avalanche, whose import takes seconds, is loaded when a run begins.
"""

from continual.registry import Registry

BASELINES = Registry("method", "continual.baselines")
BASELINES.add(
    "naive",
    "continual.baselines.methods:Naive",
    "one model, fine-tuned on one task after the other",
)
BASELINES.add(
    "cumulative",
    "continual.baselines.methods:Cumulative",
    "one model, fine-tuned on all texts of the tasks so far",
)
BASELINES.add(
    "joint",
    "continual.baselines.methods:Joint",
    "one model, fine-tuned once on all tasks together: the bound",
)
BASELINES.add(
    "ewc",
    "continual.baselines.methods:Ewc",
    "naive, with a penalty on changing weights that mattered",
    "Kirkpatrick et al. 2017, elastic weight consolidation (arXiv 1612.00796)",
)
BASELINES.add(
    "lwf",
    "continual.baselines.methods:Lwf",
    "naive, distilled from the model before the task",
    "Li and Hoiem 2016, learning without forgetting (arXiv 1606.09282)",
)
BASELINES.add(
    "replay",
    "continual.baselines.methods:Replay",
    "naive, with kept texts of earlier tasks in every batch",
    "Chaudhry et al. 2019, on tiny episodic memories (arXiv 1902.10486)",
)
BASELINES.add(
    "agem",
    "continual.baselines.methods:Agem",
    "naive, with gradients that do not raise the loss on kept texts",
    "Chaudhry et al. 2019, averaged gradient episodic memory (arXiv 1812.00420)",
)
BASELINES.add(
    "osf",
    "continual.baselines.methods:Osf",
    "one model whose largest singular directions are kept, by PEFT",
    "Nayak et al. 2025, orthogonal subspace fine-tuning (arXiv 2504.07097)",
)
BASELINES.add(
    "per_task",
    "continual.baselines.methods:PerTask",
    "a fine-tuned model of its own for each task",
)
BASELINES.add(
    "linear_probe",
    "continual.baselines.methods:LinearProbe",
    "the frozen model with a linear classifier for each task",
)
