"""HyPe: what noise the layers are given in training, and that nothing else is touched by it."""

import pytest
import torch
from small_tasks import examples
from tiny_models import DEPTH, TEXTS, WHOLE

from continual import Learner, LearnerSettings
from continual.backbone.states import ComputedStates
from continual.errors import BackboneError, ConfigError, Interrupted
from continual.methods import METHODS
from continual.training import loop
from continual.training.checkpoint import FolderCheckpoints
from continual.training.config import TrainingConfig
from continual.training.hype import Hype
from continual.training.loop import fit
from continual.training.model import PromptModel
from continual.training.watch import Silent
from continual.tuning import TUNINGS, build_tuning
from continual.tuning.base import final_states
from streams import build_stream

ALL = torch.arange(len(TEXTS))
QUICK = {"epochs": 3, "min_steps": 0, "batch_size": 8, "patience": 0, "average": 0.0}
NOISY = {"hype": "normal", "hype_scale": 0.1}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def hype(kind: str = "normal", scale: float = 1.0, texts: int = 4, own=None, seed: int = 0) -> Hype:
    lengths = torch.arange(2, 2 + texts)
    return Hype(kind, scale, lengths, torch.arange(texts) if own is None else torch.tensor(own), generator(seed))


class Scene:
    """A small task under a tuning on the tiny BERT."""

    def __init__(self, encoder, **spec):
        sizes = {"compacter": {"reduction": 4}, "compacter_pp": {"reduction": 4}}
        self.encoder, self.tuning = encoder, build_tuning(spec | sizes.get(spec["name"], {}))
        self.train, self.dev = (examples(encoder, self.tuning, count=24, seed=seed, noise=0.2) for seed in (0, 9))

    def fit(self, checkpoints=None, watcher=None, **settings):
        tensors = self.tuning.initial(self.encoder, None, generator(3))
        model = PromptModel.begin(self.encoder, self.tuning, tensors, 2, self.train.view)
        config = TrainingConfig(**QUICK | settings)
        result = fit(model, self.train, self.dev, config, generator(), checkpoints=checkpoints, watcher=watcher)
        return model.trained(), result.curve


@pytest.fixture(scope="module")
def scene(tiny_encoder) -> Scene:
    return Scene(tiny_encoder("bert"), name="deep", length=3, layer=1)


def same(one, other) -> bool:
    (tensors, curve), (others, wanted) = one, other
    return curve == wanted and all(torch.equal(value, others[name]) for name, value in tensors.items())


# ---------------------------------------------------------------- the noise


@pytest.mark.parametrize(("kind", "deviation"), [("normal", 0.5), ("uniform", 0.5 / 3**0.5)])
def test_the_noise_has_mean_zero_and_the_deviation_of_its_kind(kind, deviation):
    noise = hype(kind, 0.5, texts=99)(torch.zeros(99, 100, 32))
    assert float(noise.mean()) == pytest.approx(0.0, abs=0.004)
    assert float(noise.std()) == pytest.approx(deviation, rel=0.01)
    # Every element has its own: neither texts, positions nor numbers of a state go together.
    assert all(float(noise.mean(axis).std()) < 3 * deviation / noise.shape[axis] ** 0.5 for axis in range(3))


def test_uniform_noise_stays_within_its_bounds_and_reaches_them():
    noise = hype("uniform", 0.5, texts=99)(torch.zeros(99, 100, 32))
    assert -0.5 <= float(noise.min()) < -0.499
    assert 0.499 < float(noise.max()) <= 0.5


def test_it_is_added_to_the_states():
    states = torch.randn(4, 5, 3, generator=generator(1))
    noise = hype()(torch.zeros(4, 5, 3))
    assert torch.equal(hype()(states), states + noise)
    assert torch.equal(hype(scale=0.25)(states), states + 0.25 * noise)


