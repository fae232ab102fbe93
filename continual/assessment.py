"""Measures the pool on the tests of a stream of classifications: one row of the accuracy matrix after each task."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from continual.answers import Evaluation, TranslationEvaluation
from continual.backbone.texts import EncodedTexts
from continual.errors import RunError
from continual.evaluation.kinds import CLASSIFICATION, TRANSLATION, metric_of
from continual.evaluation.task_metrics import accuracy, macro_f1
from continual.files import replacing
from continual.learner import Learner
from continual.methods.base import TASKS
from continual.pool.prompt import PromptRecord
from continual.pool.store import PromptPool
from continual.router import Route
from continual.storing import serves
from continual.views import texts_of

if TYPE_CHECKING:
    from streams import Task

NOT_PREDICTED = -1
FOREIGN = -2
"""The prompt's answer is a label that the task does not have: wrong whatever the truth."""


@dataclass(frozen=True)
class TaskScore:
    """How the pool did on one test split.

    Attributes:
        evaluation: The scores.
        prompts: For each text the id of the prompt that was used.
    """

    evaluation: Evaluation
    prompts: list[str]


@dataclass(frozen=True)
class _Test:
    """A test split. Its view may leave the cache; what routing needs of it stays.

    Attributes:
        texts: The tokenised texts.
        labels: Their label numbers, [texts].
        profile: Of each text, [texts, 2 * width].
    """

    texts: EncodedTexts
    labels: np.ndarray
    profile: torch.Tensor


class Assessor:
    """Scores tasks on their test splits and remembers predictions of prompts that cannot change.

    Args:
        learner: Whose pool is measured.
        memory: A file that keeps the predictions over restarts, or None. What was predicted once is never
            computed again in another batch, so that a resumed run gives the same bits.
    """

    def __init__(self, learner: Learner, memory: Path | None = None) -> None:
        self._learner = learner
        self._memory = memory
        self._predicted: dict[str, torch.Tensor] = _load(memory)
        self._tests: dict[str, _Test] = {}

    def aware(self, task: "Task") -> TaskScore:
        """The task is told: its newest prompt answers."""
        record = self._learner.directory.prompt_of(task.name)
        return self._score(task, [Route(record.id, 1.0, True)] * len(task.test), told=True)

    def reread(self, tasks: "Iterable[Task]") -> None:
        """Forgets what the tasks' own prompts answered and opens the pool on disk anew.

        The next `aware` scores are then measured on what is really stored, and not remembered.
        """
        encoder, pool = self._learner.encoder, self._learner.pool
        for task in tasks:
            for told in (True, False):
                self._predicted.pop(_key(task.name, self._learner.directory.prompt_of(task.name), told), None)
        self._learner.use(PromptPool(pool.path, encoder.fingerprint, read_only=True))

    def routed(self, task: "Task") -> TaskScore:
        """The task is not told: every text is routed, see `Router.route`."""
        test = self._test(task)
        return self._score(task, self._learner.directory.routes(test.profile, pairs=test.texts.pairs))

    def unseen(self, task: "Task", told: bool, hidden: Collection[str] = ()) -> TaskScore | None:
        """A task that has not been learned, answered by the nearest prompts with the same labels; None without any.

        Args:
            task: The task.
            told: Whether a prompt that knows more labels chooses among the task's own.
            hidden: Ids of prompts that must not answer.
        """
        pool = self._learner.pool
        strangers = {record.id for record in pool.records() if not _could_answer(record, task)}
        closed = self._learner.directory.closed_to(CLASSIFICATION, self._test(task).texts.pairs)
        exclude = strangers | closed | set(hidden)
        if len(exclude) == len(pool):
            return None
        return self._score(task, self._learner.directory.router.route(self._test(task).profile, exclude), told)

    def save(self) -> None:
        """Writes the remembered predictions to disk."""
        if self._memory is None or not self._predicted:
            return
        from safetensors.torch import save_file

        with replacing(self._memory) as temporary:
            save_file(self._predicted, temporary)

    def _score(self, task: "Task", routes: list[Route], told: bool = False) -> TaskScore:
        true = self._test(task).labels
        records = {prompt: self._learner.pool.record(prompt) for prompt in {item.prompt for item in routes}}
        answers = self._labels(task, [records[item.prompt] for item in routes], told)
        evaluation = Evaluation(
            accuracy=accuracy(true, answers, len(task.labels)),
            macro_f1=macro_f1(true, answers, len(task.labels)),
            routed_right=float(np.mean([serves(records[item.prompt], task.name) for item in routes])),
            unknown=float(np.mean([not item.known for item in routes])),
            score=metric_of(CLASSIFICATION, task.metric).function(true, answers, len(task.labels)),
        )
        return TaskScore(evaluation, [item.prompt for item in routes])

    def _labels(self, task: "Task", records: list[PromptRecord], told: bool) -> np.ndarray:
        """For each text the number of the task's label that its prompt gives, or `FOREIGN`."""
        used = {record.id: record for record in records}
        known = {name: self._remembered(task.name, record, told, len(records)) for name, record in used.items()}
        missing = [row for row, record in enumerate(records) if known[record.id][row] == NOT_PREDICTED]
        if missing:
            wanted = [records[row] for row in missing]
            view = self._learner.views.of(self._test(task).texts)
            answers = self._learner.predictor.logits(view, missing, [record.id for record in wanted])
            choices = {name: _choices(task, record, told) for name, record in used.items()}
            for row, record, logits in zip(missing, wanted, answers, strict=True):
                places, numbers = choices[record.id]
                known[record.id][row] = numbers[int(logits[places].argmax())]
        return np.array([int(known[record.id][row]) for row, record in enumerate(records)])

    def _remembered(self, task: str, record: PromptRecord, told: bool, texts: int) -> torch.Tensor:
        """What a prompt answered to each text of a task so far, [texts]; changed in place."""
        key = _key(task, record, told)
        if key not in self._predicted:
            self._predicted[key] = torch.full((texts,), NOT_PREDICTED, dtype=torch.int32)
        return self._predicted[key]

    def _test(self, task: "Task") -> _Test:
        """The task's test texts, read by the frozen model once."""
        if task.name not in self._tests:
            split = task.test
            texts = texts_of(split, self._learner.encoder)
            profile = self._learner.views.of(texts).profile.clone()
            self._tests[task.name] = _Test(texts, np.array(split["label"], dtype=np.int64), profile)
        return self._tests[task.name]


