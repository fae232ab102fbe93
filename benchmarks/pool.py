"""A pool of a hundred thousand prompts with a million keys: searched, opened, added to, learned against.

    CONTINUAL_DATA=... python -m benchmarks.pool [--prompts 100000] [--keys 10] [--folder DIR]

Keys have the shape of real ones: each task has a centre, a sum of a few directions of the kind that MiniLM's text
vectors have, and its keys lie around it. The pool's files are written as `PromptPool.add` writes them, but without
waiting for the disk after each, and indexed by `PromptPool.rebuild`, as after a loss of the index.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.common import save_group
from benchmarks.measure import REPEATS, Row, Spread, seconds_of, show
from continual.pool import PromptPool
from continual.pool import format as prompt_format
from continual.pool.index import KeyIndex
from continual.pool.prompt import Prompt

QUERIES, NEAREST = 1000, 10
TUNING = {"name": "deep", "length": 2, "layer": 5}
"""Small prompts, so that a hundred thousand of them fit on a disk."""


def main() -> None:
    """Builds the pool and measures it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=100_000)
    parser.add_argument("--keys", type=int, default=10)
    arguments = parser.parse_args()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "pool"
        build = fill(folder, arguments.prompts, arguments.keys)
        rows = [*searching(folder), adding(folder), *opening(folder, arguments.prompts), learning(folder)]
    show(rows)
    keys = arguments.prompts * arguments.keys
    seconds = time.perf_counter() - started
    save_group("pool", "pool", rows, seconds, prompts=arguments.prompts, keys=keys, build=build)


def keys_of(prompts: int, keys: int, width: int, seed: int) -> np.ndarray:
    """Unit vectors [prompts, keys, width], near to each other within a prompt."""
    generator = np.random.default_rng(seed)
    spectrum = np.arange(1, width + 1, dtype=np.float32) ** -0.5  # as the principal components of text vectors fall off
    basis = np.linalg.qr(np.random.default_rng(0).standard_normal((width, width)))[0].astype(np.float32)
    centres = generator.standard_normal((prompts, 1, width), dtype=np.float32) * spectrum
    around = 0.7 * generator.standard_normal((prompts, keys, width), dtype=np.float32) * spectrum
    found = (centres + around) @ basis
    return found / np.linalg.norm(found, axis=2, keepdims=True)


def fill(folder: Path, prompts: int, keys: int) -> dict[str, float]:
    """Writes the prompts, indexes them and makes the search graph; the seconds of each."""
    from benchmarks.speed import material
    from continual.transfer.probe import probe_version
    from continual.transfer.signature import Prober, signature_tensors
    from continual.tuning import build_tuning
    from continual.tuning.base import TRAINED

    encoder, tuning = material.encoder(), build_tuning(TUNING)
    pool = PromptPool(folder, encoder.fingerprint, backbone_name=encoder.name)
    initial = tuning.initial(encoder, None, torch.Generator().manual_seed(0))
    signature = Prober(encoder).signature(tuning, initial, initial, torch.zeros(1, encoder.width))
    shared = {f"{TRAINED}{name}": value for name, value in initial.items()} | signature_tensors(signature)

    def write() -> None:
        for start in range(0, prompts, 1000):
            block = keys_of(min(1000, prompts - start), keys, encoder.width, seed=start + 1)
            for number, own in enumerate(block, start=start):
                task = f"task-{number:06d}"
                prompt = Prompt(
                    id=f"{task}-v1",
                    task=task,
                    version=1,
                    labels=("no", "yes"),
                    backbone=encoder.fingerprint,
                    tuning=tuning.spec(),
                    method="scratch",
                    tensors=shared | {"keys": torch.from_numpy(own)},
                    provenance={"unknown_below": 0.2, "probe": probe_version()},
                )
                place = pool.folder(prompt.id)
                place.mkdir(parents=True)
                prompt_format.encode(prompt).write(place)

    seconds = {"write": seconds_of(write), "index and search graph": seconds_of(pool.rebuild)}
    print({name: round(value, 1) for name, value in seconds.items()}, flush=True)
    return seconds


