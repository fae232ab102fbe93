"""The test that asks for growth: would more trainable capacity answer held-out texts better than the prompt does?

A task may be answered badly because the prompt cannot hold it, because there is too little data, or because labels are
wrong. More capacity helps in the first case alone: in the others a larger module fits the training texts better and is
no better on texts that it has not seen. So a *probe*, low-rank additions to all linear layers, is trained on the task
as the prompt was, and both answer the dev split.

What noise explains is measured too. A *control*, the task learned once more by the same method with another seed, says
how much two trainings of the same capacity differ. For each text i, with errors e in {0, 1},

    g_i = (e_prompt,i + e_control,i) / 2 - e_probe,i
    gain = mean g_i,   s^2 = var_boot(gain) + 3/2 * max((a_prompt - a_control)^2 / 2, d / 2n)

where var_boot is over resampled texts, a are accuracies, d is the share of texts on which prompt and control differ in
being right, and n the number of texts: one training's variance from a pair of trainings, or from the texts that they
disagree on, whichever is larger; the mean of two and the probe's own make 3/2 of it. The backbone grows if the gain is
at least `margin` and its lower bound at the given confidence is above zero. The confidence is that of one test; a
stream of many tasks asks many times. The test is ours.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any

import torch
from torch import Tensor

from continual.backbone.change import LINEAR
from continual.backbone.frozen import FrozenView
from continual.backbone.texts import EncodedTexts
from continual.growth.config import GrowthConfig
from continual.methods.base import Learned, Lesson, Method
from continual.seeding import seed_of
from continual.training.checkpoint import Named
from continual.training.examples import Examples
from continual.training.loop import fit
from continual.training.model import PromptModel
from continual.training.steered import SteeredModel
from continual.training.watch import NamedWatcher
from continual.tuning.base import Tuning
from continual.tuning.lora import Lora

_PROBE, _CONTROL = "capacity-probe", "capacity-control-"
_RESAMPLES = 2000
_FITTED = 0.8
"""A probe that gives the labels of its training texts such a probability has capacity to spare."""

ViewAt = Callable[[EncodedTexts, int], FrozenView]
"""`(texts, layer) -> view` whose states are those before the layer."""


@dataclass(frozen=True)
class Verdict:
    """What the test says.

    Attributes:
        grow: Whether the prompt lacks capacity.
        reason: One sentence.
        evidence: The numbers behind it.
        seconds: What the test took.
        earlier_seconds: How many of them before an interruption.
    """

    grow: bool
    reason: str
    evidence: dict[str, float]
    seconds: float
    earlier_seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Plain values, to be stored."""
        return {key: value for key, value in vars(self).items() if key != "earlier_seconds"}


def examine(method: Method, lesson: Lesson, learned: Learned, config: GrowthConfig, view_at: ViewAt) -> Verdict:
    """Tests whether a task that was just learned needs more capacity.

    Args:
        method: That has learned it.
        lesson: The task as the method was given it.
        learned: What the method made of it.
        config: The probe and what its gain must be.
        view_at: Makes frozen views at another layer.
    """
    started = time.monotonic()
    reading = Reading(lesson, learned.model.tuning, view_at)
    probe = _probe(lesson, reading, config)
    again = replace(
        lesson,
        seed=seed_of(lesson.seed, "capacity-control"),
        checkpoints=Named(lesson.checkpoints, _CONTROL),
        watcher=NamedWatcher(lesson.watcher, _CONTROL),
        stages=[],
    )
    control = method.learn(again).model
    with torch.no_grad():
        outcomes = Outcomes(*(reading.right(model) for model in (learned.model, control, probe.model)))
    grow, reason, evidence = judge(outcomes, probe.fitted, config, seed_of(lesson.seed, lesson.task, "capacity"))
    evidence |= {"prompt_parameters": float(learned.model.size), "probe_parameters": float(probe.model.size)}
    before = probe.earlier_seconds + sum(stage.earlier_seconds for stage in again.stages)
    return Verdict(grow, reason, evidence, time.monotonic() - started + before, before)


class Reading:
    """The task's texts as the prompt reads them, with the states before any layer.

    Args:
        lesson: The task.
        form: The prompt's tuning, which may put texts into a template.
        view_at: Makes frozen views at a layer.
    """

    def __init__(self, lesson: Lesson, form: Tuning, view_at: ViewAt) -> None:
        self._lesson, self.form, self._view_at = lesson, form, view_at
        self._texts = [form.texts(lesson.encoder, it.view.texts) for it in (lesson.train, lesson.dev)]

    def train(self, tuning: Tuning) -> Examples:
        """The training split with the states before the layer where a tuning enters."""
        return self._entered(self._lesson.train, self._texts[0], tuning)

    def dev(self, tuning: Tuning) -> Examples:
        """The dev split, likewise."""
        return self._entered(self._lesson.dev, self._texts[1], tuning)

    def right(self, model: SteeredModel) -> Tensor:
        """Which texts of the dev split a model answers rightly, bool, [texts]."""
        dev = self.dev(model.tuning)
        return model.logits(dev).argmax(1) == dev.labels

    def _entered(self, examples: Examples, texts: EncodedTexts, tuning: Tuning) -> Examples:
        layer, view = tuning.entry(self._lesson.encoder), examples.view
        fits = texts is view.texts and layer == view.entry
        return examples if fits else replace(examples, view=self._view_at(texts, layer))


