"""Tasks on generative backbones: a classification with the usual head, and prompts trained by what targets cost."""

from collections.abc import Callable

import pytest
import torch
from generator_samples import SPECS
from small_tasks import sentences
from tiny_generators import CAUSAL, SEQ2SEQ
from torch.nn.functional import cross_entropy

from continual import Learner, LearnerSettings
from continual.backbone.frozen import freeze
from continual.backbone.likelihood import token_loss
from continual.backbone.states import CHUNK
from continual.backbone.steering import Steering
from continual.backbone.text_to_text import TextToText
from continual.settings import TransferConfig
from continual.training.config import TrainingConfig
from continual.translator import NO_READOUT
from continual.tuning import build_tuning
from continual.tuning.base import Tuning
from streams import SimulatedSource, SimulatedTranslationSource, StreamManager

each_family = pytest.mark.parametrize("family", ["t5", "llama"])


@each_family
def test_the_usual_learner_classifies_on_a_generative_backbone(tiny_generator, family, tmp_path):
    """Keys, ground, transfer, training, storing, routing and prediction know encoders alone, and these are some."""
    settings = LearnerSettings(
        tuning={"name": "deep", "layer": 1, "length": 2},
        training=TrainingConfig(epochs=1, min_steps=0),
        transfer=TransferConfig(metric="on"),
    )
    backbone = tiny_generator(family)
    learner = Learner(tmp_path / "pool", backbone, settings)
    for task in StreamManager(SimulatedSource(train=24, dev=12, test=12), order=["kitchen", "harbour"]):
        learner.learn(task)
        assert 0 <= learner.evaluate(task, told=False).accuracy <= 1
    again = Learner(tmp_path / "pool", backbone, settings)
    assert again.evaluate(task).accuracy == learner.evaluate(task).accuracy


def test_a_batch_that_is_read_once_for_every_label_is_smaller(tiny_generator, tmp_path, monkeypatch):
    settings = LearnerSettings(
        answers="label",
        tuning={"name": "deep", "layer": 1, "length": 2},
        training=TrainingConfig(epochs=1, min_steps=0),
    )
    backbone = tiny_generator("t5")
    learner = Learner(tmp_path / "pool", backbone, settings)
    task = next(iter(StreamManager(SimulatedSource(train=12, dev=6, test=6))))
    learner.learn(task)
    read, score = [], backbone.label_log_probs

    def counted(ids, mask, labels, *given, **named):
        read.append(len(ids) * len(labels))
        return score(ids, mask, labels, *given, **named)

    monkeypatch.setattr(backbone, "label_log_probs", counted)
    learner.predict([f"the soup number {number}" for number in range(80)], task=task.name)
    assert max(read) <= CHUNK
    assert sum(read) == 80 * len(task.labels)


def test_source_and_target_are_read_up_to_the_prompt_alone(tiny_generator, tmp_path, monkeypatch):
    """Keys go by the sources, so that only of these something is asked behind the last layer."""
    backbone = tiny_generator("gpt2")
    learner = Learner(tmp_path / "pool", backbone, LearnerSettings(tuning={"name": "deep", "layer": 1, "length": 2}))
    task = next(iter(StreamManager(SimulatedTranslationSource(train=12, dev=6, test=6))))
    stops, run = [], backbone.run
    monkeypatch.setattr(backbone, "run", lambda *given, **named: stops.append(named["stop"]) or run(*given, **named))
    train, _ = learner.lessons.material(task)
    both = 2  # splits, of a batch each
    assert sorted(stop for stop in stops if stop) == sorted(both * [*range(1, backbone.depth + 1), 1])
    assert torch.equal(train.read.states.lengths, train.read.texts.ids.lengths)
    expected = freeze(backbone, train.read.texts, 1, NO_READOUT).states.batch(torch.arange(12))
    assert torch.equal(train.batch(torch.arange(12)).hidden, expected[0])


@pytest.mark.parametrize("kind", ["input", "deep"])
@pytest.mark.parametrize("family", [*SEQ2SEQ, *CAUSAL])
def test_label_scores_can_be_learned(tiny_generator, family, kind):
    """Cross-entropy over the scores of label texts trains a prompt without a head."""
    backbone, tuning = tiny_generator(family), build_tuning(SPECS[kind])
    texts, numbers = sentences(2, 12, seed=0, filler=3)
    labels, wanted = backbone.tokenize_targets(["police", "waiter"]), torch.tensor(numbers)
    ids, mask, _ = backbone.tokenize(texts).batch(torch.arange(12), backbone.pad_token)
    losses = descended(
        backbone,
        tuning,
        lambda steering: cross_entropy(backbone.label_log_probs(ids, mask, labels, steering), wanted),
    )
    assert min(losses) < 0.97 * losses[0]


@pytest.mark.parametrize("kind", ["input", "deep"])
@pytest.mark.parametrize("family", [*SEQ2SEQ, *CAUSAL])
def test_targets_can_be_learned(tiny_generator, family, kind):
    backbone, tuning = tiny_generator(family), build_tuning(SPECS[kind])
    pairs = backbone.parallel(
        backbone.tokenize(["Great value", "The soup was cold."]), backbone.tokenize_targets(["one person", "noon"])
    )
    ids, mask, targets = pairs.batch(torch.arange(2), backbone.pad_token)
    hidden = backbone.below(ids, mask)
    losses = descended(
        backbone, tuning, lambda steering: token_loss(backbone.logits(hidden, mask, targets, steering), targets)
    )
    assert min(losses) < 0.97 * losses[0]


def descended(backbone: TextToText, tuning: Tuning, loss_of: Callable[[Steering], torch.Tensor]) -> list[float]:
    """The losses of some steps of training a fresh prompt."""
    tensors = tuning.initial(backbone, None, torch.Generator().manual_seed(0))
    tensors = {name: value.requires_grad_() for name, value in tensors.items()}
    optimiser, losses = torch.optim.Adam(tensors.values(), lr=0.1), []
    for _ in range(15):
        optimiser.zero_grad()
        loss = loss_of(tuning.steering(backbone, tensors))
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses
