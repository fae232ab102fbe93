"""The benchmark of growth: how long a run without it may take, models that tell something, and its tables."""

import json
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from benchmarks.growth.exactness import _DEVIATION, _drawn_anew
from benchmarks.growth.streams import epochs_within
from benchmarks.tables import growth, results


def run_of(*stages: tuple[float, int]) -> SimpleNamespace:
    """A run whose tasks had one training each, of so many seconds and epochs."""
    tasks = [SimpleNamespace(stages=[SimpleNamespace(seconds=it, curve=[None] * (n + 1))]) for it, n in stages]
    return SimpleNamespace(per_task=tasks)


def test_epochs_are_reckoned_from_the_time_of_an_epoch_and_not_from_whole_runs():
    # Two tasks of 6 epochs, 3 and 2 seconds each, in a run of 100: 70 of them are no epochs. 120 more are 24 more.
    assert epochs_within(220, 100, run_of((18.0, 6), (12.0, 6))) == 30
    assert epochs_within(220, 100, run_of((9.0, 3), (12.0, 6))) == 28  # one stopped early: its epochs took no longer
    assert epochs_within(50, 100, run_of((18.0, 6), (12.0, 6))) == 1


def test_models_with_random_weights_are_far_from_their_initial_ones():
    model = nn.Module()
    model.layer_norm, model.up = nn.LayerNorm(500), nn.Linear(100, 100)
    torch.manual_seed(0)
    _drawn_anew(model)
    assert float(model.layer_norm.weight.detach().mean()) == pytest.approx(1.0, abs=0.05)
    for value in (model.layer_norm.weight, model.layer_norm.bias, model.up.weight):
        assert float(value.detach().std()) == pytest.approx(_DEVIATION, abs=0.02)


def changed(largest: float) -> dict:
    return {"what": "logits", "largest": largest, "scale": 4.0, "sentences": 16}


@pytest.fixture
def committed(tmp_path, monkeypatch):
    """Writes a result and gives the folder."""
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    return lambda **groups: (tmp_path / "growth.json").write_text(json.dumps({"groups": groups}))


def test_changes_are_shown_as_parts_of_the_largest_output(committed):
    assert growth.exactness() == results.NOT_YET
    committed(exactness={"rows": [{"model": "t5", "grown": "depth", "exact": changed(4e-6), "elle": changed(2.0)}]})
    assert growth.exactness().splitlines()[-1] == "| t5 | logits | 1e-6 | 0.50 |"


def test_the_time_of_a_run_stands_beside_the_time_that_it_was_allowed(committed):
    runs = [
        {"growth": arm, "seed": 0, "average": 0.5, "forgetting": 0.0, "accuracies": {"a": 0.5}, "growths": []}
        | {"seconds": seconds}
        for arm, seconds in (("capacity", 360.0), ("never", 60.0), ("as much time", 348.0))
    ]
    committed(needed={"tasks": ["a"], "settings": [], "runs": runs, "machine": {"cpus": 2}})
    lines = growth.needed().splitlines()
    assert [line.split(" | ")[-2] for line in lines[2:5]] == ["6.0", "1.0", "5.8 of 6.0 allowed"]
