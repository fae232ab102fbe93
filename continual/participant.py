"""What a run asks to learn tasks and to answer their tests: the pool, or a baseline.

A run (`run.py`) feeds tasks, keeps the matrix, saves and reports. Who learns is behind `Participant`, so that every
method is measured in the same way, on the same texts and with the same budget.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from continual.errors import ConfigError, RunError
from continual.registry import Registry, no_such

if TYPE_CHECKING:
    from continual.backbone.encoder import Encoder
    from continual.methods.base import Method
    from continual.settings import LearnerSettings
    from continual.training.checkpoint import Checkpoints
    from continual.training.watch import Watcher
    from streams import StreamManager, Task


@dataclass(frozen=True)
class SplitScore:
    """How one test split was answered.

    Attributes:
        main: By the main metric of the task's kind, see `evaluation.kinds`: accuracy, or BLEU from 0 to 1.
        second: By the second one: macro-F1 or chrF; None where that is not measured.
        prompts: For each text what was chosen to answer it, by id; None where nothing is chosen.
        own: Share of texts for which something of their own task was chosen; None likewise.
        unknown: Share of texts marked as belonging to no known task; None where nobody asks that.
        score: By the task's own metric; None where that is not measured.
        samples: Some of the texts with what should be written and what was: (source, reference, hypothesis).
        written_tokens: Tokens that were written for this score, not counting what was remembered.
        write_seconds: What that took.
    """

    main: float
    second: float | None
    prompts: list[str] | None = None
    own: float | None = None
    unknown: float | None = None
    score: float | None = None
    samples: list[tuple[str, str, str]] = field(default_factory=list)
    written_tokens: int = 0
    write_seconds: float = 0.0


@dataclass(frozen=True)
class TaskScores:
    """How a test split was answered with the task told and not told; None where it was not measured."""

    aware: SplitScore | None
    routed: SplitScore | None


@dataclass(frozen=True)
class LearnedTask:
    """How one task was learned.

    Attributes:
        train_examples: Texts that were learned from, those of earlier tasks included.
        dev_examples: Texts that chose the epoch.
        seconds: Wall time, over all sessions.
        examples_seen: Training texts times epochs, over all trainings.
        trained_parameters: How many numbers were trained; None where nothing was.
        dev_accuracy: Accuracy on dev of what was kept.
        stages: The trainings, as records of `summary.Stage`.
        prompt: Id of the prompt or model that was stored for the task alone, if there is one.
        sources: The prompts that it was made from, as records of `summary.Source`.
        candidates: The prompts that were considered, as records of `summary.Candidate`.
        growth: Whether the backbone grew for it and why, as an item of `Summary.growth`; None where that was not asked.
        tokens_seen: Tokens of the examples seen.
    """

    train_examples: int
    dev_examples: int
    seconds: float
    examples_seen: int
    trained_parameters: int | None
    dev_accuracy: float | None
    stages: list[dict[str, Any]]
    prompt: str | None = None
    sources: list[dict[str, Any]] = field(default_factory=list)
    candidates: list[dict[str, Any]] = field(default_factory=list)
    growth: dict[str, Any] | None = None
    tokens_seen: int = 0


class Participant(Protocol):
    """Learns the tasks of one run, one after another, and answers their tests.

    Whatever a participant is asked may be asked again after a kill, in a new process, and must give the same bits.

    Attributes:
        tuning: Name of what is trained for each task; None where that is a whole model.
    """

    tuning: str | None

    @property
    def artifacts(self) -> tuple[str, ...]:
        """Names of what it keeps in the run's folder and the tracker should get."""

    @property
    def notes(self) -> list[str]:
        """Sentences for the summary."""

    def prompts(self) -> list[str]:
        """Ids of everything that a text could be routed to."""

    def check(self, learned: int) -> None:
        """Makes sure that what is on disk belongs to a run that has noted `learned` tasks.

        Raises:
            RunError: It does not.
        """

    def stored(self, task: "Task", position: int) -> LearnedTask | None:
        """How the task was learned, where that is on disk already although the run was killed before it noted it."""

    def learn(self, task: "Task", position: int, checkpoints: "Checkpoints", watcher: "Watcher") -> LearnedTask:
        """Learns the task at place `position` (from 0) of the stream and puts what was learned on disk, whole.

        Raises:
            Interrupted: The watcher was asked to stop.
        """

    def untaught(self, task: "Task") -> SplitScore:
        """How a task is answered by who has learned nothing at all: a guess, or the backbone's own translations."""

    def unseen(self, task: "Task", learned: int) -> TaskScores | None:
        """Answers a task that is not learned yet, after `learned` others; None where nothing knows its labels."""

    def scores(self, task: "Task", learned: int) -> TaskScores:
        """Answers a learned task, after `learned` tasks."""

    def reread(self, tasks: "Iterable[Task]") -> None:
        """Forgets what it has in memory: the next scores of the tasks are measured on what is on disk."""

    def save(self) -> None:
        """Writes what it remembers of its answers, so that nothing is computed twice."""

    def finish(self) -> None:
        """The run is over: removes what was needed only to continue it."""


