"""What is kept of a task's texts: by hand, and good enough to tell a better prompt from a worse one."""

import torch
from small_tasks import examples
from torch.nn import functional as F

from continual.training.config import TrainingConfig
from continual.training.loop import fit
from continual.training.model import PromptModel
from continual.training.statistics import DRAWN, Statistics
from continual.tuning import build_tuning

TUNING = {"name": "late", "length": 3, "layer": 1}


def made(tiny_encoder, count: int = 40):
    encoder, tuning = tiny_encoder("bert"), build_tuning(TUNING)
    return encoder, tuning, examples(encoder, tuning, count=count)


def test_means_and_deviations_by_hand(tiny_encoder):
    _, _, texts = made(tiny_encoder, count=2)  # one text of each label, so one cluster each
    found = Statistics.of(texts, seed=0)
    assert found.labels.tolist() == [0, 1]
    for row in range(2):
        hidden, mask = texts.view.states.batch(torch.tensor([row]))
        tokens = hidden[mask]
        torch.testing.assert_close(found.means[row], tokens.mean(0), rtol=0, atol=1e-5)
        torch.testing.assert_close(found.deviation[row], tokens.std(0, correction=0), rtol=0, atol=1e-3)
        torch.testing.assert_close(found.embedding[row], texts.view.embedding[row])


def test_clusters_are_of_one_label_and_at_most_eight_for_each(tiny_encoder):
    _, _, texts = made(tiny_encoder)
    found = Statistics.of(texts, seed=0)
    assert 2 <= len(found.labels) <= 16
    assert set(found.labels.tolist()) == {0, 1}
    assert torch.equal(found.ground, torch.zeros(len(found.labels), 2))


def test_what_is_stored_is_read_back(tiny_encoder):
    _, _, texts = made(tiny_encoder)
    found = Statistics.of(texts, seed=0)
    again = Statistics.stored(found.tensors())
    assert all(torch.equal(value, found.tensors()[name]) for name, value in again.tensors().items())


def test_the_loss_of_a_classifier_that_says_nothing_is_that_of_the_ground(tiny_encoder):
    encoder, tuning, texts = made(tiny_encoder)
    statistics = Statistics.of(texts, seed=0)
    tensors = tuning.initial(encoder, None, torch.Generator().manual_seed(0))
    losses, right = statistics.losses(encoder, tuning, tensors, torch.zeros(2, encoder.width), torch.zeros(2), 0)
    assert len(losses) == len(right) == DRAWN * len(statistics.labels)
    torch.testing.assert_close(losses, F.cross_entropy(torch.zeros(1, 2), torch.tensor([0])).expand(len(losses)))


def test_a_trained_prompt_does_better_on_them_than_one_with_its_labels_swapped(tiny_encoder):
    encoder, tuning, texts = made(tiny_encoder)
    statistics = Statistics.of(texts, seed=0)
    tensors = tuning.initial(encoder, None, torch.Generator().manual_seed(0))
    model = PromptModel.begin(encoder, tuning, tensors, 2, texts.view)
    config = TrainingConfig(epochs=20, min_steps=0, batch_size=8, patience=0, average=0.0, head_learning_rate=0.05)
    fit(model, texts, texts, config, torch.Generator().manual_seed(0))
    weight, bias = model.classifier.folded()
    learned = {name: value.detach() for name, value in model.tensors.items()}
    good, right = statistics.losses(encoder, tuning, learned, weight, bias, 0)
    bad, wrong = statistics.losses(encoder, tuning, learned, weight.flip(0), bias.flip(0), 0)
    assert float(good.mean()) < float(bad.mean())
    assert float(right.float().mean()) > 0.6 > 0.4 > float(wrong.float().mean())
