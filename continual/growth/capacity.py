"""The test that asks for growth: would more trainable capacity answer held-out texts better than the prompt does?

A task may be answered badly because the prompt cannot hold it, because there is too little data, or because labels are
wrong. More capacity helps in the first case alone: in the others a larger module fits the training texts better and is
no better on texts that it has not seen. So a *probe*, low-rank additions to all linear layers, is trained on the task
as the prompt was, and both answer the dev split.

What noise explains is measured too. A *control*, the prompt's own tuning trained again with other batches from other
noise, says how much two trainings of the same capacity differ. For each text i, with errors e in {0, 1},

    g_i = (e_prompt,i + e_control,i) / 2 - e_probe,i
    gain = mean g_i,   s^2 = var_boot(gain) + 3/2 * max((a_prompt - a_control)^2 / 2, d / 2n)

where var_boot is over resampled texts, a are accuracies, d is the share of texts on which prompt and control differ in
being right, and n the number of texts: one training's variance from a pair of trainings, or from the texts that they
disagree on, whichever is larger; the mean of two and the probe's own make 3/2 of it. The backbone grows if the gain is
at least `margin` and its lower bound at the given confidence is above zero. The test is ours.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any

import torch
from torch import Tensor

from continual.backbone.change import LINEAR
from continual.backbone.frozen import FrozenView
from continual.backbone.texts import EncodedTexts
from continual.growth.config import GrowthConfig
from continual.methods.base import Learned, Lesson
from continual.seeding import seed_of
from continual.training.config import TrainingConfig
from continual.training.examples import Examples
from continual.training.loop import fit
from continual.training.model import PromptModel
from continual.tuning.base import Tuning
from continual.tuning.lora import Lora

_RESAMPLES = 2000

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
    """

    grow: bool
    reason: str
    evidence: dict[str, float]
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return vars(self)


def examine(lesson: Lesson, learned: Learned, config: GrowthConfig, view_at: ViewAt) -> Verdict:
    """Tests whether a task that was just learned needs more capacity.

    Args:
        lesson: The task as its method was given it.
        learned: What the method made of it.
        config: The probe and what its gain must be.
        view_at: Makes frozen views at another layer.
    """
    started = time.monotonic()
    form = learned.model.tuning
    larger = form.reading_alike(Lora(config.probe_rank, float(config.probe_rank), config.probe_layer, LINEAR))
    same = form.reading_alike(lesson.tuning)
    prompted, controlled, probed = (_splits(lesson, form, tuning, view_at) for tuning in (form, same, larger))
    short = replace(
        lesson.training,
        learning_rate=config.probe_learning_rate,
        epochs=min(config.probe_epochs, lesson.training.epochs),
    )
    probe, probe_seconds = _trained(lesson, larger, probed, "capacity-probe", short)
    control, control_seconds = _trained(lesson, same, controlled, "capacity-control", lesson.training)
    with torch.no_grad():
        outcomes = Outcomes(
            prompt=_right(learned.model, prompted[1]),
            control=_right(control, controlled[1]),
            probe=_right(probe, probed[1]),
        )
        fitted = float(_right(probe, probed[0]).float().mean())
    grow, reason, evidence = judge(outcomes, fitted, config, seed_of(lesson.seed, lesson.task, "capacity"))
    evidence |= {"prompt_parameters": float(learned.model.size), "probe_parameters": float(probe.size)}
    return Verdict(grow, reason, evidence, time.monotonic() - started + probe_seconds + control_seconds)


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
        fitted: Share of the training texts that the probe answers rightly.
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
        "probe_train_accuracy": fitted,
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
    if fitted > 0.97:
        return f"Data or labels are the limit: the probe fits its training texts ({fitted:.3f}), and {found}."
    return f"The prompt has capacity enough: {found}."


def _splits(lesson: Lesson, form: Tuning, tuning: Tuning, view_at: ViewAt) -> list[Examples]:
    """Train and dev as `form` reads them, with the states before the layer where `tuning` enters."""
    found, layer = [], tuning.entry(lesson.encoder)
    for examples in (lesson.train, lesson.dev):
        texts = form.texts(lesson.encoder, examples.view.texts)
        fits = texts is examples.view.texts and layer == examples.view.entry
        found.append(examples if fits else replace(examples, view=view_at(texts, layer)))
    return found


def _trained(
    lesson: Lesson, tuning: Tuning, splits: Sequence[Examples], stage: str, settings: TrainingConfig
) -> tuple[PromptModel, float]:
    """A model trained on train and chosen on dev as the prompt was, and the seconds before an interruption."""
    train, dev = splits
    generator = lesson.generator(stage)
    tensors = tuning.initial(lesson.encoder, train.view.states, generator)
    model = PromptModel.begin(lesson.encoder, tuning, tensors, len(lesson.labels), train.view)
    result = fit(
        model,
        train,
        dev,
        settings,
        generator,
        stage=stage,
        checkpoints=lesson.checkpoints,
        watcher=lesson.watcher,
    )
    return model, result.earlier_seconds


def _right(model: PromptModel, examples: Examples) -> Tensor:
    return model.logits(examples).argmax(1) == examples.labels
