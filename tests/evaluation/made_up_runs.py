"""Summaries of made-up runs, as a run would write them, for the tests of everything that reads them."""

import random
from typing import Any

import numpy as np

from continual.evaluation.matrix import ScoreMatrix
from continual.evaluation.summary import (
    Candidate,
    Confusion,
    Epoch,
    RoutedScores,
    Scores,
    Seconds,
    Source,
    Stage,
    Summary,
    TaskRecord,
)

EVENTS = (
    "charliehebdo",
    "ferguson",
    "germanwings-crash",
    "ottawashooting",
    "sydneysiege",
    "gurlitt",
    "putinmissing",
)
CONFIG: dict[str, Any] = {
    "seed": 0,
    "name": None,
    "stream": {"name": "pheme", "order": "listed", "max_train": 2000, "files": ["a.csv", "b.csv"]},
    "method": {"name": "panda", "weight": {"kind": "metric", "floor": 0.0}, "stages": 3},
    "backbone": {"name": "minilm", "frozen": True},
    "tracking": {"enabled": True, "uri": None},
}


def make_summary(
    tasks: tuple[str, ...] = EVENTS,
    learned: int | None = None,
    seed: int = 0,
    routed: bool = True,
    **changes: Any,
) -> Summary:
    """A run that has learned the first `learned` tasks (all if None)."""
    chance = random.Random(seed)
    done = len(tasks) if learned is None else learned
    aware, aware_f1 = _matrices(tasks, done, chance, 0.0)
    guessed, guessed_f1 = _matrices(tasks, done, chance, 0.012)
    values: dict[str, Any] = {
        "run": "pheme-panda-0",
        "stream": "pheme",
        "method": "panda",
        "backbone": "sentence-transformers/all-MiniLM-L6-v2",
        "tuning": "late",
        "seed": seed,
        "tasks": list(tasks),
        "aware": Scores.measured(aware, aware_f1),
        "routed": _routed(guessed, guessed_f1, tasks, done, chance) if routed else None,
        "per_task": [_record(tasks, index, chance) for index in range(done)],
        "seconds": Seconds(212.4, 31.9, 262.0),
        "examples_per_second": 341.2,
        "trainable_parameters_per_task": 7298,
        "peak_memory_mb": 1240.5,
        "finished": done == len(tasks),
        "versions": {"continual": "0.1.0", "python": "3.11.7", "torch": "2.13.0", "faiss": None},
    }
    return Summary(**{**values, **changes})


def _matrices(tasks: tuple[str, ...], done: int, chance: random.Random, loss: float) -> tuple[ScoreMatrix, ScoreMatrix]:
    accuracy, f1 = ScoreMatrix(tasks), ScoreMatrix(tasks)
    final = [chance.uniform(0.78, 0.96) for _ in tasks]
    for row in range(done + 1):
        scores = [
            final[task] - loss * (row - task - 1) * chance.random() if task < row else chance.uniform(0.4, 0.7)
            for task in range(len(tasks))
        ]
        accuracy.set_row(row, scores)
        f1.set_row(row, [score - 0.02 - 0.04 * chance.random() for score in scores])
    return accuracy, f1


def _routed(
    accuracy: ScoreMatrix, f1: ScoreMatrix, tasks: tuple[str, ...], done: int, chance: random.Random
) -> RoutedScores:
    counts = np.array(
        [[chance.choice([0, 0, 1, 3]) if row != column else 150 for column in range(done)] for row in range(done)]
    ).reshape(done, done)
    table = Confusion(list(tasks[:done]), [_prompt(task) for task in tasks[:done]], counts.tolist())
    accuracy_of_routing = float(np.trace(counts) / counts.sum()) if done else None
    return RoutedScores.measured(
        accuracy, f1, routing_accuracy=accuracy_of_routing, confusion=table, unknown_rate=0.013
    )


def _record(tasks: tuple[str, ...], index: int, chance: random.Random) -> TaskRecord:
    older = [_prompt(task) for task in tasks[:index]]
    candidates = [
        Candidate(prompt, {"panda": chance.random(), "on": chance.random(), "e_avg": None}) for prompt in older[-5:]
    ]
    best = sorted(candidates, key=lambda it: -(it.scores["panda"] or 0))[:2]
    names = ["probe"] * bool(older) + [f"teacher-{number + 1}" for number in range(len(best))] + ["student"]
    return TaskRecord(
        task=tasks[index],
        prompt=_prompt(tasks[index]),
        train_examples=chance.randint(60, 2000),
        dev_examples=chance.randint(20, 300),
        test_examples=chance.randint(40, 500),
        steps=chance.randint(100, 900),
        seconds=chance.uniform(5, 60),
        sources=[Source(it.prompt, it.scores["panda"]) for it in best],
        macro_f1=chance.uniform(0.7, 0.9),
        dev_accuracy=chance.uniform(0.7, 0.9),
        candidates=candidates,
        stages=[_stage(name, chance) for name in names],
        train_seconds=chance.uniform(4, 50),
        evaluate_seconds=chance.uniform(0.5, 6),
    )


def _stage(name: str, chance: random.Random) -> Stage:
    epochs = 2 if name == "probe" else chance.randint(6, 12)
    top = chance.uniform(0.75, 0.95)
    curve = [
        Epoch(
            epoch,
            0.7 * 0.75**epoch + 0.05 * chance.random(),
            top - 0.3 * 0.6**epoch + 0.02 * chance.random(),
            0.5,
        )
        for epoch in range(1, epochs + 1)
    ]
    best = max(curve, key=lambda it: it.dev_accuracy or 0).epoch
    return Stage(name, 40 * epochs, chance.uniform(1, 12), best, curve)


def _prompt(task: str) -> str:
    return f"{task}-v1"
