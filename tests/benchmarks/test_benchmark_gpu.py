"""The program for a GPU, on the CPU and a tiny encoder: what it computes is a forward pass and a step that learns."""

import torch

from benchmarks import gpu
from continual.tuning import build_tuning

CPU = gpu.Device("cpu", torch.float32, product=64)


def same(network):
    return network


def test_a_row_for_each_work_length_and_way(tiny_encoder, monkeypatch):
    monkeypatch.setattr(gpu, "_compiled", same)  # a compiler is no part of the project
    rows = gpu.measure("tiny", tiny_encoder(), CPU, batch=4, lengths=(5, 9), repeats=2, calls=1)
    assert len(rows) == 2 * 2 * 2
    assert all(row.measured > 0 and row.n == 2 and row.met is None for row in rows)
    assert all(row.details["examples a second"] > 0 for row in rows)


def test_the_step_learns(tiny_encoder):
    encoder = tiny_encoder()
    ids = torch.arange(24).reshape(4, 6)
    step = gpu._step(encoder, build_tuning({"name": "deep", "length": 3, "layer": 2}), ids, ids > -1, same)
    first = float(step())
    for _ in range(30):
        last = float(step())
    assert last < first


def test_without_a_gpu_it_says_so(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("sys.argv", ["gpu"])
    gpu.main()
    assert "No GPU" in capsys.readouterr().out
