"""HyPe for fine-tuned baselines: who gets noise, when, and where it comes from."""

import pytest
import torch
from baseline_samples import learn, opened, step, stream
from small_tasks import sentences

from continual.baselines import osf
from continual.baselines.export import padded
from continual.baselines.model import Classifier


@pytest.fixture(scope="module")
def encoder(tiny_encoder):
    return tiny_encoder("bert")


class Adds:
    """A perturbation of which one can tell by hand what it does."""

    def __init__(self, what: float) -> None:
        self.what, self.calls = what, 0

    def __call__(self, hidden):
        self.calls += 1
        return hidden + self.what


@pytest.mark.parametrize("family", ["bert", "roberta", "mpnet", "distilbert", "electra"])
def test_every_layer_is_perturbed_in_training_and_only_there(tiny_encoder, family):
    encoder, adds = tiny_encoder(family), Adds(0.3)
    texts = encoder.tokenize(sentences(2, 12, seed=1)[0])
    model, clean = Classifier(encoder, 0.0, perturb=adds), Classifier(encoder, 0.0)
    for one in (model, clean):
        one.head.grow(3)
    assert torch.equal(model.logits(texts), clean.logits(texts))
    assert adds.calls == 0
    tokens = padded(texts, torch.arange(12), encoder.pad_token)
    noisy = model.train()(tokens)
    assert adds.calls == encoder.depth
    perturbed = encoder.perturbed(Adds(0.3))
    ids, mask = tokens[..., 0], tokens[..., 1].bool()
    expected = model.head(encoder.pool(perturbed.run(perturbed.embed(ids, mask), mask), mask))
    assert torch.allclose(noisy, expected, atol=1e-4)  # by our own blocks, and without dropout
    assert not any(layer._forward_pre_hooks for layer in model.body.modules())


def test_noise_in_training_is_new_in_every_layer_and_comes_from_the_epoch(encoder, tmp_path):
    curves = [
        step(opened("naive", tmp_path / str(run), encoder, **noise), stream().task("town"), 0, tmp_path / str(run))
        for run, noise in enumerate([{"hype": "uniform", "hype_scale": 0.2}] * 2 + [{}])
    ]
    first, second, clean = ([point["dev_loss"] for point in one.stages[0]["curve"]] for one in curves)
    assert first == second != clean
    assert first[0] == clean[0]


def test_a_wrapped_body_is_perturbed_all_the_same(encoder):
    model = Classifier(encoder, 0.0, perturb=Adds(0.3))
    model.head.grow(2)
    tokens = padded(encoder.tokenize(["fog on the coast"]), torch.arange(1), encoder.pad_token)
    before = model.train()(tokens)
    osf.divide(model, 0.5)
    assert torch.allclose(model.train()(tokens), before, atol=1e-4)


@pytest.mark.parametrize("name", ["lwf", "agem", "osf", "per_task"])
def test_baselines_learn_from_perturbed_layers(encoder, tmp_path, name):
    found = learn(opened(name, tmp_path, encoder, hype="normal", hype_scale=0.01), stream(), tmp_path)
    assert found[0][2]["town"].aware.main >= 0.65
