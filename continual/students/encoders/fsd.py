"""FSD: a smaller encoder that learns a tuned teacher's answers and the structure of its features.

Jung et al. 2023 (arXiv 2204.08922). 1. fine_tuning: the teacher learns the tasks. 2. distillation: the student, which
begins with the lower layers of the teacher as it came, learns

    L = alpha CE + (1 - alpha) T^2 KL + epsilon (sigma L_G + (1 - sigma) (gamma L_I + (1 - gamma) L_L) / 2)

epsilon=0 is plain distillation, and with alpha=1 a student without a teacher; sigma=1 is the paper's FSD_G, sigma=0
with gamma 1 or 0 its FSD_I or FSD_L at half of epsilon.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from continual.construction import typed
from continual.errors import ConfigError
from continual.limits import above, at_least
from continual.making.recipe import Made, Place
from continual.pretraining.optimisation import setting
from continual.students.encoders.teachers import save_heads, seen_teacher, tuned_teacher
from continual.students.ingredients import COLUMNS, SECTIONS, Ingredients, StageConfig, result, to_device
from continual.students.recipe import identity


@dataclass(frozen=True)
class FsdConfig:
    """The weights of the losses."""

    alpha: float = setting(0.5, "share of the true labels; the rest is the teacher's answers")
    temperature: float = setting(3.0, "what logits are divided by")
    epsilon: float = setting(0.1, "weight of the structures")
    sigma: float = setting(0.5, "share of the memory among the structures (L_G)")
    gamma: float = setting(0.5, "share of tokens within a text (L_I) against texts of a batch (L_L) in the rest")
    balance: float = setting(0.5, "share of distances against cosines in L_G")
    memory: int = setting(100, "centroids of the memory; the paper takes 300 for large tasks")
    passes: int = setting(1, "assignments of texts to centroids while the teacher's memory is made")
    positions: int = setting(64, "tokens of a text that are compared with the memory; the released code takes 128")
    per_dimension: bool = setting(
        True, "divide distances in L_G by the root of the number of dimensions; false is as published"
    )
    layerwise: bool = setting(
        False, "compare every layer but the last with one of the teacher, not only the penultimate"
    )

    def __post_init__(self) -> None:
        for name in ("alpha", "sigma", "gamma", "balance"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"fsd.{name} is {getattr(self, name)}, expected a number in [0, 1].")
        for name in ("memory", "positions"):
            at_least(2, getattr(self, name), f"fsd.{name}")
        for name in ("epsilon", "passes"):
            at_least(0, getattr(self, name), f"fsd.{name}")
        above(0, self.temperature, "fsd.temperature")

    @property
    def remembers(self) -> bool:
        """Whether a memory takes part."""
        return self.epsilon * self.sigma > 0

    @property
    def is_taught(self) -> bool:
        """Whether a teacher takes part."""
        return self.alpha < 1 or self.epsilon > 0


@dataclass(frozen=True)
class Fsd:
    """See `continual.students.recipe.StudentRecipe`.

    Attributes:
        common: Tasks, teacher, shape, budget.
        fsd: Weights of the losses.
        distillation: The stage in which the student learns.
    """

    common: Ingredients
    fsd: FsdConfig
    distillation: StageConfig

    sections = (*SECTIONS, "fsd", "distillation")
    parts = ("fine_tuning", "distillation", "scores")
    columns = COLUMNS

    @classmethod
    def parse(cls, settings: Mapping[str, Any]) -> "Fsd":
        """See `Recipe.parse`."""
        recipe = cls(
            common=Ingredients.parse(settings),
            fsd=typed(FsdConfig, settings.get("fsd"), "fsd"),
            distillation=typed(StageConfig, settings.get("distillation"), "distillation"),
        )
        if recipe.fsd.is_taught:
            recipe.common.require_tuning()
        if recipe.distillation.is_left_out:
            raise ConfigError("distillation.steps is 0, so the student would learn nothing; set it to 1 or more.")
        return recipe

    def identity(self) -> dict[str, Any]:
        """See `Recipe.identity`."""
        return identity(self)

    def make(self, place: Place) -> Made:
        """See `Recipe.make`."""
        from continual.students.encoders.classifier import ClassificationObjective, Classifier
        from continual.students.encoders.features import RememberingStudent, StructureLoss
        from continual.students.encoders.labelled import encoded, rows_of
        from continual.students.encoders.scoring import score_row

        common, tasks = self.common, self.common.tasks.tasks
        stages, teacher = common.stages(place), seen_teacher(common)
        # An impossible student is refused before its teacher learns.
        classifier = Classifier(common.new_student(), common.labels, common.seed, "student")
        tuned = None if common.fine_tuning.is_left_out else tuned_teacher(common, stages)
        place.done("fine_tuning: the teacher has learned the tasks")
        student = to_device(RememberingStudent(classifier, self.fsd))
        data, dev = (encoded(teacher, rows_of(tasks, split)) for split in ("train", "dev"))

        def objective() -> ClassificationObjective:
            loss = StructureLoss(student, tuned, data, self.fsd, common.seed) if self.fsd.is_taught else None
            return ClassificationObjective(student, classifier, data, dev, loss)

        training = self.distillation.of(common.training)
        stages.train("distillation", student, objective, data.lengths, training=training)
        place.done(f"distillation: {len(data)} texts")
        taught = {} if tuned is None else {"teacher": tuned}
        models = taught | {"student": classifier}
        scores = [
            stages.once(f"scores-{name}", partial(score_row, name, model.encoder, tasks, model))
            for name, model in models.items()
        ]
        place.done("scores: on the test texts")
        return result(common, stages, scores, {"": classifier.encoder}, partial(save_heads, common, classifier))
