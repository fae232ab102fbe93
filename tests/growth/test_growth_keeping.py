"""How many answers a grown model keeps, and how much of what it has learned is taken."""

import time
from dataclasses import replace

import pytest
import torch
from growth_samples import LABELS, READOUT, TUNINGS, speaking_prompt
from tiny_models import TEXTS
from torch import nn

from continual import Learner, LearnerSettings
from continual.backbone.frozen import freeze
from continual.growth import learning
from continual.growth.config import GrowthConfig
from continual.growth.exact import Exact
from continual.growth.keeping import Distillation, Kept, Known, Pair, answers
from continual.growth.learning import Learning, Split, as_far_as_kept, learning_layers, learning_weights
from continual.growth.memory import Remembered
from continual.growth.models import grown_encoder
from continual.growth.prompts import carried_prompt
from continual.growth.sizes import Amount
from continual.pool import PromptPool
from continual.predictor import Held, Predictor
from continual.training.checkpoint import NoCheckpoints
from continual.training.watch import Silent
from continual.transfer.signature import Prober


def kept(*changed: int, texts: int = 32) -> Kept:
    return Kept([texts] * len(changed), list(changed))


def test_answers_are_counted_by_task():
    found = Kept.of(
        [torch.tensor([0, 1, 1, 0]), torch.tensor([2, 2])], [torch.tensor([0, 1, 0, 1]), torch.tensor([2, 2])]
    )
    assert found == Kept([4, 2], [2, 0])
    assert found.share == pytest.approx(4 / 6)
    assert found.worst == 0.5
    assert (Kept([], []).share, Kept([0], [0]).worst) == (1.0, 1.0)


def test_no_task_may_change_more_than_its_share_and_one_text_always():
    assert kept(1, 1, 1, 1).enough(0.98)
    assert not kept(0, 0, 0, 2).enough(0.98)  # of all texts that is less
    assert kept(3, texts=100).enough(0.97)
    assert not kept(1).enough(1.0)


def test_told_and_routed_answers_are_judged_together_and_told_apart():
    found = Kept([4, 2, 4, 2], [0, 1, 3, 0])
    told, routed = found.apart()
    assert (told, routed) == (Kept([4, 2], [0, 1]), Kept([4, 2], [3, 0]))
    assert (told.worst, routed.worst) == (0.5, 0.25)
    assert told.enough(0.98)
    assert not found.enough(0.98)


@pytest.fixture
def grown_pair(tiny_encoder):
    """An encoder, a larger one, the map, and on both three prompts of tasks on single texts and one on pairs."""
    encoder = tiny_encoder("bert")
    larger, plan = grown_encoder(encoder, Exact(), Amount(layers=2), 0)
    prober, pairs = Prober(larger), []
    for number, kind in enumerate(("deep", "late", "deep", "deep")):
        prompt = speaking_prompt(encoder, TUNINGS[kind], seed=3 * number)
        facts = prompt.provenance | {"pairs": number == 3}
        old = replace(prompt, id=f"task{number}-v1", task=f"task{number}", provenance=facts)
        pairs.append(Pair(old, carried_prompt(old, plan, larger, prober)))
    return encoder, larger, plan, pairs


