"""Refuses to go on with a training that has diverged."""

import math

from continual.errors import LearningError


def finite_loss(loss: float, step: int, remedy: str) -> float:
    """The loss of a step, where it is a number.

    Otherwise all weights are lost from here on, and what is kept is the start: a result that only looks like one.

    Args:
        loss: The loss.
        step: The number of the step, from 1.
        remedy: What to do, as the end of a sentence.

    Raises:
        LearningError: The loss is infinite or not a number.
    """
    if not math.isfinite(loss):
        raise LearningError(f"The training diverged: the loss of step {step} is {loss}, expected a number; {remedy}.")
    return loss