@dataclass(frozen=True)
class Probe:
    """A model of more trainable capacity.

    Attributes:
        model: With the weights that were best on dev.
        fitted: The probability that it gave to the labels of its training texts in the end, as a geometric mean.
        earlier_seconds: What its training took before an interruption.
    """

    model: PromptModel
    fitted: float
    earlier_seconds: float


def _probe(lesson: Lesson, reading: Reading, config: GrowthConfig) -> Probe:
    larger = Lora(config.probe_rank, float(config.probe_rank), config.probe_layer, LINEAR)
    tuning = reading.form.reading_alike(larger)
    settings = replace(
        lesson.training,
        learning_rate=config.probe_learning_rate,
        epochs=min(config.probe_epochs, lesson.training.epochs),
        min_steps=0,
    )
    generator, train = lesson.generator(_PROBE), reading.train(tuning)
    tensors = tuning.initial(lesson.encoder, train.view.states, generator)
    model = PromptModel.begin(lesson.encoder, tuning, tensors, len(lesson.labels), train.view)
    result = fit(
        model,
        train,
        reading.dev(tuning),
        settings,
        generator,
        stage=_PROBE,
        checkpoints=lesson.checkpoints,
        watcher=lesson.watcher,
    )
    return Probe(model, math.exp(-result.curve[-1]["train_loss"]), result.earlier_seconds)


@dataclass(frozen=True)
class Outcomes:
    """Which held-out texts each model answers rightly.

    Attributes:
        prompt: The prompt, bool, [texts].
        control: The same capacity, trained again, [texts].
        probe: More capacity, [texts].
    """

    prompt: Tensor
    control: Tensor
    probe: Tensor


def judge(outcomes: Outcomes, fitted: float, config: GrowthConfig, seed: int) -> tuple[bool, str, dict[str, float]]:
    """The decision, its reason and the evidence; see the head of this module.

    Args:
        outcomes: Who is right where.
        fitted: The probability that the probe gives to the labels of its training texts in the end.
        config: Margin and confidence.
        seed: Decides the resampling.
    """
    prompt, control, probe = (value.double() for value in (outcomes.prompt, outcomes.control, outcomes.probe))
    gains = probe - (prompt + control) / 2
    gain, texts = float(gains.mean()), len(gains)
    deviation = math.sqrt(bootstrap_variance(gains, seed) + training_variance(prompt, control))
    reach = NormalDist().inv_cdf(config.confidence) * deviation
    grow = gain >= config.margin and gain - reach > 0
    evidence = {
        "texts": float(texts),
        "prompt_accuracy": float(prompt.mean()),
        "control_accuracy": float(control.mean()),
        "probe_accuracy": float(probe.mean()),
        "probe_fitted": fitted,
        "gain": gain,
        "lower": gain - reach,
        "upper": gain + reach,
        "margin": config.margin,
    }
    return grow, _reason(grow, gain, reach, fitted, texts, config), evidence


def bootstrap_variance(gains: Tensor, seed: int) -> float:
    """Variance of the mean of `gains` [texts] over resampled texts."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randint(len(gains), (_RESAMPLES, len(gains)), generator=generator)
    return float(gains[rows].mean(1).var())


def training_variance(prompt: Tensor, control: Tensor) -> float:
    """Variance of the gain that training anew explains, from two trainings of one capacity; [texts] of 0 and 1 each."""
    difference = float(prompt.mean() - control.mean())
    disagreeing = float((prompt != control).double().mean())
    return 1.5 * max(difference**2 / 2, disagreeing / (2 * len(prompt)))


def _reason(grow: bool, gain: float, reach: float, fitted: float, texts: int, config: GrowthConfig) -> str:
    found = f"more capacity gains {gain:+.3f} ± {reach:.3f} of accuracy on {texts} held-out texts"
    if grow:
        return f"The prompt lacks capacity: {found}."
    if gain >= config.margin:
        return f"Noise could explain it: {found}."
    if fitted > _FITTED:
        return f"Data or labels are the limit: the probe learns its texts (probability {fitted:.2f}), and {found}."
    if gain == reach == 0:
        return f"More capacity changes no answer: {found}."
    if gain + reach < config.margin:
        return f"The prompt has capacity enough: {found}."
    return f"Undecided, and nothing is done: {found}; more dev texts would tell."
