"""Parts of the rows that can be checked without measuring anything."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import peft
from benchmarks.measure import Spread
from benchmarks.speed import memory_row, source_row, variants
from continual.pool.prompt import Prompt
from continual.tuning.base import trained_tensors

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("peak", "rates", "best"),
    [
        (0.03, [0.01, 0.03, 0.1], 0.03),
        (0.1, [0.01, 0.03, 0.1, 0.3], 0.1),
        (0.003, [0.001, 0.003, 0.01, 0.03, 0.1], 0.003),
    ],
)
def test_the_grid_of_rates_is_widened_until_the_best_is_inside(monkeypatch, peak, rates, best):
    def accuracy(task, rate, epochs, seed):
        return {"rate": rate, "seed": seed, "best": 1 - abs(rate - peak), "seconds": 1.0}

    monkeypatch.setattr(peft, "peft", accuracy)
    tried, found = peft.search(peft.Plan("a task", None, 1))
    assert ([item["rate"] for item in tried], found) == (rates, best)


def test_a_row_of_peft_compares_seed_by_seed(monkeypatch):
    ours = {0: {"seconds": 2.0, "reached": True, "epoch": 0}, 1: {"seconds": 5.0, "reached": True, "epoch": 1}}
    monkeypatch.setattr(peft, "to_accuracy", lambda task, accuracy, readout, seed: ours[seed])
    theirs = [{"rate": 0.03, "seed": seed, "best": 0.8, "seconds": 10.0} for seed in (0, 1)]
    row = peft._row(peft.Plan("a task", None, 8), theirs, peft.BARE, "training")
    assert (row.measured, row.low, row.high, row.n, row.met) == (3.5, 2.0, 5.0, "2 seeds", True)
    assert "forward and backward" in row.limits
    ours[1]["reached"] = False
    assert peft._row(peft.Plan("a task", None, 8), theirs, peft.BARE, "training").met is False


def test_peft_says_which_data_is_missing():
    environment = {name: value for name, value in os.environ.items() if name != "CONTINUAL_DATA"}
    command = [sys.executable, "-m", "benchmarks.peft", "--quick"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode
    assert "CONTINUAL_DATA" in done.stderr
    assert "Traceback" not in done.stderr


def test_memory_counts_children():
    program = "import time; held = bytearray(60_000_000); held[::4096] = b'x' * len(held[::4096]); print(1, flush=True)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {program + '; time.sleep(60)'!r}])"
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE) as child:
        try:
            child.stdout.readline()
            family = memory_row._family(child.pid)
            assert len(family) == 2
            assert sum(map(memory_row._anonymous, family)) > 60
        finally:
            for process in reversed(memory_row._family(child.pid)):
                subprocess.run(["kill", str(process)], check=True)
    assert memory_row._anonymous(child.pid) == 0


def test_what_was_chosen_is_compared_with_the_truth():
    scores = {name: float(number) for number, name in enumerate("abcdefgh")}
    chosen = [source_row.Ranked(name, 0.0, {}) for name in "hgazb"[:3]]
    found = source_row._found(8, [chosen], [scores], Spread.of([1.0]))
    assert found["same"] == [2]  # of h, g, f, e, d
    assert (found["score of the first"], found["best score"]) == ([7.0], [7.0])


def test_variants_are_tasks_of_their_own_and_differ_by_size():
    initial = {"prefix": torch.zeros(2, 2, 4, 8)}
    learned = initial["prefix"] + torch.randn(2, 2, 4, 8, generator=torch.Generator().manual_seed(0))
    keys = torch.nn.functional.normalize(torch.randn(3, 8, generator=torch.Generator().manual_seed(1)), dim=1)
    tensors = {"tuning.prefix": learned, "keys": keys}
    prompt = Prompt("a-v1", "a", 1, ("no", "yes"), "b" * 64, {"name": "deep", "length": 4}, "scratch", tensors, {})
    found = list(variants.variants([prompt], 4, initial))
    assert len({item.id for item in found}) == 4
    moved = [float((trained_tensors(item.tensors)["prefix"] - learned).std()) for item in found]
    assert moved == pytest.approx([size * float(learned.std()) for size in variants.SIZES], rel=0.2)
    for item in found:
        assert torch.allclose(item.tensors["keys"].norm(dim=1), torch.ones(3))
    again = list(variants.variants([prompt], 4, initial))
    assert torch.equal(found[3].tensors["tuning.prefix"], again[3].tensors["tuning.prefix"])