def method_registry(name: str) -> Registry:
    """The registry that knows a method: that of our methods, or that of the baselines.

    Raises:
        ConfigError: There is no such method.
    """
    from continual.baselines import BASELINES
    from continual.methods import METHODS

    found = [registry for registry in (METHODS, BASELINES) if name in registry]
    if not found:
        raise ConfigError(no_such("method", name, [*METHODS, *BASELINES]))
    if len(found) > 1:
        raise ConfigError(f"{name!r} names a method and a baseline; give one of them another name.")
    return found[0]


def is_baseline(name: str) -> bool:
    """Whether a method is a baseline, which works without a pool.

    Raises:
        ConfigError: There is no such method.
    """
    from continual.baselines import BASELINES

    return method_registry(name) is BASELINES


def method_of_pool(spec: Mapping[str, Any]) -> "Method":
    """The method that learns prompts for a pool, as a config section describes it.

    Raises:
        ConfigError: There is no such method, an option is refused, or it is a baseline, which has no pool.
    """
    from continual.construction import construct_named
    from continual.methods import METHODS

    name = spec.get("name", "")
    if is_baseline(name):
        raise ConfigError(
            f"method={name} is a baseline, which keeps no prompts that a learner could answer by; run it with "
            f"continual.Run, or on the command line: continual run STREAM method={name}."
        )
    return construct_named(METHODS, spec, "method")


def check_settings(settings: "LearnerSettings", encoder: "Encoder") -> None:
    """Refuses settings with which nothing could be learned, before anything is.

    Raises:
        ConfigError: A setting is unknown or out of range.
        BackboneError: The backbone cannot do what is asked of it.
    """
    from continual.baselines import BASELINES
    from continual.construction import construct_named
    from continual.growth.refusals import check_growth
    from continual.methods import METHODS
    from continual.transfer import TRANSFERABILITY
    from continual.tuning import build_tuning

    if is_baseline(settings.method.get("name", "")):
        check_growth(settings, encoder)
        _check_noise(settings, encoder)
        construct_named(BASELINES, settings.method, "method").check(encoder)
        return
    tuning = build_tuning(settings.tuning)
    construct_named(METHODS, settings.method, "method").check_tuning(tuning)
    TRANSFERABILITY.entry(settings.transfer.metric)
    tuning.entry(encoder)
    check_growth(settings, encoder)


def check_length(settings: "LearnerSettings", tasks: int) -> None:
    """Refuses settings that do not fit a stream of so many tasks, before anything is learned.

    Raises:
        ConfigError: A task at which the backbone is to grow never comes, or a baseline's option does not allow so many.
    """
    from continual.baselines import BASELINES
    from continual.construction import construct_named
    from continual.growth.refusals import check_schedule

    check_schedule(settings, tasks)
    if is_baseline(settings.method.get("name", "")):
        construct_named(BASELINES, settings.method, "method").check_length(tasks)


def _check_noise(settings: "LearnerSettings", encoder: "Encoder") -> None:
    """A baseline that ignored HyPe's setting would be taken for one that was trained with it."""
    from continual.baselines import BASELINES

    name = settings.method["name"]
    if not settings.training.perturbs:
        return
    if not BASELINES.load(name).trains_backbone:
        raise ConfigError(
            f"The method {name!r} trains no layer, so training.hype={settings.training.hype} would do nothing; leave "
            "it out."
        )
    encoder.check_perturbed()


def check_task(settings: "LearnerSettings", encoder: "Encoder", task: "Task") -> None:
    """Refuses a task that cannot be learned, before anything is.

    Raises:
        LearningError: The method cannot learn it on this backbone.
        BackboneError: Nothing can be written under prompts of this tuning.
        ConfigError: There is no such metric as the task's, or the tuning cannot steer a generative model.
    """
    from continual.baselines import BASELINES
    from continual.checks import check_baseline, check_growing, check_learning
    from continual.methods import METHODS
    from continual.tuning import build_tuning

    name = settings.method.get("name", "")
    if is_baseline(name):
        check_baseline(BASELINES.load(name), encoder, task)
        return
    check_growing(settings, task)
    check_learning(METHODS.load(name), build_tuning(settings.tuning), settings.answers, encoder, task)


def guess(task: "Task") -> SplitScore:
    """How a classification is answered by chance."""
    return SplitScore(1 / len(task.labels), None)


def open_participant(
    folder: Path, run_id: str, encoder: "Encoder", settings: "LearnerSettings", stream: "StreamManager"
) -> Participant:
    """Who learns in a run.

    Args:
        folder: The run's folder.
        run_id: What tells the run from every other.
        encoder: The backbone.
        settings: How tasks are learned.
        stream: All tasks of the run.
    """
    from continual.growth.refusals import check_growth, check_schedule
    from continual.team import current_team

    name = settings.method.get("name", "")
    if settings.growth.active:
        check_growth(settings, encoder)
        check_schedule(settings, len(stream))
    if not is_baseline(name):
        from continual.pooled import PooledParticipant

        return PooledParticipant(folder, run_id, encoder, settings)
    if current_team().size > 1:
        raise RunError(f"The method {name!r} is a baseline, which learns in one process; start it without a launcher.")
    _check_noise(settings, encoder)
    from continual.baselines import BASELINES
    from continual.baselines.base import Bench
    from continual.construction import construct_named

    return construct_named(BASELINES, settings.method, "method").open(Bench(folder, encoder, settings, stream))
