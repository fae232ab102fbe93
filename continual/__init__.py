"""Continual learning for streaming text tasks: a pool of soft prompts on one frozen language model.

    >>> import continual
    >>> continual.__version__.count(".")
    2

The names below load on first use, so that importing this package costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from continual.answers import Evaluation, Prediction, Translation, TranslationEvaluation
    from continual.backbone.generation import Decoding
    from continual.backbone.opening import open_backbone
    from continual.backbone.readout import Readout
    from continual.config import RunConfig, compose
    from continual.deployment import open_learner
    from continual.errors import (
        BackboneError,
        ConfigError,
        Interrupted,
        LearningError,
        PoolError,
        RunError,
        StorageError,
        StreamError,
        UserError,
    )
    from continual.growth.config import GrowthConfig
    from continual.learner import Learner
    from continual.methods.base import Learned, Lesson, Method
    from continual.pool import Prompt, PromptPool
    from continual.run import Run
    from continual.settings import LearnerSettings, RoutingConfig, TransferConfig
    from continual.training.config import TrainingConfig

__version__ = "0.1.0"

__all__ = [
    "BackboneError",
    "ConfigError",
    "Decoding",
    "Evaluation",
    "GrowthConfig",
    "Interrupted",
    "Learned",
    "Learner",
    "LearnerSettings",
    "LearningError",
    "Lesson",
    "Method",
    "PoolError",
    "Prediction",
    "Prompt",
    "PromptPool",
    "Readout",
    "RoutingConfig",
    "Run",
    "RunConfig",
    "RunError",
    "StorageError",
    "StreamError",
    "TrainingConfig",
    "TransferConfig",
    "Translation",
    "TranslationEvaluation",
    "UserError",
    "__version__",
    "compose",
    "open_backbone",
    "open_learner",
]

_HOMES = {
    "BackboneError": "continual.errors",
    "ConfigError": "continual.errors",
    "Decoding": "continual.backbone.generation",
    "Evaluation": "continual.answers",
    "GrowthConfig": "continual.growth.config",
    "Interrupted": "continual.errors",
    "Learned": "continual.methods.base",
    "Learner": "continual.learner",
    "LearnerSettings": "continual.settings",
    "LearningError": "continual.errors",
    "Lesson": "continual.methods.base",
    "Method": "continual.methods.base",
    "PoolError": "continual.errors",
    "Prediction": "continual.answers",
    "Prompt": "continual.pool",
    "PromptPool": "continual.pool",
    "Readout": "continual.backbone.readout",
    "RoutingConfig": "continual.settings",
    "Run": "continual.run",
    "RunConfig": "continual.config",
    "RunError": "continual.errors",
    "StorageError": "continual.errors",
    "StreamError": "continual.errors",
    "TrainingConfig": "continual.training.config",
    "TransferConfig": "continual.settings",
    "Translation": "continual.answers",
    "TranslationEvaluation": "continual.answers",
    "UserError": "continual.errors",
    "compose": "continual.config",
    "open_backbone": "continual.backbone.opening",
    "open_learner": "continual.deployment",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
