"""Ranks the recalled prompts of a pool by a transferability metric."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from continual.registry import Registry
from continual.transfer import TRANSFERABILITY
from continual.transfer.metrics import Signature


@dataclass(frozen=True)
class Ranked:
    """A source and its scores for one target.

    Attributes:
        prompt: Id of the source.
        score: The score that ranks it.
        scores: Its score under every metric; None where a metric does not apply.
    """

    prompt: str
    score: float
    scores: Mapping[str, float | None]


def rank(
    sources: Iterable[tuple[str, Signature]],
    target: Signature,
    metric: str,
    metrics: Registry = TRANSFERABILITY,
) -> list[Ranked]:
    """The sources, best first; those that the metric cannot score come last. Ties keep the given order.

    Args:
        sources: Ids and signatures.
        target: The signature of the task to be helped.
        metric: The name of the metric that decides.
        metrics: All metrics that are recorded.
    """
    functions = {name: metrics.load(name) for name in metrics}
    metrics.entry(metric)
    ranked = []
    for prompt, signature in sources:
        values = {name: function(signature, target) for name, function in functions.items()}
        scores = {name: None if math.isnan(value) else value for name, value in values.items()}
        decisive = scores[metric]
        ranked.append(Ranked(prompt, -math.inf if decisive is None else decisive, scores))
    return sorted(ranked, key=lambda item: -item.score)
