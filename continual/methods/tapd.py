"""TAPD: stance detection by target-aware templates, several of which are distilled into one prompt."""

from dataclasses import replace

import torch
from torch import Tensor

from continual.backbone.frozen import FrozenView, freeze
from continual.backbone.readout import Readout
from continual.distillation.logits import soft_divergence
from continual.errors import ConfigError
from continual.evaluation.kinds import CLASSIFICATION
from continual.limits import above, at_least
from continual.methods.base import UNRANKED, Learned, Lesson, Method
from continual.training.examples import Examples
from continual.training.loop import Objective, cross_entropy
from continual.tuning.base import Tuning
from continual.tuning.composed.base import OWN, part
from continual.tuning.composed.templated import Templated

TEMPLATES = (
    "{text} . The attitude to {target} is {mask} .",
    "{text} . I am {mask} {target} .",
    "{target} ? {mask} . {text}",
)


class Tapd(Method):
    """Target-aware prompt distillation for stance (Jiang et al. 2022, SIGIR, arXiv 2206.13214).

    A stance task's texts come with a target. Each template puts both into one sentence with a mask; labels are vectors
    that score how the state at the mask and the target's states go together (`continual/tuning/composed/templated.py`).
    One prompt is trained for each template; the mean of their softened answers on the training texts then teaches the
    prompt of the first one: `loss = cross-entropy + weight * T^2 * KL(teachers || student)`.

    The paper fine-tunes the whole model; here the backbone stays frozen and a prompt steers it. What the authors have
    released holds no code, and only the abstract could be verified: templates with targets, labels as vectors, and
    distillation of several templates. Templates, score and loss are ours.

    Args:
        templates: How many of the built-in templates are used.
        weight: Factor of the distillation loss.
        temperature: T.
    """

    name = "tapd"
    reads = UNRANKED
    kinds = (CLASSIFICATION,)
    pairs = True

    def __init__(self, templates: int = 3, weight: float = 1.0, temperature: float = 2.0) -> None:
        if not 1 <= templates <= len(TEMPLATES):
            raise ConfigError(f"method.templates is {templates}, expected 1 to {len(TEMPLATES)}.")
        at_least(0, weight, "method.weight")
        above(0, temperature, "method.temperature")
        self.templates, self.weight, self.temperature = TEMPLATES[:templates], weight, temperature

    def check_tuning(self, tuning: Tuning) -> None:
        """See `Method.check_tuning`."""
        for template in self.templates:
            Templated(tuning.spec(), template)

    def learn(self, lesson: Lesson) -> Learned:
        """See `Method.learn`."""
        tunings = [Templated(lesson.tuning.spec(), template) for template in self.templates]
        first = _in_template(lesson, tunings[0])
        fresh = part(OWN, lesson.fresh())
        if len(tunings) == 1:
            return Learned(first.fit("student", fresh, tuning=tunings[0]), "student")
        answers = []
        for number, tuning in enumerate(tunings, start=1):
            own = first if number == 1 else _in_template(lesson, tuning)
            logits = own.fit(f"template-{number}", fresh, tuning=tuning).logits(own.train)
            answers.append(torch.softmax(logits / self.temperature, dim=1))
        objective = self._objective(torch.stack(answers).mean(0), lesson.training.label_smoothing)
        return Learned(first.fit("student", fresh, objective, tuning=tunings[0]), "student")

    def _objective(self, teachers: Tensor, smoothing: float) -> Objective:
        hard = cross_entropy(smoothing)

        def objective(logits: Tensor, labels: Tensor, rows: Tensor, progress: float) -> Tensor:
            soft = soft_divergence(logits, teachers[rows], self.temperature)
            return hard(logits, labels, rows, progress) + self.weight * soft

        return objective


def _in_template(lesson: Lesson, tuning: Templated) -> Lesson:
    """The same lesson, its texts put into the template; what is known of them without a prompt stays."""
    entry = tuning.entry(lesson.encoder)

    def rendered(examples: Examples) -> FrozenView:
        texts = tuning.texts(lesson.encoder, examples.view.texts)
        return freeze(lesson.encoder, texts, entry, Readout("none", terms=0))

    return replace(
        lesson,
        train=replace(lesson.train, view=rendered(lesson.train)),
        dev=replace(lesson.dev, view=rendered(lesson.dev)),
    )
