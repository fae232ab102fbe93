"""TinyBERT: a smaller encoder that learns its teacher's layers, first in general and then for tasks.

Jiao et al. 2020 (arXiv 1909.10351). 1. general: the student learns the layers of the teacher as it comes from plain
text. 2. fine_tuning: the teacher learns the tasks. 3. intermediate: the student learns the layers of the tuned teacher
from augmented texts. 4. prediction: it learns the tuned teacher's answers to them. With one task this is the paper;
with several, teacher and student have a head for each, and the student's encoder serves them all.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from continual.construction import typed
from continual.errors import ConfigError
from continual.files import lines_of
from continual.limits import above
from continual.making.recipe import Made, Place
from continual.pretraining.optimisation import setting
from continual.students.encoders.augmentation import AugmentationConfig
from continual.students.encoders.teachers import save_heads, seen_teacher, tuned_teacher
from continual.students.ingredients import (
    COLUMNS,
    SECTIONS,
    Ingredients,
    StageConfig,
    digest,
    result,
    to_device,
)
from continual.students.recipe import identity

if TYPE_CHECKING:
    from torch import Tensor

    from continual.students.encoders.classifier import Classifier
    from continual.students.encoders.inside import Inside
    from continual.students.encoders.labelled import Labelled
    from continual.students.encoders.layers import TaughtStudent
    from continual.students.stages import Stages


@dataclass(frozen=True)
class TinyBertConfig:
    """What the student learns of its teacher."""

    map: str = setting("uniform", "which layers of the teacher the student's learn from: uniform, first or last")
    temperature: float = setting(1.0, "what logits are divided by in the prediction stage")
    texts: str | None = setting(
        None, "file with a text in each line for the general stage; the tasks' training texts if null"
    )

    def __post_init__(self) -> None:
        from continual.distillation.hidden import MAPS

        if self.map not in MAPS:
            raise ConfigError(f"tinybert.map is {self.map!r}, expected one of {', '.join(MAPS)}.")
        above(0, self.temperature, "tinybert.temperature")

    def identity(self) -> dict[str, Any]:
        """Plain values that decide the student; a digest of the texts in the place of their file's path."""
        return asdict(self) | {"texts": digest(self.plain_texts())}

    def plain_texts(self) -> list[str]:
        """The texts of the file, none where no file is set.

        Raises:
            ConfigError: It cannot be read, or is empty.
        """
        if not self.texts:
            return []
        try:
            lines = lines_of(Path(self.texts).read_bytes())
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"tinybert.texts is {self.texts!r}, which cannot be read as UTF-8 text ({error}); give another "
                "file, or null."
            ) from error
        texts = [line.strip() for line in lines if line.strip()]
        if not texts:
            raise ConfigError(f"The file {self.texts} holds no text; give one with a text a line, or null.")
        return texts


@dataclass(frozen=True)
class TinyBert:
    """See `continual.students.recipe.StudentRecipe`.

    Attributes:
        common: Tasks, teacher, shape, budget.
        tinybert: What is learned of the teacher.
        augmentation: How training texts are multiplied.
        general: The first stage.
        intermediate: The third stage.
        prediction: The last stage.
    """

    common: Ingredients
    tinybert: TinyBertConfig
    augmentation: AugmentationConfig
    general: StageConfig
    intermediate: StageConfig
    prediction: StageConfig

    sections = (*SECTIONS, "tinybert", "augmentation", "general", "intermediate", "prediction")
    parts = ("general", "fine_tuning", "augmentation", "intermediate", "prediction", "scores")
    columns = COLUMNS

    @classmethod
    def parse(cls, settings: Mapping[str, Any]) -> "TinyBert":
        """See `Recipe.parse`."""
        common = Ingredients.parse(settings)
        common.require_tuning()
        stages = {it: typed(StageConfig, settings.get(it), it) for it in ("general", "intermediate", "prediction")}
        return cls(
            common=common,
            tinybert=typed(TinyBertConfig, settings.get("tinybert"), "tinybert"),
            augmentation=typed(AugmentationConfig, settings.get("augmentation"), "augmentation"),
            **stages,
        )

    def identity(self) -> dict[str, Any]:
        """See `Recipe.identity`."""
        return identity(self)

    def make(self, place: Place) -> Made:
        """See `Recipe.make`."""
        from continual.distillation.hidden import layer_map
        from continual.students.encoders.augmentation import augmented
        from continual.students.encoders.classifier import ClassificationObjective, Classifier
        from continual.students.encoders.labelled import encoded, rows_of
        from continual.students.encoders.layers import LayersObjective, TaughtStudent
        from continual.students.encoders.scoring import score_row

        common, tasks = self.common, self.common.tasks.tasks
        stages, teacher = common.stages(place), seen_teacher(common)
        classifier = Classifier(common.new_student(), common.labels, common.seed, "student")
        student = to_device(TaughtStudent(classifier, teacher.width, common.seed))
        rows, dev = rows_of(tasks, "train"), encoded(teacher, rows_of(tasks, "dev"))
        plain = teacher.tokenize(self.tinybert.plain_texts()) if self.tinybert.texts else encoded(teacher, rows).texts
        mapped = layer_map(self.tinybert.map, classifier.encoder.depth, teacher.depth)
        self._train(stages, "general", student, plain.ids.lengths, LayersObjective, teacher, mapped, plain, dev.texts)
        place.done(f"general: {len(plain)} texts")
        tuned = tuned_teacher(common, stages)
        place.done("fine_tuning: the teacher has learned the tasks")
        data = encoded(teacher, augmented(rows, teacher, self.augmentation, common.seed))
        place.done(f"augmentation: {len(data)} texts from {len(rows)}")
        taught = (LayersObjective, tuned.encoder, mapped, data.texts, dev.texts)
        self._train(stages, "intermediate", student, data.lengths, *taught)
        place.done("intermediate: layers of the tuned teacher")
        answering = (ClassificationObjective, classifier, data, dev, self._agreement(classifier, tuned, data))
        self._train(stages, "prediction", student, data.lengths, *answering)
        place.done("prediction: answers of the tuned teacher")
        models = (("teacher", tuned), ("student", classifier))
        scores = [
            stages.once(f"scores-{name}", partial(score_row, name, model.encoder, tasks, model))
            for name, model in models
        ]
        place.done("scores: on the test texts")
        return result(common, stages, scores, {"": classifier.encoder}, partial(save_heads, common, classifier))

    def _train(
        self, stages: "Stages", name: str, student: "TaughtStudent", lengths: "Tensor", kind: Any, *arguments: Any
    ) -> None:
        """One stage, unless it is left out: `kind(student, *arguments)` is its objective."""
        stage: StageConfig = getattr(self, name)
        if not stage.is_left_out:
            training = stage.of(self.common.training)
            stages.train(name, student, lambda: kind(student, *arguments), lengths, training=training)

    def _agreement(
        self, classifier: "Classifier", tuned: "Classifier", data: "Labelled"
    ) -> "Callable[[Tensor, Inside], tuple[Tensor, Mapping[str, Tensor]]]":
        from continual.distillation.hidden import prediction_loss
        from continual.students.encoders.classifier import agreement_loss
        from continual.students.encoders.inside import look_only

        loss = partial(prediction_loss, temperature=self.tinybert.temperature)

        def loss_of(rows: "Tensor", inside: "Inside") -> "tuple[Tensor, Mapping[str, Tensor]]":
            tasks = data.tasks[rows]
            given = tuned.answers(look_only(tuned.encoder, data.texts, rows), tasks)
            return agreement_loss(classifier.answers(inside, tasks), given, loss), {}

        return loss_of
