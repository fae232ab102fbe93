"""Peak memory of learning a task, with a small and a large cache limit, in processes of their own."""

import json
import subprocess
import sys
import tempfile

from benchmarks.measure import Row

_TEXTS = 6000
_LIMITS = (64, 2048)
_PROGRAM = """
import json, sys, tempfile, threading, time
from continual import Learner, LearnerSettings
from continual.training.config import TrainingConfig
from streams import SimulatedSource, StreamManager

def anonymous():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("RssAnon")) / 1024

peak = [0.0]
def watch():
    while True:
        peak[0] = max(peak[0], anonymous())
        time.sleep(0.02)

limit, texts = float(sys.argv[1]), int(sys.argv[2])
settings = LearnerSettings(
    method={"name": "scratch"}, cache_mb=limit, training=TrainingConfig(epochs=1, min_steps=0)
)
source = SimulatedSource(
    tasks=[{"name": "kitchen", "topic": "kitchen", "cues": {"temperature": 1.0}}], train=texts, dev=500, test=50
)
with tempfile.TemporaryDirectory() as folder:
    learner = Learner(f"{folder}/pool", settings=settings)
    task = next(iter(StreamManager(source)))
    learner.predict([]) if len(learner.pool) else learner.encoder.fingerprint
    ready = anonymous()
    threading.Thread(target=watch, daemon=True).start()
    started = time.monotonic()
    learner.learn(task)
    print(json.dumps({"ready": ready, "peak": peak[0], "seconds": time.monotonic() - started,
                      "spilled": learner.cache.space.spilled / 1e6}))
"""


def rows() -> list[Row]:
    """Memory beyond the loaded program, against the limit."""
    found = {}
    for limit in _LIMITS:
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                [sys.executable, "-c", _PROGRAM, str(limit), str(_TEXTS)],
                check=True,
                capture_output=True,
                text=True,
                cwd=folder,
            )
        found[limit] = json.loads(done.stdout.splitlines()[-1])
    small = found[_LIMITS[0]]
    beyond = small["peak"] - small["ready"]
    allowed = _LIMITS[0] + 300
    return [
        Row(
            what=f"memory of learning {_TEXTS:,} texts with cache_mb={_LIMITS[0]}, beyond the loaded program",
            against=f"the limit and 300 MB for batches and optimisers (with cache_mb={_LIMITS[1]}: "
            f"{found[_LIMITS[1]]['peak'] - small['ready']:.0f} MB)",
            goal=f"at most {allowed} MB",
            measured=beyond,
            met=beyond <= allowed,
            unit="MB",
            limits="batches of 64 texts in the frozen model; the terms of all texts, which are not spilled",
            details={str(limit): value for limit, value in found.items()},
        )
    ]
