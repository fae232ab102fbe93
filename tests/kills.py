"""Processes that are killed at random moments."""

import random
from collections.abc import Callable
from multiprocessing.process import BaseProcess


def kill_at_random(started: Callable[[], BaseProcess], kills: int, moments: tuple[float, float], seed: int) -> int:
    """Kills process after process; the number of kills that hit a living one.

    Args:
        started: Makes a process that has not been started.
        kills: How many.
        moments: The earliest and the latest second at which one is killed.
        seed: Decides the moments.
    """
    chance, hit = random.Random(seed), 0
    for _ in range(kills):
        process = started()
        process.start()
        process.join(chance.uniform(*moments))
        hit += process.is_alive()
        process.kill()
        process.join()
    return hit
