"""The pool inside Avalanche: a `Learner` with the `train` and `eval` of Avalanche's strategies."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

import continual.baselines._avalanche  # noqa: F401  (before the first import of Avalanche)

# isort: split

from avalanche.benchmarks import DatasetExperience
from avalanche.core import BasePlugin
from avalanche.training.plugins import EvaluationPlugin
from avalanche.training.templates import SupervisedTemplate

from continual.baselines._avalanche import quiet
from continual.baselines.export import unpadded
from continual.errors import LearningError
from continual.learner import Learner
from continual.pool.prompt import PromptRecord
from continual.storing import labels_for

NO_ANSWER = -1000.0
"""The logit of a label that the chosen prompt does not have, as Avalanche masks outputs."""


class PromptPoolStrategy(SupervisedTemplate):
    """Learns and answers the experiences of `export.avalanche_benchmark` with a pool of prompts.

    Training hands the experience's task to `Learner.learn`, which trains as its settings say, so Avalanche's hooks
    within a training are never called. Evaluation is Avalanche's own loop, so that its metrics can be used.

    Args:
        learner: The learner.
        told: Whether the task of an experience is told at evaluation. Otherwise every text finds its own prompt; a task
            that has not been learned is always answered so.
        eval_mb_size: Texts in a batch of the evaluation.
        plugins: Avalanche's plugins.
        evaluator: Avalanche's metrics; none by default.

    Example:
        One pool for a whole benchmark::

            benchmark = avalanche_benchmark(stream, learner.encoder)
            strategy = PromptPoolStrategy(learner=learner, evaluator=EvaluationPlugin(accuracy_metrics(stream=True)))
            for experience in benchmark.train_stream:
                strategy.train(experience)
                print(strategy.eval(benchmark.test_stream))
    """

    def __init__(
        self,
        *,
        learner: Learner,
        told: bool = False,
        eval_mb_size: int = 64,
        plugins: Sequence[BasePlugin] = (),
        evaluator: EvaluationPlugin | None = None,
    ) -> None:
        with quiet():
            super().__init__(
                model=PoolModel(learner),
                optimizer=None,  # a prompt's training has one of its own
                eval_mb_size=eval_mb_size,
                plugins=list(plugins),
                evaluator=evaluator,
            )
        self.learner = learner
        self._told = told

    def train(self, experiences: Any, eval_streams: Any = (), **kwargs: Any) -> dict[str, Any]:
        """Learns the task of an experience, or of several, one after another; see `BaseTemplate.train`.

        Raises:
            LearningError: An experience is not from `avalanche_benchmark`.
        """
        return super().train(experiences, list(eval_streams), **kwargs)

    def check_model_and_optimizer(self, **kwargs: Any) -> None:
        """Nothing grows and nothing is optimised here."""

    def _train_exp(self, experience: DatasetExperience, eval_streams: Any = None, **kwargs: Any) -> None:
        self.learner.learn(_task_of(experience))
        self.model.units |= experience.units

    def _before_eval_exp(self, **kwargs: Any) -> None:
        super()._before_eval_exp(**kwargs)
        task = _task_of(self.experience)
        told = self.learner.directory.find(task.name) if self._told else None
        self.model.begin(told, task.name, self.experience.units, "text_pair" in task.test.column_names)


class PoolModel(nn.Module):
    """What Avalanche takes for a model: tokens in, logits over all labels out; it has no weights of its own.

    Args:
        learner: Whose pool answers.

    Attributes:
        units: The output of every label that was learned.
    """

    def __init__(self, learner: Learner) -> None:
        super().__init__()
        # In a tuple, so that nn.Module does not adopt the backbone and `train` never switches its dropout on.
        self._learner = (learner,)
        self.units: dict[str, int] = {}
        self._told: PromptRecord | None = None
        self._task = ""
        self._columns: Mapping[str, int] = {}
        self._pairs = False

    def begin(self, told: PromptRecord | None, task: str, units: Mapping[str, int], pairs: bool) -> None:
        """Says what the next texts are.

        Args:
            told: The prompt that answers for their task, where that is told.
            task: The name of the task.
            units: The outputs of the labels that they may have.
            pairs: Whether they are pairs.
        """
        self._told, self._task, self._pairs = told, task, pairs
        self._columns = self.units | dict(units)

    @torch.no_grad()
    def forward(self, tokens: Tensor) -> Tensor:
        """Logits [batch, units] of tokens int64 [batch, longest, 3], see `export`; `NO_ANSWER` for unknown labels.

        Raises:
            LearningError: Nothing has been learned yet.
        """
        learner = self._learner[0]
        if not len(learner.pool):
            raise LearningError("The pool holds no prompt yet; call train() before eval().")
        view = learner.views.of(unpadded(tokens, self._pairs), keep=False)
        routes = learner.directory.routes(view.profile, self._told)
        found = torch.full((len(view), max(self._columns.values()) + 1), NO_ANSWER)
        answers = learner.predictor.logits(view, range(len(view)), [route.prompt for route in routes])
        for row, (route, logits) in enumerate(zip(routes, answers, strict=True)):
            labels = learner.pool.record(route.prompt).labels
            allowed = labels if self._told is None else labels_for(self._told, self._task)
            for label, value in zip(labels, logits, strict=True):
                if label in allowed and label in self._columns:  # a pool may hold prompts of other streams
                    found[row, self._columns[label]] = value
        return found


def _task_of(experience: Any) -> Any:
    task = getattr(experience, "text_task", None)
    if task is None:
        raise LearningError(
            "The experience has no texts to learn prompts from; make the benchmark with "
            "continual.baselines.export.avalanche_benchmark."
        )
    return task
