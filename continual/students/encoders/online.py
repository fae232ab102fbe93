"""Online distillation: several students that are taught while their teacher itself learns.

Wang et al. 2021, ERNIE 3.0 Titan (arXiv 2112.12731), section 5. The teacher learns the tasks; at each of its steps a
teacher assistant learns from its current pass, and every student from the assistant's, by the divergence of the last
layers' attention. Each student has an auxiliary layer on top while it is taught, which is dropped at the end.

Titan's teacher is pretrained meanwhile, and its assistant was pretrained before. Here the teacher learns labelled
tasks, all together or (`online.sequential=true`) one after another as they arrive, and the assistant begins with the
teacher's layers. Each student then lies in a folder of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from continual.construction import typed
from continual.errors import ConfigError
from continual.making.recipe import Made, Place
from continual.pretraining.optimisation import setting
from continual.students.encoders.teachers import seen_teacher
from continual.students.ingredients import COLUMNS, SECTIONS, Ingredients, StageConfig, result, to_device
from continual.students.recipe import identity
from continual.students.smaller import ShapeConfig

if TYPE_CHECKING:
    from continual.backbone.encoder import Encoder
    from continual.students.encoders.crowd import Crowd
    from continual.students.encoders.labelled import Labelled
    from continual.students.stages import Stages


@dataclass(frozen=True)
class OnlineConfig:
    """How the students are taught."""

    relation_heads: int | None = setting(
        None, "heads into which queries and keys are split to be compared; as many as the teacher has if null"
    )
    auxiliary: bool = setting(True, "give students an auxiliary layer on top while they are taught")
    sequential: bool = setting(False, "the teacher learns one task after another, and the students with it")

    def __post_init__(self) -> None:
        if self.relation_heads is not None and self.relation_heads < 1:
            raise ConfigError(f"online.relation_heads is {self.relation_heads}, expected 1 or more, or null.")


@dataclass(frozen=True)
class NamedShape(ShapeConfig):
    """The shape of one of several students."""

    name: str = setting("student", "of the student, and of its folder")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.name or "/" in self.name or self.name.startswith("."):
            raise ConfigError(f"A student is called {self.name!r}, expected a name that a folder can have.")
        if self.path is not None:
            raise ConfigError(f"The student {self.name!r} has a path, but students begin anew here; leave it out.")


@dataclass(frozen=True)
class Online:
    """See `continual.students.recipe.StudentRecipe`.

    Attributes:
        common: Tasks, teacher, budget; of its settings `student` and `fine_tuning` are not used.
        online: How the students are taught.
        assistant: The teacher assistant's shape, None for none.
        students: The students' shapes, each with a name.
        teaching: The stage, or each of the stages, in which all learn.
    """

    common: Ingredients
    online: OnlineConfig
    assistant: ShapeConfig | None
    students: tuple[NamedShape, ...]
    teaching: StageConfig

    sections = (
        *(name for name in SECTIONS if name not in ("student", "fine_tuning")),
        "online",
        "assistant",
        "students",
        "teaching",
    )
    parts = ("teaching", "scores")
    columns = COLUMNS

    @classmethod
    def parse(cls, settings: Mapping[str, Any]) -> "Online":
        """See `Recipe.parse`."""
        assistant = settings.get("assistant")
        recipe = cls(
            common=Ingredients.parse(settings),
            online=typed(OnlineConfig, settings.get("online"), "online"),
            assistant=None if assistant is None else typed(ShapeConfig, assistant, "assistant"),
            students=_students(settings.get("students")),
            teaching=typed(StageConfig, settings.get("teaching"), "teaching"),
        )
        if recipe.teaching.is_left_out:
            raise ConfigError("teaching.steps is 0, so nobody would learn anything; set it to 1 or more.")
        return recipe

    def identity(self) -> dict[str, Any]:
        """See `Recipe.identity`."""
        return identity(self)

    def make(self, place: Place) -> Made:
        """See `Recipe.make`."""
        from continual.students.encoders.classifier import Classifier
        from continual.students.encoders.crowd import Crowd
        from continual.students.encoders.labelled import encoded, rows_of
        from continual.students.encoders.scoring import score_row
        from continual.students.smaller import copied, without_last_layer

        common, tasks = self.common, self.common.tasks.tasks
        stages, source = common.stages(place), seen_teacher(common)
        teacher = Classifier(copied(source, "teacher"), common.labels, common.seed, "teacher")
        heads = self.online.relation_heads or source.model.config.num_attention_heads
        crowd = to_device(Crowd(teacher, self._assistant(source), self._taught(source), heads))
        data, dev = (encoded(source, rows_of(tasks, split)) for split in ("train", "dev"))
        self._teach(stages, crowd, data, dev)
        place.done(f"teaching: {len(data)} texts, {len(crowd.students)} students")
        students = {
            shape.name: to_device(without_last_layer(student, common.seed)) if self.online.auxiliary else student
            for shape, student in zip(self.students, crowd.students, strict=True)
        }
        row = partial(score_row, "teacher", teacher.encoder, tasks, teacher)
        scores = [stages.once("scores-teacher", row)]
        for name, student in students.items():
            scores.append(stages.once(f"scores-{name}", partial(score_row, name, student, tasks)))
        place.done("scores: on the test texts")
        return result(common, stages, scores, students)

    def _assistant(self, source: "Encoder") -> "Encoder | None":
        from continual.students.smaller import smaller

        return None if self.assistant is None else smaller(source, self.assistant, self.common.seed, "assistant")

    def _taught(self, source: "Encoder") -> "list[Encoder]":
        """The students as they are taught."""
        from continual.students.smaller import smaller

        more = int(self.online.auxiliary)
        return [
            smaller(source, replace(shape, layers=shape.layers + more), self.common.seed, shape.name)
            for shape in self.students
        ]

    def _teach(self, stages: "Stages", crowd: "Crowd", data: "Labelled", dev: "Labelled") -> None:
        from continual.students.encoders.crowd import CrowdObjective

        training = self.teaching.of(self.common.training)
        parts = list(enumerate(self.common.tasks.tasks)) if self.online.sequential else [(None, None)]
        for number, task in parts:
            own = data if number is None else data.of_task(number)
            stages.train(
                "teaching" if task is None else f"teaching-{number + 1}",
                crowd,
                partial(CrowdObjective, crowd, own, dev),
                own.lengths,
                training=training,
            )


def _students(value: Any) -> tuple[NamedShape, ...]:
    if not isinstance(value, list) or not value:
        raise ConfigError(
            f"students is {value!r}, expected a list of shapes with names; set students=[{{name: small, layers: 2}}]."
        )
    shapes = tuple(typed(NamedShape, shape, f"students[{place}]") for place, shape in enumerate(value))
    if len({shape.name for shape in shapes}) < len(shapes):
        raise ConfigError(f"Two students are called {shapes[-1].name!r}, or others alike; give each a name of its own.")
    return shapes
