"""`summary.json`: everything a run has to say about itself, as typed records.

The file is a contract with other people's tools. Fields are only ever added, never renamed; a value that is
not known (yet) is null.
"""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from continual.errors import RunError
from continual.evaluation.matrix import ScoreMatrix
from continual.evaluation.stream_metrics import average, stream_scores
from continual.evaluation.typed import MismatchError, from_json, to_json
from continual.files import read_json, write_json

FILE_NAME = "summary.json"

Rows = list[list[float | None]]


@dataclass
class Epoch:
    """One point of a training curve; `epoch` counts from 1."""

    epoch: int
    train_loss: float | None = None
    dev_accuracy: float | None = None
    dev_loss: float | None = None


@dataclass
class Stage:
    """One stage of learning a task, such as `probe`, `teacher-1` or `student`."""

    name: str
    steps: int | None = None
    seconds: float | None = None
    best_epoch: int | None = None
    curve: list[Epoch] = field(default_factory=list)


@dataclass
class Source:
    """An old prompt that a new one was made from, with the score by which it was chosen."""

    prompt: str
    score: float | None = None


@dataclass
class Candidate:
    """An old prompt that was considered, with its score under each transferability metric."""

    prompt: str
    scores: dict[str, float | None] = field(default_factory=dict)


@dataclass
class Sample:
    """A test sentence with its reference, and what was written with the task told and not told."""

    source: str
    reference: str
    aware: str | None = None
    routed: str | None = None


@dataclass
class TaskRecord:
    """How one task was learned, and how it is done at last by its own metric, with the task told and not told.

    `dev_accuracy` is the share of right labels, of a translation that of right tokens, each given those before it.
    """

    task: str
    prompt: str | None = None
    train_examples: int | None = None
    dev_examples: int | None = None
    test_examples: int | None = None
    steps: int | None = None
    seconds: float | None = None
    sources: list[Source] = field(default_factory=list)
    macro_f1: float | None = None
    dev_accuracy: float | None = None
    candidates: list[Candidate] = field(default_factory=list)
    stages: list[Stage] = field(default_factory=list)
    train_seconds: float | None = None
    evaluate_seconds: float | None = None
    metric: str | None = None
    score: float | None = None
    routed_score: float | None = None
    chrf: float | None = None
    samples: list[Sample] = field(default_factory=list)


@dataclass
class Scores:
    """The matrix of a run and the numbers made from it (definitions: `stream_metrics`).

    The metric of `matrix` is `Summary.metric`. Beside it stands a second one: `macro_f1` is the mean final macro-F1 of
    a classification and `macro_f1_matrix` has the shape of `matrix`; of a translation these are null and there are
    `chrf` and `chrf_matrix`. `own_metric` is the mean over the learned tasks of what each scores at last by its own
    metric (`per_task[].metric`). `extra` has the values of stream metrics that were registered from outside, by name.
    """

    matrix: Rows
    average: float | None = None
    learning: float | None = None
    anytime: float | None = None
    forgetting: float | None = None
    bwt: float | None = None
    fwt: float | None = None
    macro_f1: float | None = None
    macro_f1_matrix: Rows | None = None
    own_metric: float | None = None
    chrf: float | None = None
    chrf_matrix: Rows | None = None
    extra: dict[str, float | None] = field(default_factory=dict)

    @classmethod
    def measured(
        cls, matrix: ScoreMatrix, second: ScoreMatrix | None = None, name: str = "macro_f1", **more: Any
    ) -> Self:
        """The scores that follow from the matrices.

        Args:
            matrix: Of the main metric.
            second: Of the second one, called `name`.
            name: `macro_f1` or `chrf`.
            **more: The further fields of a subclass.
        """
        beside = {} if second is None else {name: average(second), f"{name}_matrix": second.to_json()}
        named = {item.name for item in fields(Scores)}
        found = stream_scores(matrix)
        own = {key: value for key, value in found.items() if key in named}
        extra = {key: value for key, value in found.items() if key not in named}
        return cls(matrix=matrix.to_json(), extra=extra, **own, **beside, **more)


@dataclass
class Confusion:
    """How often a text of each task (rows) was routed to each prompt (columns)."""

    tasks: list[str]
    prompts: list[str]
    counts: list[list[int]]


@dataclass
class RoutedScores(Scores):
    """Scores where the program had to find out which task a text belongs to.

    `routing_accuracy` and `unknown_rate` are shares of the test texts of the learned tasks: sent to a prompt
    of their own task, and marked as belonging to no known task.
    """

    routing_accuracy: float | None = None
    confusion: Confusion | None = None
    unknown_rate: float | None = None


@dataclass
class Seconds:
    """Time over all sessions of a run, in seconds: of the wall clock, and of processors.

    `cpu` is what all threads of the run's process and its finished children computed, whatever else the machine did;
    null for runs that were begun by a version which did not measure it.
    """

    train: float | None = None
    evaluate: float | None = None
    total: float | None = None
    cpu: float | None = None


