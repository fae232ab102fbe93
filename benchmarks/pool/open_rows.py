"""Opening a pool in a process of its own: time, and memory that does not depend on the size of the tensors.

The peak of a process's memory is inherited from the one that started it, so it is set back before the pool is opened.
"""

import dataclasses
import subprocess
import sys
from pathlib import Path

import torch

from benchmarks.measure import Row, Spread
from benchmarks.pool.material import Made
from continual.pool import PromptPool

_FLOATS = {"small": 1_000, "large": 50_000}
"""Values of the tensors that the prompts of two pools have beside the others."""

_PROGRAM = """
import sys, time
from continual.pool import PromptPool

def kilobytes(name):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(name + ":"))

with open("/proc/self/clear_refs", "w") as file:
    file.write("5")
before, started = kilobytes("VmRSS"), time.perf_counter()
count = len(PromptPool(sys.argv[1], read_only=True))
print(time.perf_counter() - started, kilobytes("VmHWM") - before, count)
"""


def rows(made: Made, sizes: Path, prompts: int, repeats: int) -> list[Row]:
    """Opening the pool, and two others that differ in the size of their tensors.

    Args:
        made: The pool.
        sizes: Where the others go.
        prompts: How many prompts each of them has.
        repeats: How often each is opened.
    """
    count = len(made)
    seconds, memory = _opened(made.folder, count, repeats)
    growth, tensors = _growth(made, sizes, prompts, repeats)
    each = Spread.of([value / count for value in memory.values])
    names = "reading the names of all folders, to find what a killed process left"
    return [
        Row.of(seconds, f"opening {count:,} prompts", goal="under 2 s", met=seconds.median < 2, unit="s", limits=names),
        Row.of(
            each,
            f"peak memory of opening {count:,} prompts",
            goal="under 1 kB a prompt",
            met=each.median < 1,
            unit="kB a prompt",
            limits="the names of all folders, and the ids in the index",
        ),
        Row.of(
            growth,
            f"peak memory of opening, for each byte that tensors grow ({prompts:,} prompts with {tensors} each more)",
            goal="does not grow: under 0.01",
            met=abs(growth.median) < 0.01,
            unit="bytes",
        ),
    ]


def _growth(made: Made, sizes: Path, prompts: int, repeats: int) -> tuple[Spread, str]:
    """Bytes of memory for each byte of tensors more, and the tensors of a prompt more."""
    memory = {}
    for name, floats in _FLOATS.items():
        pool = PromptPool(sizes / name, made.example.backbone)
        for number in range(prompts):
            prompt = made.prompt(f"task-{number}", made.unseen[:1])
            pool.add(dataclasses.replace(prompt, tensors=prompt.tensors | {"more": torch.ones(floats)}))
        memory[name] = _opened(sizes / name, prompts, repeats)[1]
    apart = 4 * (_FLOATS["large"] - _FLOATS["small"]) / 1024
    grown = [
        (large - small) / (apart * prompts)
        for large, small in zip(memory["large"].values, memory["small"].values, strict=True)
    ]
    return Spread.of(grown), f"{apart:.0f} kB"


def _opened(folder: Path, count: int, repeats: int) -> tuple[Spread, Spread]:
    """Seconds, and kilobytes by which the memory of the process grew."""
    found = []
    for _ in range(repeats):
        command = [sys.executable, "-c", _PROGRAM, str(folder)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found.append([float(value) for value in done.stdout.split()])
        assert found[-1][2] == count
    return Spread.of([item[0] for item in found]), Spread.of([item[1] for item in found])
