"""Finds the prompt for a text whose task is not told."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from continual.pool.store import PromptPool

THRESHOLD = "unknown_below"
"""Where a prompt's provenance keeps the similarity below which a text is taken for a stranger."""


@dataclass(frozen=True)
class Route:
    """Where a text goes.

    Attributes:
        prompt: Id of the prompt whose keys are nearest.
        similarity: Cosine with the nearest key.
        known: False when the text is less similar than nearly all of that task's own texts: it belongs to no
            known task, and the prediction is a guess.
    """

    prompt: str
    similarity: float
    known: bool


def route(pool: PromptPool, embeddings: Tensor, exclude: Collection[str] = ()) -> list[Route]:
    """The route of every text.

    Args:
        pool: The prompts to choose from, at least one.
        embeddings: Unit vectors of the texts, [texts, width].
        exclude: Ids of prompts that must not be chosen.
    """
    thresholds: dict[str, float] = {}
    routes = []
    for (hit,) in pool.search(embeddings, 1, exclude):
        if hit.prompt_id not in thresholds:
            thresholds[hit.prompt_id] = pool.record(hit.prompt_id).provenance.get(THRESHOLD, -1.0)
        known = hit.score >= thresholds[hit.prompt_id]
        routes.append(Route(hit.prompt_id, hit.score, known))
    return routes


def stranger_threshold(keys: Tensor, own: Tensor, quantile: float) -> float:
    """The similarity below which a text is a stranger: a low quantile over held-out texts of the task.

    Args:
        keys: The prompt's keys, [keys, width].
        own: Unit vectors of dev texts, which the keys were not made from, [texts, width].
        quantile: The share of them that may fall below.
    """
    nearest = (own @ keys.T).amax(dim=1)
    return float(np.quantile(nearest.numpy(), quantile))
