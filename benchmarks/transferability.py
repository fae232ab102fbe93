"""Rank correlation of every transferability metric with the known similarity of simulated tasks.

Twelve simulated tasks with known pairwise similarity are learned from scratch, one prompt each. Every metric scores
every ordered pair of prompts; the result is the Spearman correlation of these scores with the truth, over all pairs,
for each seed. Two truths are reported. The signed one counts a task with swapped labels as the opposite (-1). A prompt
carries no labels, though: what helps a task helps its mirror image as well, so the second truth is the absolute value.

    python -m benchmarks.transferability [--seeds 0,1,2] [--tuning deep]
"""

import argparse
import tempfile
from itertools import permutations
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from benchmarks.common import save
from continual import Learner, LearnerSettings
from continual.config import compose
from continual.transfer import TRANSFERABILITY
from continual.transfer.signature import stored_signature
from streams import SimulatedSource, StreamManager

TASKS = (
    {"name": "kitchen", "topic": "kitchen", "cues": {"temperature": 1.0}},
    {"name": "kitchen-again", "like": "kitchen"},
    {"name": "kitchen-swapped", "like": "kitchen", "swap_labels": True},
    {"name": "garden-temperature", "topic": "garden", "cues": {"temperature": 1.0}},
    {"name": "harbour", "topic": "harbour", "cues": {"temperature": 0.8, "size": 0.6}},
    {"name": "harbour-size", "topic": "harbour", "cues": {"size": 1.0}},
    {"name": "office", "topic": "office", "cues": {"speed": 1.0}},
    {"name": "office-again", "like": "office"},
    {"name": "station", "topic": "station", "cues": {"speed": 0.5, "age": 0.866}},
    {"name": "station-age", "topic": "station", "cues": {"age": 1.0}},
    {"name": "garden-speed", "topic": "garden", "cues": {"speed": 0.8, "temperature": 0.6}},
    {"name": "office-swapped", "like": "office", "topic": "kitchen", "swap_labels": True},
)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--tuning", default="deep")
    parser.add_argument("overrides", nargs="*", help="settings such as training.epochs=8")
    arguments = parser.parse_args()
    overrides = [f"tuning={arguments.tuning}", "method=scratch", *arguments.overrides]
    rows = []
    for seed in map(int, arguments.seeds.split(",")):
        correlations = measure(seed, compose("quickstart", [*overrides, f"seed={seed}"]).learner)
        rows.append({"seed": seed, "spearman": correlations})
        print(f"seed {seed}: {correlations}", flush=True)
    means = {
        name: {
            truth: float(np.mean([row["spearman"][name][truth] for row in rows])) for truth in ("signed", "absolute")
        }
        for name in rows[0]["spearman"]
    }
    for name, values in means.items():
        print(f"{name:12s} signed {values['signed']:+.3f}  absolute {values['absolute']:+.3f}")
    save(
        "transferability",
        {"overrides": overrides, "pairs": len(TASKS) * (len(TASKS) - 1), "mean": means, "seeds": rows},
    )


def measure(seed: int, settings: LearnerSettings) -> dict[str, dict[str, float]]:
    """For each metric the Spearman correlation with the signed and the absolute known similarity."""
    source = SimulatedSource(tasks=TASKS, split_seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        learner = Learner(Path(folder) / "pool", settings=settings)
        records = [learner.learn(task) for task in StreamManager(source)]
        tensors = [learner.pool.get(record.id).tensors for record in records]
    signatures = [stored_signature(learner.tuning, item) for item in tensors]
    pairs = list(permutations(range(len(TASKS)), 2))
    truth = np.array([source.similarity[pair] for pair in pairs])
    result = {}
    for entry in TRANSFERABILITY.values():
        metric = entry.load()
        scores = [metric(signatures[first], signatures[second]) for first, second in pairs]
        result[entry.name] = {
            "signed": float(spearmanr(scores, truth).statistic),
            "absolute": float(spearmanr(scores, np.abs(truth)).statistic),
        }
    return result


if __name__ == "__main__":
    main()
