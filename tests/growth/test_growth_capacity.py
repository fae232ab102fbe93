"""The test of capacity: its formula worked by hand, and cases whose truth is known."""

import math
from statistics import NormalDist

import pytest
import torch
from datasets import Dataset

from continual import Learner, LearnerSettings
from continual.backbone.readout import Readout
from continual.errors import ConfigError
from continual.growth.capacity import Outcomes, bootstrap_variance, judge, training_variance
from continual.growth.config import GrowthConfig
from continual.training.config import TrainingConfig
from streams import Task

CONFIG = GrowthConfig(when="capacity")


def outcomes(texts: int, prompt: float, probe: float, seed: int, control: float | None = None) -> Outcomes:
    """Independent answers that are right with these probabilities."""
    draw = torch.Generator().manual_seed(seed)

    def right(share: float) -> torch.Tensor:
        return torch.rand(texts, generator=draw) < share

    return Outcomes(right(prompt), right(prompt if control is None else control), right(probe))


def test_gain_and_bounds_by_hand():
    prompt = torch.tensor([1, 0, 1, 0], dtype=torch.bool)
    control = torch.tensor([1, 1, 0, 0], dtype=torch.bool)
    probe = torch.tensor([1, 1, 1, 0], dtype=torch.bool)
    _, _, evidence = judge(Outcomes(prompt, control, probe), 1.0, CONFIG, seed=0)
    # Gains 0, 1/2, 1/2, 0: mean 1/4. Both are right half of the time and differ on half of four texts.
    assert evidence["gain"] == 0.25
    between = 1.5 * max(0.0, 0.5 / 8)
    assert training_variance(prompt.double(), control.double()) == between
    texts = bootstrap_variance(torch.tensor([0.0, 0.5, 0.5, 0.0], dtype=torch.float64), 0)
    reach = NormalDist().inv_cdf(0.95) * math.sqrt(texts + between)
    assert evidence["lower"] == pytest.approx(0.25 - reach)
    assert evidence["upper"] == pytest.approx(0.25 + reach)


def test_the_bootstrap_variance_is_that_of_a_mean():
    gains = torch.tensor([0.0, 1.0] * 200, dtype=torch.float64)
    assert bootstrap_variance(gains, 0) == pytest.approx(0.25 / 400, rel=0.1)


def test_two_trainings_that_differ_in_accuracy_say_how_much_a_training_varies():
    prompt, control = torch.ones(10).double(), torch.zeros(10).double()
    assert training_variance(prompt, control) == 1.5 * 0.5
    assert training_variance(prompt, prompt) == 0


def test_a_large_gain_on_many_texts_asks_for_growth():
    for seed in range(20):
        grow, reason, _ = judge(outcomes(400, prompt=0.6, probe=0.8, seed=seed), 0.9, CONFIG, seed)
        assert grow
        assert reason.startswith("The prompt lacks capacity: more capacity gains +0.")


@pytest.mark.parametrize("share", [0.34, 0.5, 0.7, 0.9])
def test_where_more_capacity_brings_nothing_the_test_hardly_ever_fires(share):
    fired = sum(judge(outcomes(200, share, share, seed), 1.0, CONFIG, seed)[0] for seed in range(200))
    assert fired <= 10  # 5 % at most; independent answers vary more than trained models do


def test_a_gain_that_few_texts_cannot_show_is_called_noise():
    prompt = torch.tensor([True] * 10 + [False] * 10)
    probe = torch.tensor([True] * 11 + [False] * 9)
    grow, reason, _ = judge(Outcomes(prompt, prompt, probe), 1.0, CONFIG, 0)
    assert not grow
    assert reason.startswith("Noise could explain it")


def test_a_probe_that_fits_and_does_not_gain_points_at_data_or_labels():
    same = torch.tensor([True, False] * 50)
    grow, reason, _ = judge(Outcomes(same, same, same), 0.99, CONFIG, 0)
    assert not grow
    assert reason.startswith("Data or labels are the limit: the probe learns its texts (probability 0.99)")
    assert judge(Outcomes(same, same, same), 0.6, CONFIG, 0)[1].startswith("More capacity changes no answer: ")
    other = same.clone()
    other[0] = ~other[0]
    assert judge(Outcomes(same, other, same), 0.6, CONFIG, 0)[1].startswith("The prompt has capacity enough")


def test_what_could_be_a_gain_or_none_is_undecided():
    prompt = torch.tensor([True, False] * 10)
    grow, reason, _ = judge(Outcomes(prompt, ~prompt, ~prompt), 0.6, CONFIG, 0)
    assert not grow
    assert reason.startswith("Undecided, and nothing is done: more capacity gains +0.000")


