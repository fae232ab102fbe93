"""Learns the same task twice against a pool, in a process that has learned nothing before; prints the seconds.

python -m benchmarks.pool.learn_child POOL
"""

import itertools
import json
import sys
import time

import torch

from benchmarks.pool.material import TUNING
from benchmarks.speed import material
from continual import Learner, LearnerSettings
from continual.training.config import TrainingConfig


def main(folder: str) -> None:
    """Sources are recalled, read and ranked; equal work is done for the task itself whatever they are."""
    torch.set_num_threads(2)
    encoder, task = material.encoder(), material.task("simulated", "office", train=80, dev=40, test=20)
    assert encoder.fingerprint
    settings = LearnerSettings(method={"name": "spot"}, tuning=TUNING, training=TrainingConfig(epochs=1, min_steps=0))
    times = [time.perf_counter()]
    learner = Learner(folder, encoder, settings)
    for _ in range(2):
        learner.learn(task)
        times.append(time.perf_counter())
    first, second = (stop - start for start, stop in itertools.pairwise(times))
    print(json.dumps({"first": first, "second": second}))


if __name__ == "__main__":
    main(*sys.argv[1:])
