"""Finds the prompt for a text whose task is not told."""

from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from continual.backbone.frozen import embedding_of
from continual.discriminant import Cloud, Discriminant
from continual.pool.keys import nearest_key
from continual.pool.search import Hit
from continual.pool.store import PromptPool

THRESHOLD = "unknown_below"
"""Where a prompt's provenance keeps the similarity below which a text is taken for a stranger."""

CANDIDATES = 32
"""Prompts that a text may go to: those of the nearest keys."""

_SHAPED_BY = 256
"""Prompts, oldest first, whose clouds decide the shape of all: so many that more would hardly change it."""

_KEPT = 4096
"""Clouds that stay in memory, of MiniLM 215 MB; those that were not asked for longest leave first."""


@dataclass(frozen=True)
class Route:
    """Where a text goes.

    Attributes:
        prompt: Id of the prompt.
        similarity: Cosine with the nearest key of it.
        known: False when the text is less similar than nearly all of that task's own texts: it belongs to no
            known task, and the prediction is a guess.
    """

    prompt: str
    similarity: float
    known: bool


class Router:
    """Sends texts to prompts of a pool.

    What it has read of prompts stays in memory, since they never change.

    Args:
        pool: The prompts.
    """

    def __init__(self, pool: PromptPool) -> None:
        self._pool = pool
        self._clouds: OrderedDict[str, Cloud | None] = OrderedDict()
        self._shape: tuple[int, Discriminant | None] | None = None

    def route(self, profiles: Tensor, exclude: Collection[str] = ()) -> list[Route]:
        """The route of every text: of the prompts with the nearest keys that whose texts lie around it most densely.

        Where one of these stored no cloud (a prompt of an older version), the nearest key decides.

        Args:
            profiles: Of the texts, [texts, 2 * width], see `FrozenView`.
            exclude: Ids of prompts that must not be chosen; at least one is left.
        """
        chosen = self._chosen(profiles, self._pool.search(embedding_of(profiles), CANDIDATES, exclude))
        records = {name: self._pool.record(name) for name in {hit.prompt_id for hit in chosen}}
        thresholds = {name: record.provenance.get(THRESHOLD, -1.0) for name, record in records.items()}
        return [Route(hit.prompt_id, hit.score, hit.score >= thresholds[hit.prompt_id]) for hit in chosen]

    def _chosen(self, profiles: Tensor, found: Sequence[Sequence[Hit]]) -> list[Hit]:
        """One of the hits of each text."""
        wanted = sorted({hit.prompt_id for hits in found for hit in hits})
        discriminant = self._discriminant() if len(wanted) > 1 else None
        clouds = {name: cloud for name in wanted if discriminant and (cloud := self._cloud(name)) is not None}
        if discriminant is None or not clouds:
            return [hits[0] for hits in found]
        scores = discriminant.scores(profiles, [*clouds.values()]).tolist()
        return [_densest(hits, dict(zip(clouds, row, strict=True))) for hits, row in zip(found, scores, strict=True)]

    def _discriminant(self) -> Discriminant | None:
        """Of the pool as it is now, whatever texts are asked about; None where no prompt has a cloud."""
        size = len(self._pool)  # prompts are added and never taken away or changed
        if self._shape is None or self._shape[0] != size:
            superseded = self._pool.superseded()
            names = [name for name in self._pool.ids() if name not in superseded][:_SHAPED_BY]
            clouds = [cloud for name in names if (cloud := self._cloud(name)) is not None]
            self._shape = size, Discriminant(clouds) if clouds else None
        return self._shape[1]

    def _cloud(self, name: str) -> Cloud | None:
        if name not in self._clouds:
            self._clouds[name] = Cloud.stored(self._pool.get(name).tensors)
            if len(self._clouds) > _KEPT:
                self._clouds.popitem(last=False)
        self._clouds.move_to_end(name)
        return self._clouds[name]


def _densest(hits: Sequence[Hit], scores: Mapping[str, float]) -> Hit:
    """The hit with the best score, or the nearest where not all have one."""
    if any(hit.prompt_id not in scores for hit in hits):
        return hits[0]
    return max(hits, key=lambda hit: scores[hit.prompt_id])


def stranger_threshold(keys: Tensor, own: Tensor, quantile: float) -> float:
    """The similarity below which a text is a stranger: a low quantile over held-out texts of the task.

    Args:
        keys: The prompt's keys, [keys, width].
        own: Unit vectors of dev texts, which the keys were not made from, [texts, width].
        quantile: The share of them that may fall below.
    """
    return float(np.quantile(nearest_key(own, keys).numpy(), quantile))
