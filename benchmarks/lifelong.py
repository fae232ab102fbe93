"""Lifelong pretraining on real text: what each strategy keeps of earlier domains, and what it is worth to their tasks.

MiniLM, whose body knows English, gets a masked-LM head, which is trained alone first; then both learn general text (the
sentences of mnli, the passages of boolq). A small model of random weights would learn word frequencies and little more
in the time that there is. From that base each strategy learns the texts of four tasks after one another (encyclopedia,
news, reviews, questions; labels unseen), with the same steps and tokens. AP and AP+ are those of
`continual.pretraining.lifelong.metrics`, on test texts. Afterwards every domain's own task is learned on the frozen
result by the method `scratch`, from the model's states alone (`readout.terms=0`: counted words would hide what it has
learned); where a strategy has domain prompts, the task's texts stand under theirs, as in ELLE. The row `base` is the
model that all begin with.

    CONTINUAL_DATA=... python -m benchmarks.lifelong --cache DIR [--seeds 0,1] [--strategies elle,plain] [--quick]

It is sized for some forty minutes of two processors. Models that are finished in DIR are not made again, so it goes on
where it was stopped. `--quick` only shows that all parts run: its numbers mean nothing and are not written.
"""

import argparse
import dataclasses
import functools
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.common import save
from continual import Learner, LearnerSettings
from continual.backbone.catalog import hub
from continual.backbone.readout import Readout
from continual.evaluation.intervals import mean_interval
from continual.pretraining.config import compose
from continual.pretraining.lifelong.metrics import average_perplexity
from continual.pretraining.session import Pretraining
from continual.progress import Progress
from continual.training.config import TrainingConfig
from streams import Task, build_stream

Score = Callable[..., dict[str, float]]
"""`accuracies` of given tasks and caps."""

STRATEGIES = {
    "elle": ("strategy=elle",),
    "elle + growth": ("strategy=elle", "strategy.expansion=elle", "strategy.recovery=20"),
    "plain": ("strategy=plain",),
    "replay": ("strategy=replay",),
    "self_evolution": ("strategy=self_evolution",),
}
"""ELLE as published grows before each domain and recovers; the first row is what it does without."""

BASE = "base"
MODEL = (
    "stream=cl4",
    "stream.max_train=2000",
    "stream.max_dev=80",
    "stream.max_test=200",
    "model.max_length=64",
    "strategy.mask=0.3",
    "training.batch_tokens=1024",
    "training.learning_rate=0.0005",
    "training.warmup=10",
    "training.evaluate_every=40",
    "tracking.enabled=false",
)
BEGINNING = (
    "model.path=minilm",
    "model.head_steps=400",
    "model.head_rate=0.003",
    "strategy=plain",
    "stream.order=[mnli,boolq]",
    "training.steps=300",
    "training.evaluate_every=150",
)
DOMAINS = ("training.steps=80",)
QUICK = ("stream.max_train=60", "stream.max_dev=10", "stream.max_test=10", "training.steps=4", "model.head_steps=4")
TASKS = {"max_train": 400, "max_dev": 100, "max_test": 500}
TASKS_QUICK = {"max_train": 40, "max_dev": 20, "max_test": 20}


