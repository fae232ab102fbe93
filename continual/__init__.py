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
    from continual.learner import Learner
    from continual.pool import Prompt, PromptPool
    from continual.settings import LearnerSettings

__version__ = "0.1.0"

__all__ = [
    "Evaluation",
    "Learner",
    "LearnerSettings",
    "Prediction",
    "Prompt",
    "PromptPool",
    "Translation",
    "TranslationEvaluation",
    "__version__",
]

_HOMES = {
    "Evaluation": "continual.answers",
    "Learner": "continual.learner",
    "LearnerSettings": "continual.settings",
    "Prediction": "continual.answers",
    "Prompt": "continual.pool",
    "PromptPool": "continual.pool",
    "Translation": "continual.answers",
    "TranslationEvaluation": "continual.answers",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