def test_each_layer_and_each_step_has_its_own():
    source, zeros = generator(), torch.zeros(2, 3, 3)
    steps = [Hype("normal", 1.0, torch.tensor([2, 3]), torch.arange(2), source) for _ in range(2)]
    noises = [step(zeros) for step in steps for _ in range(3)]
    assert all(not torch.equal(one, other) for one in noises for other in noises if one is not other)


@pytest.mark.parametrize("soft", [0, 2])
def test_the_parts_of_a_team_are_those_of_the_whole(soft):
    """Texts have 2 to 5 tokens, so that the parts are padded to lengths of their own."""
    whole = hype()(torch.zeros(4, soft + 5, 3))
    for own, longest in (([0, 2], 4), ([1, 3], 5), ([0], 2)):
        part = hype(own=own)(torch.zeros(len(own), soft + longest, 3))
        assert torch.equal(part, whole[own, : soft + longest])


def test_every_process_takes_as_much_from_the_generator():
    states = []
    for own in ([0, 1, 2, 3], [1, 3], []):
        source = generator()
        Hype("normal", 1.0, torch.arange(2, 6), torch.tensor(own, dtype=torch.long), source)
        states.append(source.get_state())
    assert all(torch.equal(state, states[0]) for state in states)


# ---------------------------------------------------------------- where it is added


@pytest.mark.parametrize("name", TUNINGS.names())
@pytest.mark.parametrize("family", ["bert", "mpnet"])
def test_every_layers_input_is_perturbed_and_the_last_output_is_not(tiny_encoder, family, name):
    """Against the layers run one by one, with the same noise added between them."""
    encoder = tiny_encoder(family)
    spec = {"compacter": {"reduction": 4}, "compacter_pp": {"reduction": 4}}.get(name, {})
    tuning = build_tuning({"name": name} | ({} if name == "input" else {"layer": 1}) | spec)
    tensors, entry = tuning.initial(encoder, None, generator()), tuning.entry(encoder)
    hidden, mask = ComputedStates(encoder, encoder.tokenize(TEXTS), entry).batch(ALL)
    seen: list[torch.Tensor] = []

    def perturb(states):
        seen.append(torch.randn(states.shape, generator=generator(len(seen))))
        return states + seen[-1]

    found = final_states(tuning, encoder.perturbed(perturb), hidden, mask, tensors)
    assert len(seen) == DEPTH - entry
    soft = seen[0].shape[1] - hidden.shape[1]
    assert soft == (16 if name in ("input", "late") else 0)
    if soft:
        states = torch.cat([tensors["prompt"].expand(len(ALL), -1, -1), hidden], dim=1)
        visible = torch.cat([mask.new_ones(len(ALL), soft), mask], dim=1)
        for layer, noise in zip(range(entry, DEPTH), seen, strict=True):
            states = encoder.run(states + noise, visible, layer, layer + 1, soft=soft)
    else:
        states = hidden
        acting = build_tuning(tuning.spec()["base"]) if name == "both" else tuning  # an encoder has one stack
        for place, noise in enumerate(seen):
            changes = {entry + place: acting.change(encoder, tensors, place)}
            states = encoder.run(states + noise, mask, entry + place, entry + place + 1, changes=changes)
    assert torch.equal(found, states[:, soft:])


def test_the_encoder_itself_is_not_perturbed(tiny_encoder):
    encoder = tiny_encoder("bert")
    hidden, mask = ComputedStates(encoder, encoder.tokenize(TEXTS), 0).batch(ALL)
    before = encoder.run(hidden, mask)
    loud = encoder.perturbed(lambda states: states + 1)
    assert not torch.equal(loud.run(hidden, mask), before)
    assert torch.equal(encoder.run(hidden, mask), before)
    assert loud.fingerprint == encoder.fingerprint
    assert loud.model is encoder.model


# ---------------------------------------------------------------- in training


@pytest.mark.parametrize(
    "settings", [{"hype": "normal", "hype_scale": 0.0}, {"hype": "uniform", "hype_scale": 0.0}, {"hype_scale": 1.0}]
)
def test_no_noise_is_no_change_bit_for_bit(scene, settings):
    assert same(scene.fit(**settings), scene.fit())