def main() -> None:
    """Measures and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--seeds", default="0,1")
    parser.add_argument("--strategies", default=",".join(STRATEGIES))
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    started = time.monotonic()
    quick, caps = (QUICK, TASKS_QUICK) if arguments.quick else ((), TASKS)
    beginning = compose("lifelong", [*MODEL, *BEGINNING, *quick])
    base = Pretraining(beginning, arguments.cache.absolute()).execute(Progress())
    score = functools.partial(accuracies, texts=beginning.resolved["stream"]["path"], caps=caps)
    strategies = arguments.strategies.split(",")
    rows = []
    for seed in map(int, arguments.seeds.split(",")[: 1 if arguments.quick else None]):
        for name in strategies:
            settings = [*MODEL, *DOMAINS, *quick, *STRATEGIES[name], f"seed={seed}", f"model.path={base}"]
            rows.append(measured(name, Pretraining(compose("lifelong", settings), arguments.cache), seed, score))
            print(_line(rows[-1]), flush=True)
        rows.append(at_the_beginning(base, rows[-1], seed, score))
        print(_line(rows[-1]), flush=True)
    means = {name: summarised([row for row in rows if row["strategy"] == name]) for name in (*strategies, BASE)}
    if arguments.quick:
        return
    seconds = round(time.monotonic() - started, 1)
    settings = {"all": MODEL, "base": BEGINNING, "domains": DOMAINS, "strategies": STRATEGIES}
    save("lifelong", {"settings": settings, "tasks": caps, "seconds": seconds, "means": means, "rows": rows})


def measured(strategy: str, made: Pretraining, seed: int, score: Score) -> dict[str, Any]:
    """One pretraining and the tasks on its result."""
    folder = made.execute(Progress())
    summary = made.summary()
    return {
        "strategy": strategy,
        "seed": seed,
        "domains": summary["domains"],
        "perplexity": summary["perplexity"],
        "average_perplexity": summary["average_perplexity"][-1],
        "average_increase": summary["average_increase"][-1],
        "seconds": summary["seconds"]["training"],
        "parameters": summary["parameters"],
        "accuracy": score(folder, prompts=summary["prompts"], seed=seed),
    }


def at_the_beginning(base: Path, learned: dict[str, Any], seed: int, score: Score) -> dict[str, Any]:
    """The same for the model that all begin with: its perplexities are the first row of any of their matrices."""
    first, names = learned["perplexity"][0], learned["domains"]
    return {
        "strategy": BASE,
        "seed": seed,
        "domains": names,
        "average_perplexity": average_perplexity(first, len(first)),
        "accuracy": score(base, prompts=dict.fromkeys(names, ""), seed=seed),
    }


def accuracies(model: Path, texts: str, prompts: dict[str, str], seed: int, caps: dict[str, int]) -> dict[str, float]:
    """The test accuracy of each domain's task, learned from scratch on a frozen model.

    Args:
        model: Folder of the model.
        texts: Folder of the tasks.
        prompts: For each domain what stands before its texts.
        seed: Of splits, caps and learning.
        caps: Of the tasks' splits.
    """
    stream = build_stream({"kind": "folders", "path": texts, "tasks": list(prompts), **caps}, seed)
    settings = LearnerSettings(
        method={"name": "scratch"},
        tuning={"name": "deep", "layer": 3},
        readout=Readout(terms=0),
        training=TrainingConfig(epochs=4, min_steps=0),
        seed=seed,
    )
    found = {}
    with tempfile.TemporaryDirectory() as pool:
        learner = Learner(Path(pool) / "pool", hub(path=str(model), max_length=64), settings)
        for name, prompt in prompts.items():
            task = under(prompt, stream.task(name))
            learner.learn(task)
            found[name] = learner.evaluate(task).accuracy
    return found


def under(prompt: str, task: Task) -> Task:
    """The task with a domain prompt before every text."""
    if not prompt:
        return task
    splits = {
        split: task.split(split).map(lambda row: {"text": prompt + row["text"]}) for split in ("train", "dev", "test")
    }
    return dataclasses.replace(task, **splits)


def summarised(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Means over seeds, with 95 % intervals where there are seeds enough."""
    names = rows[0]["accuracy"]
    found: dict[str, Any] = {"accuracy": {name: _average([row["accuracy"][name] for row in rows]) for name in names}}
    found["mean_accuracy"] = dataclasses.astuple(mean_interval([_average([*row["accuracy"].values()]) for row in rows]))
    for key in ("average_perplexity", "average_increase"):
        if key in rows[0]:
            found[key] = dataclasses.astuple(mean_interval([row[key] for row in rows]))
    if "seconds" in rows[0]:
        found["seconds"] = _average([row["seconds"] for row in rows])
    return found


def _average(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _line(row: dict[str, Any]) -> str:
    accuracy = ", ".join(f"{name} {value:.3f}" for name, value in row["accuracy"].items())
    rise = f", AP+ {row['average_increase']:+.1f}, {row['seconds']:.0f} s" if "seconds" in row else ""
    return f"{row['strategy']}, seed {row['seed']}: AP {row['average_perplexity']:.1f}{rise}; {accuracy}"


if __name__ == "__main__":
    torch.set_num_threads(2)
    main()