def evaluate_task(learner: Learner, task: "Task", told: bool) -> Evaluation | TranslationEvaluation:
    """The scores of a learner on one task's test split."""
    from continual.translation_assessment import TranslationAssessor

    assessor = TranslationAssessor(learner) if task.kind == TRANSLATION else Assessor(learner)
    return (assessor.aware(task) if told else assessor.routed(task)).evaluation


def dev_accuracies(learner: Learner, task: "Task", prompts: Sequence[PromptRecord]) -> list[float]:
    """How well each of some prompts answers a task's dev texts, the task told."""
    true = np.array(task.dev["label"], dtype=np.int64)
    view = learner.views.of(texts_of(task.dev, learner.encoder), keep=False)
    found = []
    for record in prompts:
        places, numbers = _choices(task, record, told=True)
        logits = learner.predictor.logits(view, range(len(view)), [record.id] * len(view))
        answers = np.array([numbers[int(item[places].argmax())] for item in logits])
        found.append(accuracy(true, answers, len(task.labels)))
    return found


def _choices(task: "Task", record: PromptRecord, told: bool) -> tuple[list[int], list[int]]:
    """The outputs of a prompt that may answer, and for each the number of the task's label, or `FOREIGN`.

    Where the task is told, a prompt that serves several tasks chooses among this one's labels.
    """
    own = [label for label in record.labels if label in task.labels]
    possible = own or record.labels if told else record.labels
    places = [record.labels.index(label) for label in possible]
    return places, [task.labels.index(label) if label in task.labels else FOREIGN for label in possible]


def _could_answer(record: PromptRecord, task: "Task") -> bool:
    """Whether a prompt knows the labels of a task that it has not been trained for."""
    if TASKS in record.provenance:
        return set(task.labels) <= set(record.labels)
    return set(task.labels) == set(record.labels)


def _key(task: str, record: PromptRecord, told: bool) -> str:
    """Where answers are remembered: those of a shared prompt depend on whether the task is told."""
    return f"{task}/{record.id}" + ("/told" if told and TASKS in record.provenance else "")


def _load(memory: Path | None) -> dict[str, torch.Tensor]:
    if memory is None or not memory.exists():
        return {}
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(memory)
    except SafetensorError as error:
        raise RunError(f"{memory} is damaged ({error}); delete it and resume the run, which makes it anew.") from error