def word_task(name: str, train: int, label, noise: bool = False) -> Task:
    """Texts of six words, labelled by what stands in them; with `noise` labels are drawn by lot."""
    words = ("police", "plane", "soup", "city", "memory", "price", "castle", "team")
    draw = torch.Generator().manual_seed(7)

    def split(count: int, start: int) -> Dataset:
        rows = []
        while len(rows) < count:
            text = [words[int(torch.randint(len(words), (), generator=draw))] for _ in range(6)]
            own = int(torch.randint(2, (), generator=draw)) if noise else label(text)
            rows.append({"text": f"{' '.join(text)} {start + len(rows)}", "label": own})
        return Dataset.from_list(rows)

    return Task(
        name=name,
        kind="classification",
        labels=("no", "yes"),
        train=split(train, 0),
        dev=split(200, 10_000),
        test=split(20, 20_000),
    )


@pytest.fixture
def examined(tiny_encoder, tmp_path):
    """Learns a task with a prompt that can do next to nothing, and gives the verdict."""
    settings = LearnerSettings(
        method={"name": "scratch"},
        tuning={"name": "deep", "length": 1, "layer": 2},
        readout=Readout("none", terms=0),
        training=TrainingConfig(epochs=8, min_steps=0, dropout=0.0),
        growth=GrowthConfig(when="capacity", probe_epochs=8, probe_learning_rate=1e-2),
    )

    def verdict(task: Task):
        learner = Learner(tmp_path / task.name, tiny_encoder("bert"), settings)
        return learner.learn(task, examine=True).provenance["capacity"]

    return verdict


def one_of_two(text: list[str]) -> int:
    """Whether exactly one of two words stands in a text: no sum over its words can tell."""
    return int(("police" in text) != ("soup" in text))


@pytest.mark.slow
def test_a_task_that_a_prompt_in_the_last_layer_cannot_hold_lacks_capacity(minilm, tmp_path):
    settings = LearnerSettings(
        method={"name": "scratch"},
        tuning={"name": "deep", "length": 1, "layer": 5},
        readout=Readout("none", terms=0),
        training=TrainingConfig(epochs=6, min_steps=0, dropout=0.0),
        growth=GrowthConfig(when="capacity", probe_epochs=6),
    )
    learner = Learner(tmp_path / "pool", minilm, settings)
    verdict = learner.learn(word_task("one of two", 400, one_of_two), examine=True).provenance["capacity"]
    assert verdict["grow"], verdict
    assert verdict["evidence"]["gain"] > 0.2
    assert verdict["evidence"]["probe_parameters"] > verdict["evidence"]["prompt_parameters"]
    assert verdict["seconds"] > 0


def test_labels_drawn_by_lot_are_no_lack_of_capacity(examined):
    verdict = examined(word_task("lot", 400, None, noise=True))
    assert not verdict["grow"]
    assert verdict["evidence"]["upper"] < 0.2


def test_a_probe_that_learns_what_a_prompt_cannot_asks_for_growth(examined):
    """One bit of a random network's word is what a single token in its last layer cannot tell."""
    verdict = examined(word_task("one word", 300, lambda text: int("police" in text)))
    assert verdict["grow"], verdict
    assert verdict["evidence"]["probe_accuracy"] > 0.9


def test_a_task_with_a_dozen_texts_is_no_lack_of_capacity(examined):
    assert not examined(word_task("few", 12, one_of_two))["grow"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"when": "always"}, "growth.when is 'always', expected never, schedule or capacity"),
        ({"how": "exakt"}, "no expansion named 'exakt' .did you mean 'exact'"),
        ({"when": "schedule"}, "growth.when=schedule needs growth.at"),
        ({"at": [0]}, r"growth.at is \[0\], expected numbers of tasks from 1"),
        ({"at": [3]}, "growth.at belongs to growth.when=schedule, which is never; set that, or leave growth.at out"),
        ({"when": "capacity", "at": [3]}, "growth.at belongs to growth.when=schedule, which is capacity"),
        ({"noise": 0.5}, "growth.noise belongs to growth.how=elle, which is exact; set that, or leave growth.noise"),
        ({"recovery": 9}, "growth.recovery belongs to growth.how=elle, which is exact"),
        ({"when": "schedule", "at": [1, 3]}, "growth.at names 2 tasks, but .* set growth.most=2, or name fewer"),
        ({"when": "capacity", "layers": 0}, "The growth adds nothing"),
        ({"keep": 2.0}, "growth.keep is 2.0, expected a number in"),
        ({"confidence": 0.2}, "growth.confidence is 0.2, expected at least 0.5 and below 1"),
        ({"memory": 0}, "growth.memory is 0, expected at least 1"),
        ({"steps": -1}, "growth.steps is -1, expected 0 or more"),
        ({"learning_rate": 0.0}, "growth.learning_rate is 0.0, expected a number above 0"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        GrowthConfig(**settings)
