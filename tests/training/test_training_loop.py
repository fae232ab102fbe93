"""The training loop: its schedule, its averages, what it keeps, and where its randomness comes from."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_tasks import examples
from torch.nn import functional as F

from continual.errors import ConfigError, LearningError
from continual.training.config import TrainingConfig
from continual.training.loop import Training, cross_entropy, fit
from continual.training.model import PromptModel
from continual.training.schedule import rate_factor
from continual.training.watch import Silent
from continual.tuning import build_tuning

QUICK = {"epochs": 4, "min_steps": 0, "batch_size": 8, "patience": 0, "average": 0.0}
PACE = {"learning_rate": 0.01, "head_learning_rate": 0.003}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Scene:
    """A small noisy task on the tiny BERT, on which training neither stands still nor is perfect."""

    def __init__(self, encoder):
        self.encoder = encoder
        self.tuning = build_tuning({"name": "late", "length": 3, "layer": 1})
        self.train = examples(encoder, self.tuning, count=36, noise=0.2)
        self.dev = examples(encoder, self.tuning, count=24, seed=9, noise=0.2)

    def model(self) -> PromptModel:
        tensors = self.tuning.initial(self.encoder, None, generator(3))
        return PromptModel.begin(self.encoder, self.tuning, tensors, 2, self.train.view)

    def fit(self, model: PromptModel, seed: int = 0, watcher=None, objective=None, **settings):
        config = TrainingConfig(**{**QUICK, **PACE, **settings})
        return fit(model, self.train, self.dev, config, generator(seed), objective, watcher=watcher)


@pytest.fixture(scope="module")
def scene(tiny_encoder) -> Scene:
    return Scene(tiny_encoder("bert"))


class Recorder(Silent):
    """Writes down what a watcher is told, and the weights after each step and epoch."""

    def __init__(self, model: PromptModel):
        self.model = model
        self.calls: list[tuple] = []
        self.steps: list[dict[str, torch.Tensor]] = []
        self.epochs: list[dict[str, torch.Tensor]] = []
        self.gradients: list[float] = []

    def started(self, stage, steps):
        self.calls.append(("started", stage, steps))

    def step(self, stage, number, loss):
        self.calls.append(("step", stage, number, loss))
        self.steps.append(self.model.trained())
        self.gradients.append(float(torch.cat([p.grad.flatten() for p in self.model.parameters()]).norm()))

    def epoch(self, stage, number, scores):
        self.calls.append(("epoch", stage, number))
        self.epochs.append(self.model.trained())

    def finished(self, stage):
        self.calls.append(("finished", stage))


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(value, second[name]) for name, value in first.items())


# ---------------------------------------------------------------- the learning rate


@pytest.fixture(scope="module")
def training(scene) -> Training:
    config = TrainingConfig(**QUICK, dropout=0.25)
    return Training(scene.model(), scene.train, scene.dev, config, generator(), cross_entropy(), "x", None, Silent())


def rates(training: Training, total: int, warmup: float) -> list[float]:
    training.config, training.total = TrainingConfig(**QUICK, warmup=warmup, dropout=0.25), total
    found = []
    for training.step in range(total):
        found.append(rate_factor(training.config, training.step, training.total))
    return found


@pytest.mark.parametrize(
    ("total", "warmup", "expected"),
    [
        (5, 0.0, [1, 4 / 5, 3 / 5, 2 / 5, 1 / 5]),
        (10, 0.2, [1 / 2, 1, 1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8]),
        (6, 0.25, [2 / 3, 1, 4 / 4.5, 3 / 4.5, 2 / 4.5, 1 / 4.5]),  # a warm-up of one and a half steps
        (4, 0.1, [1, 3 / 3.6, 2 / 3.6, 1 / 3.6]),  # of less than a step
    ],
)
def test_the_schedule_by_hand(training, total, warmup, expected):
    assert rates(training, total, warmup) == pytest.approx(expected)


@given(total=st.integers(1, 200), warmup=st.floats(0, 0.99))
def test_the_schedule_rises_then_falls_between_0_and_1(training, total, warmup):
    found = rates(training, total, warmup)
    peak = found.index(max(found))
    assert found[: peak + 1] == sorted(found[: peak + 1])
    assert found[peak:] == sorted(found[peak:], reverse=True)
    assert all(0 < rate <= 1 for rate in found)


def test_the_peak_rates_of_prompt_and_head_are_their_own(scene):
    """Adam's first step moves every number by its rate, whatever the gradient."""
    model = scene.model()
    with torch.no_grad():
        model.weight.copy_(torch.randn(2, 32, generator=generator()))
    before, watcher = model.trained(), Recorder(model)
    scene.fit(model, watcher=watcher, warmup=0.0, dropout=0.0, learning_rate=0.02, head_learning_rate=0.003)
    moved = {name: (value - before[name]).abs().max() for name, value in watcher.steps[0].items()}
    assert moved["prompt.prompt"] == pytest.approx(0.02, rel=0.01)
    assert moved["weight"] == pytest.approx(0.003, rel=0.01)
    assert moved["bias"] == pytest.approx(0.003, rel=0.01)


