"""What is told of a finished lifelong pretraining, in plain values."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from continual.pretraining.lifelong.metrics import average_increase, average_perplexity
from continual.pretraining.lifelong.state import State


def summary(
    state: State, names: Sequence[str], sizes: Mapping[str, int], seconds: Mapping[str, float]
) -> dict[str, Any]:
    """The matrix of perplexities and what follows from it.

    Args:
        state: After the last domain.
        names: All domains, in order.
        sizes: Held-out windows of each.
        seconds: `training` and `total`.
    """
    matrix, config = state.matrix, state.model.config
    return {
        "family": config.model_type,
        "parameters": sum(value.numel() for value in state.model.parameters()),
        "vocabulary": len(state.tokenizer),
        "domains": list(names),
        "steps": sum(training["steps"] for training in state.trainings),
        "seconds": dict(seconds),
        "perplexity": matrix,
        "average_perplexity": [average_perplexity(row, learned) for learned, row in enumerate(matrix)],
        "average_increase": [average_increase(matrix, learned) for learned in range(len(matrix))],
        "prompts": {name: state.tokenizer.decode(list(tokens)).strip() for name, tokens in state.prompts.items()},
        "memory": {name: kept.tokens for name, kept in state.memory.items()},
        "scores": [_score(matrix, number, name, sizes[name]) for number, name in enumerate(names)],
        "earlier": _earlier(state, names),
        "trainings": state.trainings,
    }


def _earlier(state: State, names: Sequence[str]) -> list[dict[str, Any]]:
    """Domains learned before, which the stream does not have, on the held-out texts that were kept of them."""
    others = [name for name in state.earlier if name not in names]
    first, last = state.earlier_matrix[0], state.earlier_matrix[-1]
    return [
        {"domain": name, "texts": len(state.memory[name].watched), "before": before, "perplexity": now}
        | {"change": now - before}
        for name, before, now in zip(others, first, last, strict=True)
    ]


def _score(matrix: Sequence[Sequence[float]], number: int, name: str, size: int) -> dict[str, Any]:
    """A domain at the end, and how it was when its own training ended."""
    now, own = matrix[-1][number], matrix[number + 1][number]
    return {
        "domain": name,
        "texts": size,
        "loss": math.log(now),
        "perplexity": now,
        "before": matrix[0][number],
        "own": own,
        "change": now - own,
    }
