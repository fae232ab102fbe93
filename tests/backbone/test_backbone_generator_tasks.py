"""Tasks on generative backbones: a classification with the usual head, and prompts trained by what targets cost."""

from collections.abc import Callable

import pytest
import torch
from generator_samples import SPECS
from small_tasks import sentences
from tiny_generators import CAUSAL, SEQ2SEQ
from torch.nn.functional import cross_entropy

from continual import Learner, LearnerSettings
from continual.backbone.likelihood import token_loss
from continual.backbone.steering import Steering
from continual.backbone.text_to_text import TextToText
from continual.settings import TransferConfig
from continual.training.config import TrainingConfig
from continual.tuning import build_tuning
from continual.tuning.base import Tuning
from streams import SimulatedSource, StreamManager

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
