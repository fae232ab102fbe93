"""The pool: every learned prompt in a folder of its own, and a search index over their keys.

The names below load on first use, so that importing this package costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from continual.pool.prompt import Prompt, PromptRecord
    from continual.pool.search import Hit
    from continual.pool.store import PromptPool
    from continual.pool.verify import Problem

__all__ = ["Hit", "Problem", "Prompt", "PromptPool", "PromptRecord"]

_HOMES = {
    "Hit": "continual.pool.search",
    "Problem": "continual.pool.verify",
    "Prompt": "continual.pool.prompt",
    "PromptPool": "continual.pool.store",
    "PromptRecord": "continual.pool.prompt",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