def test_answers_are_those_of_a_pool_told_and_routed(grown_pair, tmp_path):
    encoder, larger, _, pairs = grown_pair
    pool = PromptPool(tmp_path / "pool", encoder.fingerprint)
    for pair in pairs:
        pool.add(pair.old)
    learner = Learner(pool, encoder, LearnerSettings(tuning=TUNINGS["deep"]))
    texts = [Remembered(f"task{number}", list(TEXTS), TEXTS if number == 3 else None) for number in range(4)]
    own = [pair.old for pair in pairs]
    found = answers(encoder, texts, own, own)
    for remembered, told, routed in zip(texts, found.told, found.routed, strict=True):
        expected = learner.predict(remembered.texts, remembered.pairs, remembered.task)
        assert [LABELS[number] for number in told] == [item.label for item in expected]
        expected = learner.predict(remembered.texts, remembered.pairs)
        names = [pair.old.id for pair in pairs]
        assert [names[code // 3] for code in routed] == [item.prompt for item in expected]
        assert [LABELS[code % 3] for code in routed] == [item.label for item in expected]
    assert len({int(code) // 3 for code in found.routed[0]}) > 1
    new = [pair.new for pair in pairs]
    after = answers(larger, texts, new, new)
    assert Kept.of(found.told + found.routed, after.told + after.routed).share == 1.0


def test_what_the_old_model_teaches_is_computed_once_and_is_what_it_says(grown_pair, monkeypatch):
    encoder, larger, plan, pairs = grown_pair
    remembered = Remembered("task0", list(TEXTS))
    with torch.no_grad():
        for value in learning_weights(larger, plan).values():
            value.add_(0.05)
    first = min(learning_layers(plan))
    distillation = Distillation(encoder, larger, plan, first, [Known(remembered, pair) for pair in pairs[:2]])
    rows = torch.tensor([4, 1, 0])
    ids, mask, types = remembered.tokenized(encoder).batch(rows, encoder.pad_token)
    for task, pair in enumerate(pairs[:2]):
        losses = []
        for layer in range(1, encoder.depth + 1):
            old = encoder.run(encoder.embed(ids, mask, types), mask, 0, layer)[mask]
            new = larger.run(larger.embed(ids, mask, types), mask, 0, plan.reader.behind(layer))[mask]
            if plan.reader.behind(layer) > first:
                losses.append(float((new - old).square().mean() / old.square().mean()))
        texts = Remembered("task0", [TEXTS[row] for row in rows])
        said = [without_ground(*it, texts) for it in ((encoder, pair.old), (larger, pair.new))]
        expected = sum(losses) / len(losses) + float((said[0] - said[1]).square().mean())
        assert expected > 1e-4
        assert float(distillation.loss(task, rows)) == pytest.approx(expected, rel=1e-3)
    monkeypatch.setattr(encoder, "run", None)  # nothing more is asked of the old model
    assert float(distillation.loss(0, torch.arange(5))) > 0


def without_ground(encoder, prompt, remembered: Remembered) -> torch.Tensor:
    """What a prompt alone says of texts, [texts, labels]."""
    tensors = {name: value for name, value in prompt.tensors.items() if not name.startswith("ground.")}
    alone = replace(prompt, tensors=tensors)
    view = freeze(encoder, remembered.tokenized(encoder), 0, READOUT)
    return torch.stack(Predictor(encoder, Held([alone])).logits(view, range(len(view)), [prompt.id] * len(view)))


@pytest.mark.parametrize(("seconds", "most"), [(0.0, 40), (0.05, 4)])
def test_a_checkpoint_that_takes_long_is_made_more_seldom(grown_pair, monkeypatch, seconds, most):
    saved = []

    class Slow(NoCheckpoints):
        def save(self, name, tensors, state):
            time.sleep(seconds)
            saved.append(state["step"])

    encoder, larger, plan, pairs = grown_pair
    monkeypatch.setattr(learning, "_SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    split = Split(larger.tokenize(list(TEXTS), None), torch.tensor([0, 1] * 4)[: len(TEXTS)])
    first = min(learning_layers(plan))
    distillation = Distillation(encoder, larger, plan, first, [Known(Remembered("task0", list(TEXTS)), pairs[0])])
    config = GrowthConfig(when="schedule", at=[1], steps=40)
    Learning(distillation, split, split, 2, config, 0, Slow(), Silent()).run()
    assert saved[-1] == 40
    assert len(saved) <= most


def test_the_most_that_keeps_enough_is_taken():
    weights = {"a": nn.Parameter(torch.tensor([4.0]))}
    start = {"a": torch.tensor([0.0])}
    share, found = as_far_as_kept(weights, start, lambda: kept(int(weights["a"].item())), keep=0.98)
    assert (share, found.changed) == (0.25, [1])
    assert float(weights["a"]) == 1.0


def test_where_nothing_keeps_enough_what_keeps_the_most_is_taken():
    weights = {"a": nn.Parameter(torch.tensor([4.0]))}
    share, found = as_far_as_kept(
        weights, {"a": torch.tensor([0.0])}, lambda: kept(4 - int(weights["a"].item()), 5), keep=0.98
    )
    assert (share, found.changed) == (1.0, [0, 5])
    assert float(weights["a"]) == 4.0
