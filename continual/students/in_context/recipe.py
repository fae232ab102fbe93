"""In-context learning distillation: a smaller causal model that learns to use demonstrations as its teacher does.

Huang et al. 2022 (arXiv 2212.10670). 1. tuning: the teacher is itself tuned in context, on the true labels.
2. distillation: the student reads the same demonstrations and queries. Under `multitask` both learn from the few
examples of all tasks and are then asked about these tasks; under `meta` they learn from all examples of some tasks and
are asked about the `held_out` ones, of which they only see few as demonstrations. That the teacher is tuned first, on
the same examples, is our reading.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from continual.construction import typed
from continual.distillation.in_context import COURSES, PARADIGMS
from continual.errors import BackboneError, ConfigError
from continual.making.recipe import Made, Place
from continual.pretraining.optimisation import setting
from continual.seeding import seed_of
from continual.students.data import check_classification
from continual.students.in_context.contexts import ContextConfig
from continual.students.ingredients import SECTIONS, Ingredients, StageConfig, result, to_device
from continual.students.recipe import identity

if TYPE_CHECKING:
    from continual.backbone.causal import Causal
    from continual.students.in_context.answering import Trial
    from continual.students.in_context.contexts import Writer, Written
    from continual.students.stages import Stages


@dataclass(frozen=True)
class InContextConfig:
    """What is learned of the teacher, and on which tasks."""

    paradigm: str = setting("multitask", "multitask: from few examples of all tasks; meta: from other tasks")
    held_out: tuple[str, ...] = setting((), "tasks that are only asked about, under meta; the last one if empty")
    soft: float = setting(0.5, "share of the teacher's distribution; the rest is the truth")
    temperature: float = setting(1.0, "what the teacher's logits are divided by")
    language: float | None = setting(
        None,
        "weight of language modelling on the texts themselves; null: 1 for multitask, 0 for meta, as the paper finds",
    )
    course: str = setting("constant", "course of that weight: constant, falling or rising")
    draws: int = setting(3, "draws of demonstrations whose majority answers a query")
    tested: int | None = setting(None, "test texts of each task that are asked, the first of them; null for all")

    def __post_init__(self) -> None:
        for name, known in (("paradigm", PARADIGMS), ("course", COURSES)):
            if getattr(self, name) not in known:
                raise ConfigError(f"in_context.{name} is {getattr(self, name)!r}, expected one of {', '.join(known)}.")
        if not 0 <= self.soft <= 1:
            raise ConfigError(f"in_context.soft is {self.soft}, expected a number in [0, 1].")
        if not self.temperature > 0 or self.draws < 1 or (self.tested is not None and self.tested < 1):
            raise ConfigError(
                "in_context.temperature has to be above 0, in_context.draws and in_context.tested 1 or more; raise it."
            )
        if self.language is None:
            object.__setattr__(self, "language", 1.0 if self.paradigm == "multitask" else 0.0)
        if not self.language >= 0:
            raise ConfigError(f"in_context.language is {self.language}, expected 0 or more, or null.")
        if not isinstance(self.held_out, list | tuple) or not all(isinstance(it, str) for it in self.held_out):
            raise ConfigError(f"in_context.held_out is {self.held_out!r}, expected a list of names of tasks.")
        object.__setattr__(self, "held_out", tuple(self.held_out))


@dataclass(frozen=True)
class InContext:
    """See `continual.students.recipe.StudentRecipe`.

    Attributes:
        common: Tasks, teacher, shape, budget.
        in_context: What is learned.
        context: How contexts are written.
        tuning: The teacher's stage.
        distillation: The student's stage.
    """

    common: Ingredients
    in_context: InContextConfig
    context: ContextConfig
    tuning: StageConfig
    distillation: StageConfig

    sections = (
        *(name for name in SECTIONS if name != "fine_tuning"),
        "in_context",
        "context",
        "tuning",
        "distillation",
    )
    parts = ("tuning", "distillation", "scores")
    columns = ("model", "parameters", "answers")

    @classmethod
    def parse(cls, settings: Mapping[str, Any]) -> "InContext":
        """See `Recipe.parse`."""
        recipe = cls(
            common=Ingredients.parse(settings, "causal"),
            in_context=typed(InContextConfig, settings.get("in_context"), "in_context"),
            context=typed(ContextConfig, settings.get("context"), "context"),
            tuning=typed(StageConfig, settings.get("tuning"), "tuning"),
            distillation=typed(StageConfig, settings.get("distillation"), "distillation"),
        )
        if recipe.distillation.is_left_out:
            raise ConfigError("distillation.steps is 0, so the student would learn nothing; set it to 1 or more.")
        if recipe.in_context.course != "constant" and recipe.distillation.of(recipe.common.training).steps is None:
            raise ConfigError(
                "in_context.course has to know the number of steps; set training.steps, or in_context.course=constant."
            )
        return recipe

    def identity(self) -> dict[str, Any]:
        """See `Recipe.identity`."""
        return identity(self)

    def make(self, place: Place) -> Made:
        """See `Recipe.make`."""
        from continual.students.in_context.contexts import Writer
        from continual.students.smaller import copied

        common, stages = self.common, self.common.stages(place)
        source = self._source()
        writer = Writer(source, self.context)
        examples, dev, test = self._material(writer)
        # An impossible student is refused before its teacher learns.
        student, teacher = common.new_student(), to_device(copied(source, "teacher"))
        if not self.tuning.is_left_out:
            self._train(stages, "tuning", teacher, None, writer, examples, dev)
        teacher.model.requires_grad_(False)
        place.done("tuning: the teacher, in context")
        taught_by = teacher if self.in_context.soft else None
        self._train(stages, "distillation", student, taught_by, writer, examples, dev)
        place.done(f"distillation: {sum(len(it.queries) for it in examples)} examples")
        models = (("teacher", teacher), ("student", student))
        scores = [
            stages.once(f"scores-{name}", partial(self._row, name, model, writer, test)) for name, model in models
        ]
        place.done("scores: on the test texts")
        return result(common, stages, scores, {"": student})

    def _source(self) -> "Causal":
        from continual.backbone.causal import Causal

        source = self.common.teacher()
        if not isinstance(source, Causal):
            raise BackboneError(
                f"The backbone {source.name!r} is no causal model, expected one such as smollm2-135m, or a folder of a "
                "GPT-2 or Llama; choose another."
            )
        return source

    def _material(self, writer: "Writer") -> "tuple[list[Written], list[Trial], list[Trial]]":
        """Training examples of each task that is learned; trials on dev and on test of each that is asked about."""
        from continual.students.in_context.answering import Trial

        learned, asked = self._roles()
        few, examples, trials = {}, [], {"dev": [], "test": []}
        for task in self.common.tasks.tasks:
            check_classification(task)
            whole = writer.written(task, task.train)
            rng = random.Random(seed_of(self.common.seed, "shots", task.name))
            few[task.name] = whole.shots(self.context.shots, rng)
            if task.name in learned:
                examples.append(few[task.name] if self.in_context.paradigm == "multitask" else whole)
            if task.name in asked:
                for split, found in trials.items():
                    queries = writer.written(task, task.split(split))
                    tested = range(len(queries.queries))[: self.in_context.tested]
                    found.append(Trial(queries.take(tested), few[task.name]))
        return examples, trials["dev"], trials["test"]

    def _roles(self) -> tuple[Sequence[str], Sequence[str]]:
        """The tasks that are learned from, and those that are asked about."""
        names = [task.name for task in self.common.tasks.tasks]
        if self.in_context.paradigm == "multitask":
            return names, names
        held_out = self.in_context.held_out or (names[-1],)
        unknown = [name for name in held_out if name not in names]
        learned = [name for name in names if name not in held_out]
        if unknown or not learned:
            raise ConfigError(
                f"in_context.held_out is [{', '.join(held_out)}], expected some, but not all, of the tasks "
                f"{', '.join(names)}; correct it."
            )
        return learned, held_out

    def _train(
        self,
        stages: "Stages",
        name: str,
        model: "Causal",
        teacher: "Causal | None",
        writer: "Writer",
        examples: "Sequence[Written]",
        trials: "Sequence[Trial]",
    ) -> None:
        from continual.students.in_context.objective import InContextObjective

        training = getattr(self, name).of(self.common.training)
        objective = InContextObjective(
            model, teacher, writer, examples, trials, self.in_context, training.steps, self.common.seed
        )
        stages.train(name, model.model, lambda: objective, objective.lengths, training=training)

    def _row(self, name: str, model: "Causal", writer: "Writer", trials: "Sequence[Trial]") -> dict[str, Any]:
        """A row of the scores: the accuracy of the majority over draws of demonstrations, and that by task."""
        from continual.students.in_context.answering import accuracy
        from continual.students.smaller import parameters

        seed, draws = self.common.seed, self.in_context.draws
        found = {trial.given.name: accuracy(model, writer, trial, draws, seed) for trial in trials}
        mean = sum(found.values()) / len(found)
        return {"model": name, "parameters": parameters(model), "answers": mean, "answers_by_task": found}