def searching(folder: Path) -> list[Row]:
    """Recall and latency of single queries on one core."""
    from benchmarks.speed import material

    torch.set_num_threads(1)
    pool = PromptPool(folder, read_only=True)
    keys = _all_keys(folder, material.encoder().width)
    queries = keys_of(QUERIES // 2, 2, keys.shape[1], seed=10**9).reshape(QUERIES, -1)
    # Half of the queries come from known tasks: their keys, moved a little.
    known = keys[np.random.default_rng(3).integers(len(keys), size=QUERIES // 2)]
    noise = np.random.default_rng(4).standard_normal(known.shape).astype(np.float32)
    queries[::2] = known + 0.5 * noise / np.linalg.norm(noise, axis=1, keepdims=True)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    load = seconds_of(lambda: pool.search(queries[:1], NEAREST))
    index = _index(folder, keys)
    found, seconds = [], []
    for query in queries:
        started = time.perf_counter()
        found.append(index.search(query[None], NEAREST)[1][0])
        seconds.append(time.perf_counter() - started)
    exact = _exact(keys, queries)
    recall = float(np.mean([len(set(one) & set(other)) / NEAREST for one, other in zip(found, exact, strict=True)]))
    late = float(np.quantile(seconds, 0.95)) * 1e3
    details = {"keys": len(keys), "median ms": float(np.median(seconds)) * 1e3, "first search, s": load}
    limits = "the number of keys that the search of the graph looks at"
    n, what = f"{QUERIES:,} queries", f"recall@{NEAREST} of {len(keys):,} keys"
    return [
        Row(what, "exact search", "at least 0.95", recall, recall >= 0.95, "", limits, n=n),
        Row("95th percentile of one query on one core", "", "under 3 ms", late, late < 3, "ms", limits, details, n=n),
    ]


def adding(folder: Path) -> Row:
    """One more prompt, durably."""
    from benchmarks.speed import material

    pool = PromptPool(folder)
    example = pool.get(pool.ids()[0])
    names = iter(range(REPEATS + 1))

    def add() -> None:
        task = f"new-{time.time_ns()}-{next(names)}"
        keys = torch.from_numpy(keys_of(1, 10, material.encoder().width, seed=time.time_ns() % 2**31)[0])
        pool.add(
            Prompt(
                id=f"{task}-v1",
                task=task,
                version=1,
                labels=example.labels,
                backbone=example.backbone,
                tuning=example.tuning,
                method=example.method,
                tensors=example.tensors | {"keys": keys},
                provenance={},
            )
        )

    add()
    seconds = Spread.of([seconds_of(add) for _ in range(REPEATS)])
    return Row.of(
        seconds,
        "adding a prompt to a pool of this size",
        "",
        "does not rebuild everything: under 0.5 s",
        seconds.median < 0.5,
        "s",
        "syncing files and folders to the disk",
    )


_OPEN = """
import resource, sys, time
from continual.pool import PromptPool
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
started = time.perf_counter()
pool = PromptPool(sys.argv[1], read_only=True)
count = len(pool)
print(time.perf_counter() - started, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, count)
"""


def opening(folder: Path, prompts: int) -> list[Row]:
    """Opening in a process of its own: time and memory."""
    found = []
    for _ in range(REPEATS):
        done = subprocess.run([sys.executable, "-c", _OPEN, str(folder)], check=True, capture_output=True, text=True)
        found.append([float(value) for value in done.stdout.split()])
    assert found[0][2] >= prompts
    seconds, memory = (Spread.of([item[0] for item in found]), Spread.of([item[1] * 1024 / prompts for item in found]))
    limits = "reading the names of all folders, to find what a killed process left"
    return [
        Row.of(seconds, f"opening {prompts:,} prompts", "", "under 2 s", seconds.median < 2, "s", limits),
        Row.of(
            memory,
            "memory of opening them",
            "",
            "does not grow with the tensors: under 1 kB a prompt",
            memory.median < 1,
            "kB a prompt",
            "the names of the folders",
        ),
    ]


def learning(folder: Path) -> Row:
    """One task learned against this pool and against one of ten prompts."""
    from benchmarks.speed import material
    from continual import Learner, LearnerSettings
    from continual.training.config import TrainingConfig

    os.environ.setdefault("OMP_NUM_THREADS", "2")
    torch.set_num_threads(2)
    task = material.task("simulated", "office", train=80, dev=40, test=20)
    # Sources are recalled, read and ranked; equal work is done for the task itself whatever they are.
    settings = LearnerSettings(method={"name": "spot"}, tuning=TUNING, training=TrainingConfig(epochs=1, min_steps=0))
    seconds: dict[str, list[float]] = {"large": [], "small": []}
    with tempfile.TemporaryDirectory() as temporary:
        few = Path(temporary) / "few"
        source = PromptPool(folder, read_only=True)
        source.export(few, source.ids()[:10])
        learners = {
            "large": Learner(folder, material.encoder(), settings),
            "small": Learner(few, material.encoder(), settings),
        }
        first = {name: seconds_of(lambda learner=learner: learner.learn(task)) for name, learner in learners.items()}
        for _ in range(REPEATS):
            for name, learner in learners.items():
                seconds[name].append(seconds_of(lambda learner=learner: learner.learn(task)))
    large, small = (Spread.of(seconds[name]) for name in ("large", "small"))
    ratio = large.over(small)
    return Row.of(
        ratio,
        "learning a task against this pool",
        "the same against 10 prompts",
        "at most 1.2 times",
        ratio.median <= 1.2,
        limits="the first search of a process, which loads the graph and the keys",
        details={"large": large.to_json(), "small": small.to_json(), "first in the process": first},
    )


def _index(folder: Path, keys: np.ndarray) -> KeyIndex:
    """The search index of the pool as it lies on disk: the graph and the keys that came after it."""
    index = KeyIndex(keys.shape[1])
    for file in (folder / "index").glob("graph-*.faiss"):
        assert index.load_graph(file, int(file.stem.split("-")[-1]))
    index.add(keys[len(index) :])
    return index


def _all_keys(folder: Path, width: int) -> np.ndarray:
    (file,) = (folder / "index").glob("keys-*.f32")
    return np.memmap(file, dtype="<f4", mode="r").reshape(-1, width)


def _exact(keys: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """The nearest rows of each query, by comparing with every key, [queries, 10]."""
    best = np.full((len(queries), NEAREST), -np.inf, dtype=np.float32)
    rows = np.zeros((len(queries), NEAREST), dtype=np.int64)
    for start in range(0, len(keys), 50_000):
        scores = queries @ np.asarray(keys[start : start + 50_000]).T
        both = np.concatenate([best, scores], axis=1)
        numbers = np.concatenate(
            [rows, np.broadcast_to(np.arange(start, start + scores.shape[1]), scores.shape)], axis=1
        )
        place = np.argpartition(-both, NEAREST, axis=1)[:, :NEAREST]
        best, rows = np.take_along_axis(both, place, 1), np.take_along_axis(numbers, place, 1)
    return rows


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()
