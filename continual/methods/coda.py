"""CODA-Prompt: a prompt for each text as a weighted sum of components, of which each task adds some."""

import torch
from torch import Tensor

from continual.errors import ConfigError
from continual.limits import at_least
from continual.methods.base import UNRANKED, Learned, Lesson, Method
from continual.methods.shared import Before
from continual.training.steered import SteeredModel
from continual.tuning.base import Tensors, Tuning
from continual.tuning.composed.base import EARLIER, OWN, part, resized
from continual.tuning.composed.components import (
    ATTENTION,
    KEYS,
    Components,
    orthogonal_to,
)


class Coda(Method):
    """Continual decomposed attention-based prompting (Smith et al. 2023, arXiv 2211.13218).

    Each task adds components, keys and attention vectors, drawn orthogonal to all earlier ones by Gram and Schmidt's
    way, and trains these alone, with one classifier for all tasks. Outputs of other tasks' labels are left out in
    training. Nobody tells the task at prediction.

    The released code fixes the number of components beforehand and gives each of T tasks its share of 100; a stream's
    end is not known, so each task adds `size`. The penalty on what is not orthogonal has weight 0 in the updated
    code, as here.

    Args:
        size: Components that each task adds.
        length: Tokens of each component.
        orthogonality: Weight of the penalty on keys, attention vectors and components.
    """

    name = "coda"
    reads = UNRANKED
    grounded = False
    shared = True
    builds = True

    def __init__(self, size: int = 8, length: int = 8, orthogonality: float = 0.0) -> None:
        if length < 1:
            raise ConfigError(f"method.length is {length}, expected at least 1.")
        at_least(0, orthogonality, "method.orthogonality")
        self.size, self.length, self.orthogonality = size, length, orthogonality
        Components({"name": "deep"}, size)  # refuses bad options before anything is learned

    def check_tuning(self, tuning: Tuning) -> None:
        """See `Method.check_tuning`."""
        self.composed(tuning)

    def learn(self, lesson: Lesson) -> Learned:
        """See `Method.learn`."""
        before = Before.of(lesson)
        tuning = self.composed(lesson.tuning)
        earlier = tuning.joined(before.tensors) if before.tensors else {}
        tensors = part(EARLIER, earlier) | part(OWN, self._fresh(lesson, tuning, earlier))

        def penalty(model: SteeredModel, rows: Tensor) -> Tensor:
            return self.orthogonality * tuning.not_orthogonal(model.tensors)

        model = lesson.fit(
            "student",
            tensors,
            tuning=tuning,
            penalty=penalty if self.orthogonality else None,
            classifier=before.start(lesson),
        )
        shared, kept = before.after(lesson, model)
        return Learned(model, "student", kept=kept, shared=shared)

    def composed(self, tuning: Tuning) -> Components:
        """See `Method.composed`."""
        return Components(resized(tuning, self.length), self.size)

    def _fresh(self, lesson: Lesson, tuning: Components, earlier: Tensors) -> dict[str, Tensor]:
        """New components, keys and attention vectors, orthogonal to the earlier ones."""
        generator = lesson.generator("components")
        states, width = lesson.train.view.states, lesson.encoder.width
        drawn = [tuning.base.initial(lesson.encoder, states, generator) for _ in range(self.size)]
        fresh = {}
        for name in drawn[0]:
            values = torch.stack([one[name] for one in drawn])
            length = values.flatten(1).norm(dim=1).mean()  # components of length one would be far too weak
            made = orthogonal_to(earlier.get(name), values)
            fresh[name] = made * length
        for name in (KEYS, ATTENTION):
            fresh[name] = orthogonal_to(earlier.get(name), torch.rand(self.size, width, generator=generator))
        return fresh