# ---------------------------------------------------------------- the loss


def test_the_first_loss_by_hand(scene):
    model = scene.model()
    first = next(iter(scene.train.shuffled(8, generator())))
    ground = torch.randn(36, 2, generator=generator(8))
    train = replace(scene.train, ground=ground)
    expected = F.cross_entropy(ground[first], scene.train.labels[first])  # a new model adds nothing to the ground
    assert torch.equal(model.logits(train), ground)
    watcher = Recorder(model)
    config = TrainingConfig(**QUICK, **PACE, dropout=0.0)
    result = fit(model, train, scene.dev, config, generator(), watcher=watcher)
    losses = [call[3] for call in watcher.calls if call[0] == "step"]
    assert losses[0] == pytest.approx(float(expected), abs=1e-5)
    assert result.curve[1]["train_loss"] == pytest.approx(sum(losses[:5]) / 5)
    assert result.curve[0]["train_loss"] is None


def test_label_smoothing_by_hand():
    logits, labels = torch.tensor([[2.0, 0.0, -1.0]]), torch.tensor([0])
    likely = torch.log_softmax(logits, dim=1)[0]
    expected = -(0.7 + 0.1) * likely[0] - 0.1 * likely[1] - 0.1 * likely[2]
    found = cross_entropy(0.3)(logits, labels, torch.tensor([0]), 0.0)
    assert float(found) == pytest.approx(float(expected))


def test_the_objective_is_told_rows_labels_and_progress(scene):
    told = []

    def objective(logits, labels, rows, progress):
        assert logits.shape == (len(rows), 2)
        assert torch.equal(labels, scene.train.labels[rows])
        told.append((rows.tolist(), progress))
        return F.cross_entropy(logits, labels)

    result = scene.fit(scene.model(), objective=objective)
    assert result.steps == len(told) == 20
    assert [progress for _, progress in told] == pytest.approx([step / 20 for step in range(20)])
    for epoch in range(4):
        rows = [row for batch, _ in told[5 * epoch : 5 * epoch + 5] for row in batch]
        assert sorted(rows) == list(range(36))


@pytest.mark.parametrize("limit", [0.5, 0.0])
def test_gradients_are_clipped_if_asked_for(scene, limit):
    model = scene.model()
    watcher = Recorder(model)
    loud = cross_entropy()
    scene.fit(model, watcher=watcher, objective=lambda *given: 1e4 * loud(*given), clip_norm=limit)
    if limit:
        assert watcher.gradients == pytest.approx([0.5] * 20, rel=1e-3)
    else:
        assert min(watcher.gradients) > 10


# ---------------------------------------------------------------- what is kept


def test_the_watcher_is_told_everything_in_order(scene):
    model = scene.model()
    watcher = Recorder(model)
    scene.fit(model, watcher=watcher, epochs=2)
    kinds = [call[0] for call in watcher.calls]
    assert kinds == ["started", "epoch", *["step"] * 5, "epoch", *["step"] * 5, "epoch", "finished"]
    assert watcher.calls[0] == ("started", "train", 10)
    assert [call[2] for call in watcher.calls if call[0] == "step"] == list(range(1, 11))
    assert [call[2] for call in watcher.calls if call[0] == "epoch"] == [0, 1, 2]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("rate", [0.01, 0.3])
