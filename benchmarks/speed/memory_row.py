"""Peak memory of whole runs with a small and a large cache limit, in processes of their own.

What counts is memory that no file stands behind (`RssAnon` of the process and its children, looked at fifty times a
second): what is mapped from files the system can give up at any time. The bound is the sum of

- the program with its backbone: the peak of the same run on tasks of a few texts,
- `cache_mb`,
- what lies outside of it and is listed in docs/performance.md: the tensors of the run's prompts, held once by the
  predictor (which keeps 256 MB of them at most) and once by the pool; the surface terms of the texts, once as such and
  once as bags of the task's own terms; the products of all texts of a small task with each other, from which its ground
  is laid; the states of a batch of 64 texts in one layer.
"""

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import Row
from benchmarks.speed import material
from continual.backbone.states import CHUNK

_CONCEPTS = ("temperature", "speed", "light")
_LIMITS = (64, 2048)
_PREDICTOR_MB = 256
_TERMS_MB = 0.003
"""Of one text: some 380 terms of 4 bytes as such, and with their values of 8 bytes in a bag."""
_SPAN_BYTES = 40
"""For each pair of texts: their product, its eigenvectors, LAPACK's work space of twice that, and two results in
float32; see `continual/tuning/span.py`, which does so for tasks of up to 3,000 texts."""
_STATES = 16
"""States of a layer that live at once: its input, query, key, value, their mixture and its projection, the sum and its
norm, four for the feed-forward units and as many for their activations."""
_LOOK_EVERY = 0.02


@dataclass(frozen=True)
class Peak:
    """The memory of one run.

    Attributes:
        anonymous: The largest sum of `RssAnon`, in MB.
        seconds: Wall time.
        prompts: Tensors of its pool, in MB.
    """

    anonymous: float
    seconds: float
    prompts: float


def rows(quick: bool = False) -> list[Row]:
    """The peak of a run with a small limit against the bound."""
    texts = 60 if quick else 1000
    loaded = _run(20, _LIMITS[0])
    found = {limit: _run(texts, limit) for limit in _LIMITS}
    small, large = (found[limit] for limit in _LIMITS)
    parts = {
        "program and backbone": loaded.anonymous,
        "cache_mb": float(_LIMITS[0]),
        "prompts": min(_PREDICTOR_MB, small.prompts) + small.prompts,
        "terms": _TERMS_MB * 1.25 * texts * 2 + _TERMS_MB * 0.25 * texts * len(_CONCEPTS),
        "products of texts": _SPAN_BYTES * (1.25 * texts) ** 2 / 1e6,
        f"a batch of {CHUNK} texts": _batch_mb(texts),
    }
    bound = sum(parts.values())
    told = " + ".join(f"{value:.0f} ({name})" for name, value in parts.items())
    return [
        Row(
            what=f"peak memory of a run of {len(_CONCEPTS)} tasks with {texts:,} texts each, cache_mb={_LIMITS[0]}",
            against=f"{told}; with cache_mb={_LIMITS[1]} the same run peaks at {large.anonymous:.0f} MB",
            goal=f"at most {bound:.0f} MB",
            measured=small.anonymous,
            met=small.anonymous <= bound,
            unit="MB",
            limits="the program itself: libraries, the backbone, what the allocator keeps",
            details={"parts": parts, "loaded": vars(loaded)}
            | {str(limit): vars(peak) for limit, peak in found.items()},
            n="1 run",
        )
    ]


def _overrides(texts: int) -> list[str]:
    tasks = [f"{{name: t{number}, topic: kitchen, cues: {{{cue}: 1.0}}}}" for number, cue in enumerate(_CONCEPTS)]
    sizes = [f"stream.train={texts}", f"stream.dev={texts // 4}", f"stream.test={texts // 4}"]
    return [f"stream.tasks=[{','.join(tasks)}]", *sizes, "training.epochs=1", "training.min_steps=0"]


def _run(texts: int, limit: float) -> Peak:
    """A run of the default method by the command line, watched from outside."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["run", "simulated", *_overrides(texts), f"cache_mb={limit}", "--runs-dir", folder, "--name", "run"]
        command = [sys.executable, "-m", "continual", *words]
        started, peak = time.monotonic(), 0.0
        with (Path(folder) / "log").open("w+") as log:
            child = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
            while child.poll() is None:
                peak = max(peak, sum(map(_anonymous, _family(child.pid))))
                time.sleep(_LOOK_EVERY)
            log.seek(0)
            if child.returncode:
                sys.exit(log.read()[-2000:])
        summary = json.loads((Path(folder) / "run" / "summary.json").read_text())
        assert summary["finished"]
        tensors = (Path(folder) / "run" / "pool").rglob("*.safetensors")
        return Peak(peak, time.monotonic() - started, sum(path.stat().st_size for path in tensors) / 1e6)


def _family(process: int) -> list[int]:
    """A process and all that it has started."""
    found = [process]
    for path in Path(f"/proc/{process}/task").glob("*/children"):
        try:
            children = path.read_text().split()
        except OSError:  # the thread or the process has ended meanwhile
            continue
        for child in children:
            found += _family(int(child))
    return found


def _anonymous(process: int) -> float:
    """`RssAnon` of a process in MB; 0 where it has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("RssAnon")), 0.0)


def _batch_mb(texts: int) -> float:
    """The states of a batch of the longest texts in one layer."""
    from continual.config import compose
    from streams import build_stream

    encoder, stream = material.encoder(), build_stream(compose("simulated", _overrides(texts)).stream, 0)
    longest = max(
        int(encoder.tokenize(list(stream.task(name).train["text"])).ids.lengths.max()) for name in stream.names
    )
    return _STATES * 4 * CHUNK * longest * encoder.width / 1e6