@pytest.mark.parametrize("name", TUNINGS.names())
@pytest.mark.parametrize("kind", ["normal", "uniform"])
def test_every_tuning_can_be_trained_with_noise(tiny_encoder, name, kind):
    scene = Scene(tiny_encoder("bert"), name=name, **({} if name == "input" else {"layer": 1}))
    noisy = scene.fit(hype=kind, hype_scale=0.1, epochs=2)
    plain = scene.fit(epochs=2)
    assert noisy[1][0] == plain[1][0]  # before the first step nothing differs
    assert noisy[1][2] != plain[1][2]
    assert all(value.isfinite().all() for value in noisy[0].values())


def test_scores_are_those_of_the_clean_model(scene):
    tensors, curve = scene.fit(**NOISY)
    start = scene.tuning.initial(scene.encoder, None, generator(3))
    model = PromptModel.begin(scene.encoder, scene.tuning, start, 2, scene.train.view)
    model.load(tensors)
    accuracy, loss = model.score(scene.dev)
    best = min(curve, key=lambda epoch: epoch["dev_loss"])
    assert (best["dev_accuracy"], best["dev_loss"]) == (accuracy, loss)


def test_the_noise_is_the_trainings_own(scene):
    results = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        results.append(scene.fit(**NOISY))
        assert torch.equal(torch.get_rng_state(), before)
    assert same(*results)


@pytest.mark.parametrize("step", [1, 4, 8])
def test_stopped_and_resumed_to_the_same_bits(scene, step, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "_SECONDS_BETWEEN_CHECKPOINTS", 0.0)

    class Stop(Silent):
        def step(self, stage, number, loss):
            if number == step:
                raise Interrupted("Stopped.")

    with pytest.raises(Interrupted):
        scene.fit(FolderCheckpoints(tmp_path), Stop(), **NOISY)
    assert same(scene.fit(FolderCheckpoints(tmp_path), **NOISY), scene.fit(**NOISY))


@pytest.mark.parametrize("name", METHODS.names())
def test_every_method_trains_with_noise(tiny_encoder, name, tmp_path):
    stream = {"kind": "simulated", "order": ["kitchen", "office"]}
    if METHODS.load(name).pairs:
        stream = {"kind": "stance_simulated", "tasks": ["wind-turbines", "coal-power"]}
    curves = []
    for number, more in enumerate(({}, NOISY)):
        settings = LearnerSettings(
            method={"name": name},
            tuning={"name": "lora", "layer": 1} if name == "olora" else {"name": "deep", "length": 3, "layer": 1},
            training=TrainingConfig(**QUICK | {"epochs": 1} | more),
        )
        learner = Learner(tmp_path / str(number), tiny_encoder("bert"), settings)
        records = [learner.learn(task) for task in build_stream(stream | {"train": 24, "dev": 12, "test": 12}, 0)]
        curves.append([stage["curve"][1] for stage in records[0].provenance["stages"]])
    assert curves[0]
    assert all(noisy != plain for plain, noisy in zip(*curves, strict=True))


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize("family", WHOLE)
def test_a_backbone_that_is_run_as_a_whole_is_refused_at_once(tiny_encoder, family, tmp_path):
    settings = LearnerSettings(tuning={"name": "input"}, training=TrainingConfig(**NOISY))
    with pytest.raises(BackboneError, match=f"of family '{family}' is run as a whole.*set training.hype=none"):
        Learner(tmp_path / "pool", tiny_encoder(family), settings)


@pytest.mark.parametrize(
    ("name", "value"), [("hype", "gauss"), ("hype", ""), ("hype_scale", -1e-5), ("hype_scale", float("nan"))]
)
def test_bad_settings_are_refused(name, value):
    with pytest.raises(ConfigError, match=rf"training\.{name} is .*expected"):
        TrainingConfig(**{name: value})