def test_the_weights_of_the_best_epoch_are_put_back(scene, seed, rate):
    model = scene.model()
    watcher = Recorder(model)
    result = scene.fit(model, seed, watcher, learning_rate=rate, epochs=5)
    order = [-epoch["dev_loss"] for epoch in result.curve]
    assert [epoch["epoch"] for epoch in result.curve] == list(range(6))
    assert result.best_epoch == order.index(max(order))
    assert same(model.trained(), watcher.epochs[result.best_epoch])
    assert (result.dev_accuracy, result.dev_loss) == model.score(scene.dev)
    assert order[result.best_epoch] >= order[0]


def test_the_start_counts_and_patience_ends_a_training_that_only_does_harm(scene):
    model = scene.model()
    start = model.trained()
    result = scene.fit(model, learning_rate=50.0, head_learning_rate=50.0, patience=2, epochs=10)
    assert result.best_epoch == 0
    assert result.steps == 2 * 5
    assert len(result.curve) == 3
    assert same(model.trained(), start)


def test_patience_counts_from_the_best_epoch(scene):
    result = scene.fit(scene.model(), patience=2, epochs=40)
    assert result.best_epoch > 0
    assert len(result.curve) - 1 in (result.best_epoch + 2, 40)


def test_small_tasks_get_more_epochs(scene):
    assert scene.fit(scene.model(), epochs=1, min_steps=11).steps == 15
    assert scene.fit(scene.model(), epochs=4, min_steps=11).steps == 20


def test_averages_by_hand(scene):
    """With averaging, what is scored and kept is the moving average; what is trained on is not."""
    model = scene.model()
    watcher, average = Recorder(model), model.trained()
    result = scene.fit(model, watcher=watcher, average=0.5)
    plain = Recorder(again := scene.model())
    scene.fit(again, watcher=plain, average=0.0)
    assert all(same(one, other) for one, other in zip(watcher.steps, plain.steps, strict=True))

    averages = [average]
    for step, weights in enumerate(watcher.steps, start=1):
        decay = min(0.5, (1 + step) / (10 + step))
        average = {name: decay * value + (1 - decay) * weights[name] for name, value in average.items()}
        if step % 5 == 0:
            averages.append(average)
    for epoch, weights in zip(result.curve, averages, strict=True):
        again.load(weights)
        accuracy, loss = again.score(scene.dev)
        assert epoch["dev_accuracy"] == accuracy
        assert epoch["dev_loss"] == pytest.approx(loss, abs=1e-5)
    for name, value in model.trained().items():
        torch.testing.assert_close(value, averages[result.best_epoch][name], rtol=0, atol=1e-5)


def test_training_lowers_the_loss_on_what_it_sees(scene):
    result = scene.fit(scene.model(), epochs=8, dropout=0.0)
    losses = [epoch["train_loss"] for epoch in result.curve[1:]]
    assert losses[-1] < 0.95 * losses[0]


# ---------------------------------------------------------------- randomness


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not(scene):
    models = [scene.model() for _ in range(3)]
    results = [scene.fit(model, seed, average=0.9) for model, seed in zip(models, (0, 0, 1), strict=True)]
    assert same(models[0].trained(), models[1].trained())
    assert results[0].curve == results[1].curve
    assert results[0].curve != results[2].curve


def test_the_global_generators_are_neither_used_nor_moved(scene):
    models = [scene.model() for _ in range(2)]
    for number, model in enumerate(models):
        torch.manual_seed(number)
        before = torch.get_rng_state()
        scene.fit(model, dropout=0.5)
        assert torch.equal(torch.get_rng_state(), before)
    assert same(models[0].trained(), models[1].trained())


def test_dropout_zeroes_its_share_and_keeps_the_mean(training):
    factors = training._dropout(300)
    assert factors.shape == (300, 32)
    assert factors.unique().tolist() == pytest.approx([0.0, 4 / 3])
    assert (factors == 0).float().mean() == pytest.approx(0.25, abs=0.02)


def test_dropout_matters(scene):
    results = [scene.fit(scene.model(), dropout=dropout) for dropout in (0.0, 0.3)]
    assert results[0].curve[1]["train_loss"] != results[1].curve[1]["train_loss"]


# ---------------------------------------------------------------- batches


