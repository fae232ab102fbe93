"""How a training of a baseline went, in the words of a run."""

from dataclasses import asdict
from typing import Any

from continual.baselines.model import Classifier
from continual.evaluation.summary import Stage
from continual.participant import LearnedTask
from continual.training.loop import FitResult


def stage_record(result: FitResult) -> dict[str, Any]:
    """A training as `summary.json` shows it."""
    return asdict(Stage(result.stage, result.steps, result.seconds, result.best_epoch)) | {"curve": result.curve}


def fine_tuned(
    result: FitResult, model: Classifier, seconds: float, train: int, dev: int, prompt: str | None = None
) -> LearnedTask:
    """How a task was learned by one training.

    Args:
        result: The training.
        model: What was trained, with the same weights trainable as then.
        seconds: Wall time of this session; that of earlier ones is in the result.
        train: Texts that were learned from.
        dev: Texts that chose the epoch.
        prompt: Id of the model, where each task has one of its own.
    """
    return LearnedTask(
        train_examples=train,
        dev_examples=dev,
        seconds=seconds + result.earlier_seconds,
        examples_seen=train * (len(result.curve) - 1),
        trained_parameters=sum(value.numel() for value in model.trained().values()),
        dev_accuracy=result.dev_accuracy,
        stages=[stage_record(result)],
        prompt=prompt,
    )
