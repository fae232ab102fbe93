"""One task learned against this pool and against one of ten prompts: the first of a process, and the one after it."""

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.measure import Row, Spread
from benchmarks.pool.material import Made

_FEW = 10
_ROOT = Path(__file__).parents[2]


def rows(made: Made, few: Path, repeats: int) -> list[Row]:
    """Both pools in turns, each time in a process of its own.

    Args:
        made: The pool.
        few: Where the small pool goes.
        repeats: How many turns.
    """
    source = made.open(read_only=True)
    source.export(few, source.ids()[:_FEW])
    places = {"large": made.folder, "small": few}
    turns = [{name: _child(place) for name, place in places.items()} for _ in range(repeats)]
    return compared(turns)


def compared(turns: list[dict[str, dict[str, float]]]) -> list[Row]:
    """The rows of `first` and `second` seconds with the pools `large` and `small`, turn by turn."""
    return [
        _row(turns, "second", "after the first of its process", "recalling, reading and ranking other sources"),
        _row(
            turns,
            "first",
            "the first of its process, opening the pool included",
            "reading the graphs into memory, and whose the keys are: once in a process",
        ),
    ]


def _row(turns: list[dict[str, dict[str, float]]], which: str, told: str, limits: str) -> Row:
    large, small = (Spread.of([turn[name][which] for turn in turns]) for name in ("large", "small"))
    ratio = large.over(small)
    return Row.of(
        ratio,
        f"learning a task against this pool, {told}",
        f"the same against {_FEW} prompts",
        "at most 1.2 times",
        ratio.median <= 1.2,
        limits=limits,
        details={"large, s": large.to_json(), "small, s": small.to_json()},
    )


def _child(folder: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.pool.learn_child", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=_ROOT)
    if done.returncode:
        sys.exit(done.stderr[-2000:])
    return json.loads(done.stdout.splitlines()[-1])