@dataclass
class TokensPerSecond:
    """How fast translations are learned and written, in tokens; null in classifications.

    Training counts the tokens of sources and targets once an epoch, generation the tokens written, ends included.
    """

    train: float | None = None
    generate: float | None = None


@dataclass
class Summary:
    """A whole run.

    `metric` is that of `matrix`: `accuracy`, or `bleu` divided by 100, with sacreBLEU's `signatures` of what it scored.
    `tuning` names what is trained for each task (`late`, `prefix`, ...). `notes` are sentences for the
    reader, such as that the tracking server could not be reached. `growth` tells, for each task after which it was
    asked whether the backbone must grow: `task`, `reason`, `evidence` (of the test of capacity and of the growth),
    `from` and `to` (sizes; null where it did not grow) and `seconds` (of the test, the growth and learning again).
    """

    run: str
    stream: str
    method: str
    backbone: str
    seed: int
    tasks: list[str]
    aware: Scores
    routed: RoutedScores | None = None
    metric: str = "accuracy"
    tuning: str | None = None
    per_task: list[TaskRecord] = field(default_factory=list)
    seconds: Seconds = field(default_factory=Seconds)
    examples_per_second: float | None = None
    trainable_parameters_per_task: int | None = None
    peak_memory_mb: float | None = None
    finished: bool = False
    signatures: dict[str, str] = field(default_factory=dict)
    tokens_per_second: TokensPerSecond = field(default_factory=TokensPerSecond)
    versions: dict[str, str | None] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    growth: list[dict[str, Any]] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """The JSON object that `summary.json` holds."""
        return to_json(self)

    @classmethod
    def from_dict(cls, value: Any) -> Self:
        """The summary in a JSON object.

        Raises:
            ValueError: A field is absent, of the wrong type, or a table has the wrong shape; the message
            names it.
        """
        summary = from_json(cls, value)
        summary.check()
        return summary

    def check(self) -> None:
        """Makes sure that the tables fit the tasks.

        Raises:
            ValueError: They do not; the message names the table.
        """
        size = len(self.tasks)
        if len(set(self.tasks)) != size:
            raise MismatchError(f"tasks should be unique names, found {self.tasks}")
        for name, scores in {"aware": self.aware, "routed": self.routed}.items():
            if scores is not None:
                _check_shape(f"{name}.matrix", scores.matrix, size + 1, size)
                _check_shape(f"{name}.macro_f1_matrix", scores.macro_f1_matrix, size + 1, size)
                _check_shape(f"{name}.chrf_matrix", scores.chrf_matrix, size + 1, size)
        if self.routed is not None and self.routed.confusion is not None:
            table = self.routed.confusion
            _check_shape("routed.confusion.counts", table.counts, len(table.tasks), len(table.prompts))

    def write(self, run_dir: Path) -> Path:
        """Writes `summary.json` into the folder of the run, whole or not at all, and returns its path."""
        self.check()
        path = run_dir / FILE_NAME
        write_json(path, self.to_dict())
        return path


def load_summary(run_dir: Path | str) -> Summary:
    """Reads the summary of a run.

    Args:
        run_dir: The folder of the run, or the path of its `summary.json`.

    Raises:
        RunError: There is none, or it cannot be understood.
    """
    folder = Path(run_dir)
    path = folder if folder.is_file() else folder / FILE_NAME
    try:
        value = read_json(path)
    except FileNotFoundError:
        raise RunError(_absent(folder)) from None
    except OSError as error:
        raise RunError(f"Could not read {path}: {error.strerror or error}; check its permissions.") from error
    except ValueError as error:
        raise _damaged(path, f"it should be JSON, but {error}") from error
    try:
        return Summary.from_dict(value)
    except ValueError as error:
        raise _damaged(path, str(error)) from error


def _damaged(path: Path, why: str) -> RunError:
    remedy = f"delete the file and run `continual resume {path.parent}` to write it again"
    return RunError(f"{path} is not the summary of a run: {why}; {remedy}.")


def _absent(folder: Path) -> str:
    if not folder.exists():
        return f"There is no run at {folder}; give the folder of a run, such as runs/NAME."
    if not folder.is_dir():
        return f"Expected the folder of a run, found {folder}; give the folder that holds {FILE_NAME}."
    inside = sorted(child.name for child in folder.iterdir() if (child / FILE_NAME).is_file())
    if inside:
        return f"{folder} is not a run but holds runs; give one of them, such as {folder / inside[0]}."
    return (
        f"There is no {FILE_NAME} in {folder}, where it is written after the first task; start or continue "
        f"the run with `continual resume {folder}`, or give the folder of another run."
    )


def _check_shape(name: str, table: list[list[Any]] | None, rows: int, columns: int) -> None:
    if table is None:
        return
    if len(table) != rows:
        raise MismatchError(f"{name} should have {rows} rows, found {len(table)}")
    for index, row in enumerate(table):
        if len(row) != columns:
            raise MismatchError(f"{name}[{index}] should have {columns} numbers, found {len(row)}")
