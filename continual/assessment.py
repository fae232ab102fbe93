"""Measures the pool on the tests of a stream: one row of the accuracy matrix after each task."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from continual.backbone.texts import EncodedTexts
from continual.errors import RunError
from continual.evaluation.metric import find_metric
from continual.evaluation.task_metrics import TASK_METRICS, accuracy, macro_f1
from continual.files import replacing
from continual.learner import Evaluation, Learner
from continual.pool.store import PromptPool
from continual.predictor import Predictor
from continual.router import Route, route

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
        embedding: Their unit vectors, [texts, width].
    """

    texts: EncodedTexts
    labels: np.ndarray
    embedding: torch.Tensor


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
        record = self._learner.prompt_of(task.name)
        return self._score(task, [Route(record.id, 1.0, True)] * len(task.test))

    def reread(self, tasks: "Iterable[Task]") -> None:
        """Forgets what the tasks' own prompts answered and opens the pool on disk anew.

        The next `aware` scores are then measured on what is really stored, and not remembered.
        """
        encoder, pool = self._learner.encoder, self._learner.pool
        for task in tasks:
            self._predicted.pop(_key(task.name, self._learner.prompt_of(task.name).id), None)
        self._learner.predictor = Predictor(encoder, PromptPool(pool.path, encoder.fingerprint, read_only=True))

    def routed(self, task: "Task") -> TaskScore:
        """The task is not told: every text goes to the prompt with the nearest key."""
        return self._score(task, self._learner.routes(self._test(task).embedding))

    def unseen(self, task: "Task", hidden: Collection[str] = ()) -> TaskScore | None:
        """A task that has not been learned, answered by the nearest prompts with the same labels; None without any.

        Args:
            task: The task.
            hidden: Ids of prompts that must not answer.
        """
        pool = self._learner.pool
        strangers = {record.id for record in pool.records() if set(record.labels) != set(task.labels)}
        exclude = strangers | pool.superseded() | set(hidden)
        if len(exclude) == len(pool):
            return None
        return self._score(task, route(pool, self._test(task).embedding, exclude))

    def save(self) -> None:
        """Writes the remembered predictions to disk."""
        if self._memory is None or not self._predicted:
            return
        from safetensors.torch import save_file

        with replacing(self._memory) as temporary:
            save_file(self._predicted, temporary)

    def _score(self, task: "Task", routes: list[Route]) -> TaskScore:
        true = self._test(task).labels
        answers = self._labels(task, [item.prompt for item in routes])
        owners = {prompt: self._learner.pool.record(prompt).task for prompt in {item.prompt for item in routes}}
        evaluation = Evaluation(
            accuracy=accuracy(true, answers, len(task.labels)),
            macro_f1=macro_f1(true, answers, len(task.labels)),
            routed_right=float(np.mean([owners[item.prompt] == task.name for item in routes])),
            unknown=float(np.mean([not item.known for item in routes])),
            score=find_metric(TASK_METRICS, task.metric).function(true, answers, len(task.labels)),
        )
        return TaskScore(evaluation, [item.prompt for item in routes])

    def _labels(self, task: "Task", prompts: list[str]) -> np.ndarray:
        """For each text the number of the task's label that its prompt gives, or `FOREIGN`."""
        numbers = {prompt: self._numbers(task, prompt) for prompt in set(prompts)}
        known = {prompt: self._remembered(task.name, prompt, len(prompts)) for prompt in numbers}
        missing = [row for row, prompt in enumerate(prompts) if known[prompt][row] == NOT_PREDICTED]
        if missing:
            wanted = [prompts[row] for row in missing]
            view = self._learner.view(self._test(task).texts)
            answers = self._learner.predictor.logits(view, missing, wanted)
            for row, prompt, logits in zip(missing, wanted, answers, strict=True):
                known[prompt][row] = numbers[prompt][int(logits.argmax())]
        return np.array([int(known[prompt][row]) for row, prompt in enumerate(prompts)])

    def _numbers(self, task: "Task", prompt: str) -> list[int]:
        """For each label of a prompt its number among the task's labels."""
        labels = self._learner.pool.record(prompt).labels
        return [task.labels.index(label) if label in task.labels else FOREIGN for label in labels]

    def _remembered(self, task: str, prompt: str, texts: int) -> torch.Tensor:
        """What a prompt answered to each text of a task so far, [texts]; changed in place."""
        key = _key(task, prompt)
        if key not in self._predicted:
            self._predicted[key] = torch.full((texts,), NOT_PREDICTED, dtype=torch.int32)
        return self._predicted[key]

    def _test(self, task: "Task") -> _Test:
        """The task's test texts, read by the frozen model once."""
        if task.name not in self._tests:
            split = task.test
            pairs = list(split["text_pair"]) if "text_pair" in split.column_names else None
            texts = self._learner.encoder.tokenize(list(split["text"]), pairs)
            embedding = self._learner.view(texts).embedding.clone()
            self._tests[task.name] = _Test(texts, np.array(split["label"], dtype=np.int64), embedding)
        return self._tests[task.name]


def evaluate_task(learner: Learner, task: "Task", told: bool) -> Evaluation:
    """The scores of a learner on one task's test split."""
    assessor = Assessor(learner)
    return (assessor.aware(task) if told else assessor.routed(task)).evaluation


def _key(task: str, prompt: str) -> str:
    return f"{task}/{prompt}"


def _load(memory: Path | None) -> dict[str, torch.Tensor]:
    if memory is None or not memory.exists():
        return {}
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(memory)
    except SafetensorError as error:
        raise RunError(f"{memory} is damaged ({error}); delete it and resume the run, which makes it anew.") from error
