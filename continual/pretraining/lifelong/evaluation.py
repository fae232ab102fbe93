"""Held-out perplexity of a model, domain by domain."""

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from continual.pretraining.lifelong.losses import cross_entropy_sum
from continual.pretraining.lifelong.reading import answers, by_tokens
from continual.pretraining.lifelong.texts import Frame, Window
from continual.seeding import seed_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from continual.pretraining.lifelong.objectives import Objective

_SHARE = 0.15
_TOKENS = 4096


def examined(windows: Sequence[Window], domain: str) -> list[Window]:
    """The windows with the places that a masked model is asked for: 15 % at random, and one at least.

    They follow from the domain and the number of the window, so they are the same whatever model, strategy or seed is
    scored.
    """
    result = []
    for number, window in enumerate(windows):
        rng = random.Random(seed_of(0, "exam", domain, str(number)))
        places = tuple(place for place in range(len(window.ids)) if rng.random() < _SHARE)
        result.append(replace(window, asked=places or (int(rng.random() * len(window.ids)),)))
    return result


@torch.inference_mode()
def likelihood(
    model: "PreTrainedModel", objective: "Objective", frame: Frame, windows: Sequence[Window]
) -> tuple[float, int]:
    """Summed negative log-likelihood in nats of what the exam asks for, and of how many tokens.

    Args:
        model: In evaluation mode.
        objective: Makes the questions.
        frame: Around the windows.
        windows: As `examined` gives them.
    """
    nats, tokens = 0.0, 0
    for rows in by_tokens([frame.length(window) for window in windows], _TOKENS):
        question = objective.exam([windows[row] for row in rows])
        logits = answers(model, question)
        nats += float(cross_entropy_sum(logits, question.targets.to(logits.device)))
        tokens += len(question.targets)
    return nats, tokens
