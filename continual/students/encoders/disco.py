"""DisCo: a smaller encoder whose vectors of texts lie where its teacher's lie.

Gao et al. 2021, "DistilCSE" (arXiv 2112.05638, called DisCo in its first version). 1. distillation: the student's
vector of a text, projected to the teacher's width, is to be nearest to the teacher's own vector of it among those of
many texts. 2. contrast: the student alone, without the projection, learns from triplets. The projection is thrown
away.

The paper takes a text's vector from the pooler over [CLS]; here it is the backbone's own (`backbone.pooling`), because
pool keys and routing read that. Its triplets come from inference corpora; here from a file of such, or from the labels
of the tasks: an anchor, a text of the same label, a text of another. Texts of the anchor's own label are then no
negatives.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from continual.construction import typed
from continual.errors import ConfigError
from continual.files import lines_of
from continual.limits import above, at_least
from continual.making.recipe import Made, Place
from continual.pretraining.optimisation import setting
from continual.students.encoders.teachers import seen_teacher
from continual.students.ingredients import SECTIONS, Ingredients, StageConfig, digest, result, to_device
from continual.students.recipe import identity

if TYPE_CHECKING:
    from continual.backbone.encoder import Encoder
    from continual.students.encoders.triplets import Triplets


@dataclass(frozen=True)
class DiscoConfig:
    """How vectors are compared."""

    bank: int = setting(
        4096, "vectors of earlier texts that are compared with as well; the released script keeps 65,536"
    )
    mse: float = setting(
        0.0, "weight of the mean squared error beside the contrast; the paper's baseline with disco.weight=0"
    )
    weight: float = setting(1.0, "weight of the contrast in the distillation")
    sharpness: float = setting(20.0, "inverse temperature of the second stage at its start")
    triplets: str | None = setting(
        None, "file of tab-separated anchor, positive and negative, one triplet a line; made from the labels if null"
    )

    def __post_init__(self) -> None:
        for name in ("bank", "mse", "weight"):
            at_least(0, getattr(self, name), f"disco.{name}")
        if not self.mse + self.weight > 0:
            raise ConfigError("disco.mse and disco.weight are 0, so nothing would be learned; set one above 0.")
        above(0, self.sharpness, "disco.sharpness")

    def read_triplets(self) -> list[tuple[str, str, str]]:
        """The triplets of the file, none where no file is set.

        Raises:
            ConfigError: It cannot be read, or a line has no three texts.
        """
        if not self.triplets:
            return []
        try:
            lines = lines_of(Path(self.triplets).read_bytes())
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"disco.triplets is {self.triplets!r}, which cannot be read ({error}).") from error
        numbered = [(number, tuple(line.split("\t"))) for number, line in enumerate(lines, 1) if line.strip()]
        for number, row in numbered:
            if len(row) != 3 or not all(text.strip() for text in row):
                raise ConfigError(f"Line {number} of {self.triplets} has {len(row)} texts, expected three; correct it.")
        if not numbered:
            raise ConfigError(f"The file {self.triplets} holds no triplet; give another, or null.")
        return [row for _, row in numbered]

    def identity(self) -> dict[str, Any]:
        """Plain values that decide the student; a digest of the triplets in the place of their file's path."""
        return asdict(self) | {"triplets": digest(["\t".join(row) for row in self.read_triplets()])}


@dataclass(frozen=True)
class Disco:
    """See `continual.students.recipe.StudentRecipe`.

    Attributes:
        common: Tasks, teacher, shape, budget.
        disco: How vectors are compared.
        distillation: The first stage.
        contrast: The second stage.
    """

    common: Ingredients
    disco: DiscoConfig
    distillation: StageConfig
    contrast: StageConfig

    sections = (*(name for name in SECTIONS if name != "fine_tuning"), "disco", "distillation", "contrast")
    parts = ("distillation", "contrast", "scores")
    columns = ("model", "parameters", "probe", "similarity")

    @classmethod
    def parse(cls, settings: Mapping[str, Any]) -> "Disco":
        """See `Recipe.parse`."""
        return cls(
            common=Ingredients.parse(settings),
            disco=typed(DiscoConfig, settings.get("disco"), "disco"),
            distillation=typed(StageConfig, settings.get("distillation"), "distillation"),
            contrast=typed(StageConfig, settings.get("contrast"), "contrast"),
        )

    def identity(self) -> dict[str, Any]:
        """See `Recipe.identity`."""
        return identity(self)

    def make(self, place: Place) -> Made:
        """See `Recipe.make`."""
        from continual.students.encoders.labelled import encoded, rows_of
        from continual.students.encoders.scoring import score_row, similarity, vectors_of
        from continual.students.encoders.vectors import BankedStudent, TripletObjective, TripletStudent, VectorObjective

        common, tasks = self.common, self.common.tasks.tasks
        stages, teacher, student = common.stages(place), seen_teacher(common), common.new_student()
        data, dev = (encoded(teacher, rows_of(tasks, split)) for split in ("train", "dev"))
        taught = to_device(BankedStudent(student, teacher.width, self.disco.bank, common.seed))
        if not self.distillation.is_left_out:
            stages.train(
                "distillation",
                taught,
                lambda: VectorObjective(
                    taught, (data, vectors_of(teacher, data)), (dev, vectors_of(teacher, dev)), self.disco
                ),
                data.lengths,
                training=self.distillation.of(common.training),
            )
        place.done(f"distillation: {len(data)} texts")
        triplets = self._triplets(student)
        sharp = to_device(TripletStudent(student, self.disco.sharpness))
        if not self.contrast.is_left_out:
            stages.train(
                "contrast",
                sharp,
                lambda: TripletObjective(sharp, triplets, dev, common.seed),
                triplets.lengths,
                training=self.contrast.of(common.training),
            )
        place.done(f"contrast: {len(triplets)} anchors")

        def row(name: str, model: "Encoder") -> dict[str, Any]:
            return score_row(name, model, tasks) | {"similarity": similarity(model, teacher, dev)}

        models = (("teacher", teacher), ("student", student))
        scores = [stages.once(f"scores-{name}", partial(row, name, model)) for name, model in models]
        place.done("scores: on the test texts")
        return result(common, stages, scores, {"": student})

    def _triplets(self, student: "Encoder") -> "Triplets":
        from continual.students.encoders.labelled import encoded, rows_of
        from continual.students.encoders.triplets import FileTriplets, LabelTriplets

        rows = self.disco.read_triplets()
        if rows:
            return FileTriplets([student.tokenize(list(column)) for column in zip(*rows, strict=True)])
        tasks = self.common.tasks.tasks
        return LabelTriplets(encoded(student, rows_of(tasks, "train")), [task.name for task in tasks])
