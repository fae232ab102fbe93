"""What all recipes for smaller models are made of: tasks, a teacher, the shape of a student, a budget."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from continual.construction import coerced, typed
from continual.errors import ConfigError
from continual.limits import above
from continual.making.recipe import Made, Place
from continual.pretraining.optimisation import OptimisationConfig, setting
from continual.students.models import ModelSpec
from continual.students.smaller import ShapeConfig
from continual.students.tasks import TasksSpec

if TYPE_CHECKING:
    from continual.backbone.encoder import Encoder
    from continual.students.stages import Stages

SECTIONS = ("stream", "tasks", "backbone", "student", "training", "fine_tuning", "seed")
COLUMNS = ("model", "parameters", "probe", "answers")


@dataclass(frozen=True)
class StageConfig:
    """What a stage does otherwise than `training` says."""

    steps: int | None = setting(None, "steps of this stage; 0 leaves it out, null takes training.steps")
    learning_rate: float | None = setting(None, "peak learning rate of this stage; null takes that of training")

    def __post_init__(self) -> None:
        if self.steps is not None and self.steps < 0:
            raise ConfigError(f"The steps of a stage are {self.steps}, expected 0 or more, or null.")
        if self.learning_rate is not None:
            above(0, self.learning_rate, "The learning_rate of a stage")

    @property
    def is_left_out(self) -> bool:
        """Whether this stage does not take place."""
        return self.steps == 0

    def of(self, training: OptimisationConfig) -> OptimisationConfig:
        """`training` with what this stage changes."""
        changes = {name: value for name, value in asdict(self).items() if value is not None}
        steps = changes.get("steps", training.steps)
        warmup = training.warmup if steps is None else max(min(training.warmup, steps // 4), 1)
        return replace(training, **changes, warmup=warmup)


@dataclass(frozen=True)
class Ingredients:
    """The settings that all recipes for smaller models share.

    Attributes:
        tasks: Tasks of the stream, in order; null: all of them.
        backbone: The teacher, or what becomes it: a name from `continual ls backbones`, a folder, or options.
        student: The student's shape.
        training: Budget and rates of each stage.
        fine_tuning: How the teacher learns the tasks, where the recipe asks for that.
        seed: Decides all that is random.
    """

    tasks: TasksSpec
    backbone: ModelSpec
    student: ShapeConfig
    training: OptimisationConfig
    fine_tuning: StageConfig
    seed: int
    _models: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def parse(cls, settings: Mapping[str, Any], kind: str = "hub") -> "Ingredients":
        """From plain settings.

        Args:
            settings: Of the recipe.
            kind: The backbone that opens a teacher which is named by a folder alone.

        Raises:
            ConfigError: A key is unknown, or a value is of the wrong type or out of range.
        """
        seed = coerced(settings.get("seed", 0), int, "seed")
        return cls(
            tasks=TasksSpec.parse(settings, seed),
            backbone=named_backbone(settings.get("backbone"), kind),
            student=typed(ShapeConfig, settings.get("student"), "student"),
            training=_training(settings.get("training")),
            fine_tuning=typed(StageConfig, settings.get("fine_tuning"), "fine_tuning"),
            seed=seed,
        )

    def identity(self) -> dict[str, Any]:
        """See `Recipe.identity`."""
        return {
            "stream": self.tasks.identity(),
            "backbone": self.backbone.identity(),
            "student": self.student.identity(),
            "training": asdict(self.training),
            "fine_tuning": asdict(self.fine_tuning),
            "seed": self.seed,
        }

    def teacher(self) -> "Encoder":
        """The teacher as it comes, frozen, loaded once.

        Raises:
            BackboneError: There is no such model.
        """
        if "teacher" not in self._models:
            self._models["teacher"] = to_device(self.backbone.load("backbone"))
        return self._models["teacher"]

    def new_student(self) -> "Encoder":
        """A new student, or one that was distilled before, ready to be trained."""
        from continual.students.smaller import smaller

        return to_device(smaller(self.teacher(), self.student, self.seed))

    @property
    def labels(self) -> list[int]:
        """How many labels each task has."""
        return [len(task.labels) for task in self.tasks.tasks]

    def stages(self, place: Place) -> "Stages":
        """The stages of this student's making."""
        from continual.students.stages import Stages

        return Stages(place, self.training, self.seed)

    def require_tuning(self) -> None:
        """Refuses a teacher that does not learn the tasks.

        Raises:
            ConfigError: `fine_tuning.steps` is 0.
        """
        if self.fine_tuning.is_left_out:
            raise ConfigError(
                "fine_tuning.steps is 0, but here the student learns the answers of a teacher that has learned the "
                "tasks; set it to 1 or more."
            )


def _training(section: Any) -> OptimisationConfig:
    """The section `training`; labels are not smoothed, since what is taught is soft already.

    Raises:
        ConfigError: Smoothing was asked for, or what `typed` refuses.
    """
    given = {"label_smoothing": 0.0, **section} if isinstance(section, Mapping) else section
    training = typed(OptimisationConfig, given or {"label_smoothing": 0.0}, "training")
    if training.label_smoothing:
        raise ConfigError(
            f"training.label_smoothing is {training.label_smoothing}, but plays no part in this recipe; set it to 0."
        )
    return training


def named_backbone(value: Any, default: str) -> ModelSpec:
    """A model from the setting `backbone`: the name of one, a folder, a name on the hub, or a mapping with options.

    Args:
        value: The setting.
        default: The backbone that opens what is named by a folder alone.
    """
    from continual.backbone import BACKBONES

    if isinstance(value, str) and value in BACKBONES:
        value = {"name": value}
    return ModelSpec.parse(value, "backbone", default)


def result(
    common: Ingredients,
    stages: "Stages",
    scores: Sequence[Mapping[str, Any]],
    students: Mapping[str, "Encoder"],
    beside: Callable[[Path], None] | None = None,
) -> Made:
    """What a recipe hands back.

    Args:
        common: Its ingredients.
        stages: Its stages, finished.
        scores: A row for each model.
        students: The students by the folder in which each is saved; an empty name is the folder itself.
        beside: Writes what else belongs into the folder.
    """
    from continual.backbone.saving import save_backbone

    tasks = [task.name for task in common.tasks.tasks]

    def save(folder: Path) -> None:
        for name, student in students.items():
            (folder / name).mkdir(exist_ok=True)
            save_backbone(student, folder / name)
        if beside is not None:
            beside(folder)

    summary = {
        "student": common.backbone.label,
        "task": ", ".join(tasks),
        "tasks": tasks,
        "scores": list(scores),
        **stages.summary(),
    }
    return Made(save, summary)


def digest(texts: Sequence[str]) -> str:
    """SHA-256 over texts: equal means that a recipe sees the same ones."""
    return hashlib.sha256("\0".join(texts).encode("utf-8", "surrogatepass")).hexdigest()


def to_device(module: Any) -> Any:
    """A module, or an encoder's model, on the GPU if there is one."""
    import torch

    weights = module if isinstance(module, torch.nn.Module) else module.model
    weights.to("cuda" if torch.cuda.is_available() else "cpu")
    return module