@given(size=st.integers(1, 50), seed=st.integers(0, 2**31))
def test_an_epoch_visits_every_text_once(scene, size, seed):
    batches = list(scene.train.shuffled(size, generator(seed)))
    assert sorted(torch.cat(batches).tolist()) == list(range(36))
    assert len(batches) == -(-36 // size)
    assert all(len(batch) <= size for batch in batches)


def test_epochs_differ_and_batches_hold_texts_of_like_length(tiny_encoder):
    encoder, tuning = tiny_encoder("bert"), build_tuning({"name": "input"})
    train = examples(encoder, tuning, count=320)
    lengths, source = train.view.states.lengths, generator()
    first, second = (list(train.shuffled(16, source)) for _ in range(2))
    assert [batch.tolist() for batch in first] != [batch.tolist() for batch in second]
    spread = [float(lengths[batch].max() - lengths[batch].min()) for batch in first]
    assert sum(spread) / len(spread) < 2 < float(lengths.max() - lengths.min())
    # A batch is not the same company each time: the batch of text 0 changes.
    mates = [next(set(batch.tolist()) for batch in epoch if 0 in batch) for epoch in (first, second)]
    assert mates[0] != mates[1]


# ---------------------------------------------------------------- the model


def test_the_backbone_is_no_part_of_the_model(scene):
    model = scene.model()
    assert {name for name, _ in model.named_parameters()} == {"prompt.prompt", "weight", "bias"}
    assert model.size == 3 * 32 + 2 * 32 + 2


def test_training_changes_neither_the_given_tensors_nor_the_ground(scene):
    tensors = scene.tuning.initial(scene.encoder, None, generator(3))
    before, ground = tensors["prompt"].clone(), scene.train.ground.clone()
    model = PromptModel.begin(scene.encoder, scene.tuning, tensors, 2, scene.train.view)
    scene.fit(model, learning_rate=1.0)
    assert torch.equal(tensors["prompt"], before)
    assert torch.equal(scene.train.ground, ground)


def test_features_are_standardised_over_the_texts_it_began_with(scene):
    features = scene.model().all_features(scene.train.view)
    torch.testing.assert_close(features.mean(0), torch.zeros(32), rtol=0, atol=1e-4)
    torch.testing.assert_close(features.std(0, correction=0), torch.ones(32), rtol=0, atol=0.1)


def test_logits_with_the_folded_head(scene):
    model = scene.model()
    scene.fit(model)
    weight, bias = model.classifier.folded()
    raw = model.all_features(scene.dev.view) * model.scaling.scale + model.scaling.mean
    dev = replace(scene.dev, ground=torch.randn(24, 2, generator=generator()))
    torch.testing.assert_close(dev.ground + raw @ weight.T + bias, model.logits(dev), rtol=0, atol=1e-3)


def test_evaluation_by_hand(scene):
    model = scene.model()
    logits = model.logits(scene.dev)
    right = [int(row.argmax()) == int(label) for row, label in zip(logits, scene.dev.labels, strict=True)]
    nats = [-float(torch.log_softmax(row, 0)[label]) for row, label in zip(logits, scene.dev.labels, strict=True)]
    accuracy, loss = model.score(scene.dev)
    assert accuracy == pytest.approx(sum(right) / 24)
    assert loss == pytest.approx(sum(nats) / 24, abs=1e-5)


# ---------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[(name, value) for name in ("epochs", "batch_size") for value in (0, -1)],
        *[(name, value) for name in ("learning_rate", "head_learning_rate") for value in (0.0, -1e-3, float("nan"))],
        *[(name, value) for name in ("warmup", "dropout", "average", "label_smoothing") for value in (-0.1, 1.0)],
        *[(name, -1) for name in ("min_steps", "patience", "clip_norm")],
    ],
)
def test_settings_out_of_range_are_refused(name, value):
    with pytest.raises(ConfigError, match=rf"training\.{name} is .*expected"):
        TrainingConfig(**{name: value})


def test_every_setting_has_a_help_text():
    from dataclasses import fields

    assert all(field.metadata["help"] for field in fields(TrainingConfig))


def test_a_training_that_diverges_ends_in_a_sentence(scene):
    def diverging(logits, labels, rows, progress):
        return logits.sum() * (torch.inf if progress > 0.1 else 1.0)

    with pytest.raises(LearningError, match=r"loss of step \d+ is (nan|-?inf), expected a number; lower the learning"):
        scene.fit(scene.model(), objective=diverging)
