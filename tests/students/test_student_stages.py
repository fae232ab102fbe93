"""Stages: done once, brought back, and summed up."""

import time

import pytest
import torch

from continual.making.recipe import Place
from continual.pretraining.optimisation import OptimisationConfig
from continual.students.stages import Stages
from continual.training.watch import Silent

CONFIG = OptimisationConfig(steps=5, warmup=1, evaluate_every=3, learning_rate=0.1, batch_tokens=4, precision="fp32")


class Doubling:
    """A scalar that is drawn towards 2; counts how often it is made."""

    made = 0

    def __init__(self, module: torch.nn.Linear) -> None:
        Doubling.made += 1
        self.module = module

    def loss(self, step, rows):
        rest = (self.module.weight - 2).square().sum()
        return rest, {"number": torch.tensor(1.0 if step < 3 else 2.0)}

    def evaluate(self):
        return {"weight": float(self.module.weight)}


def module() -> torch.nn.Linear:
    one = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(one.weight)
    return one


def stages(folder) -> Stages:
    return Stages(Place(folder, time.monotonic(), Silent(), print, print), CONFIG, 0)


def test_a_stage_is_done_once(tmp_path):
    Doubling.made = 0
    first, lengths = module(), torch.ones(8, dtype=torch.long)
    one = stages(tmp_path)
    measured = one.train("a", first, lambda: Doubling(first), lengths, lambda: {"weight": first.weight.item()})
    assert not first.training
    assert measured["weight"] > 0.1
    again, second = stages(tmp_path), module()
    assert again.train("a", second, lambda: Doubling(second), lengths, dict) == measured
    assert Doubling.made == 1
    assert torch.equal(first.weight, second.weight)
    assert again.summary() == one.summary()
    assert not (tmp_path / "work" / "a").exists(), "its checkpoint is not needed any more"


def test_a_measurement_is_done_once(tmp_path):
    calls = []
    for _ in range(2):
        assert stages(tmp_path).once("before", lambda: calls.append(1) or {"bleu": 1 / 3}) == {"bleu": 1 / 3}
    assert calls == [1]


def test_every_step_counts_the_same_in_a_mean(tmp_path):
    one, weight = stages(tmp_path), module()
    one.train("a", weight, lambda: Doubling(weight), torch.ones(8, dtype=torch.long))
    curve = one.summary()["stages"][0]["curve"]
    assert [(entry["step"], entry["train_number"]) for entry in curve] == [(3, 1.0), (5, 2.0)]
    assert one.mean("a", "train_number") == pytest.approx((3 * 1 + 2 * 2) / 5)


def test_stages_differ_in_what_is_random(tmp_path):
    one = stages(tmp_path)
    seen = {name: [] for name in ("a", "b")}
    for name, rows_of in seen.items():
        weight = module()
        objective = Doubling(weight)
        objective.loss = lambda step, rows, rows_of=rows_of, weight=weight: (
            rows_of.append(rows.tolist()) or weight.weight.square().sum(),
            {},
        )
        one.train(name, weight, lambda objective=objective: objective, torch.ones(8, dtype=torch.long))
    assert seen["a"] != seen["b"]
