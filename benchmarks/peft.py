"""Training a task to the same dev accuracy, against PEFT prompt tuning in a Hugging Face Trainer.

    CONTINUAL_DATA=... python -m benchmarks.peft [--quick]

Both use the same frozen backbone, batch, prompt length and texts. PEFT's classifier is a linear layer on the pooled
output of the checkpoint, trained with the prompt, as PEFT does by default. Its learning rate is the best on the dev
texts of PHEME's event out of a grid that is widened, from 0.001 to 1 at most, until the best is not at its edge; AG
News uses that rate too. The accuracy that ours has to reach is PEFT's best over its epochs; its time is the number of
steps to the end of the first epoch that has it, times their median time. PHEME is measured with two seeds and AG News
with one, so that the whole stays below half an hour; theirs and ours one after the other and not in turns, since a
training of minutes cannot be cut.
"""

import argparse
import contextlib
import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from benchmarks.common import save_group
from benchmarks.measure import REPEATS, Row, Spread, seconds_of, show, timed
from benchmarks.speed import material
from continual._torchvision import declare_missing_operators
from continual.backbone.readout import Readout
from continual.errors import UserError
from continual.training.watch import Silent
from streams.task import Task

LENGTH, BATCH = 16, 16
RATES = (0.01, 0.03, 0.1)
"""Tried first, from small to large; the grid goes on by the same steps on the side where its edge is best."""
WIDER = {0.01: 0.003, 0.003: 0.001, 0.1: 0.3, 0.3: 1.0}
SEEDS = (0, 1)
BARE = Readout("none", terms=0)


@dataclass(frozen=True)
class Plan:
    """What is measured.

    Attributes:
        name: Of the task in the table.
        task: The task.
        epochs: How many PEFT trains.
        seeds: With which seeds, beginning with that of the search.
    """

    name: str
    task: Task
    epochs: int
    seeds: tuple[int, ...] = SEEDS


def main() -> None:
    """PHEME's largest event and 4,000 texts of AG News, by the prompt alone and with the ground."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few texts and epochs; nothing is written")
    quick = parser.parse_args().quick
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    started = time.perf_counter()
    try:
        event, news = _plans(quick)
    except UserError as error:
        sys.exit(str(error))
    tried, rate = search(event)
    theirs = {
        event.name: [next(item for item in tried if item["rate"] == rate), *_others(event, rate, event.seeds[1:])],
        news.name: _others(news, rate, news.seeds),
    }
    rows = [
        _row(plan, theirs[plan.name], readout, what)
        for what, readout in (
            ("training a prompt alone to the same dev accuracy", BARE),
            ("learning a task, ground and prompt, to the same dev accuracy", Readout()),
        )
        for plan in (event, news)
    ]
    show(rows)
    if not quick:
        save_group("peft", "peft", rows, time.perf_counter() - started, **{"tried on pheme's event": tried})


def _plans(quick: bool) -> tuple[Plan, Plan]:
    sizes = {"max_train": 64, "max_dev": 40, "max_test": 20} if quick else {}
    event = material.task("pheme", "charliehebdo", **sizes)
    news = material.task("cl5", "agnews", **({"max_train": 4000, "max_test": 500} | sizes))
    return (
        Plan("pheme's largest event", event, 1 if quick else 8),
        Plan(f"agnews, {len(news.train):,} texts", news, 1 if quick else 2, SEEDS[:1]),
    )


def search(plan: Plan) -> tuple[list[dict[str, Any]], float]:
    """PEFT at every rate of the grid, and the best on dev, which lies inside of it as far as it can be widened."""
    tried = [peft(plan.task, rate, plan.epochs, plan.seeds[0]) for rate in RATES]
    while True:
        tried.sort(key=lambda item: item["rate"])
        # Of equally accurate rates the one that is there first.
        best = max(tried, key=lambda item: (item["best"], -item["seconds"]))["rate"]
        edge = best in (tried[0]["rate"], tried[-1]["rate"])
        if not edge or best not in WIDER:
            return tried, best
        tried.append(peft(plan.task, WIDER[best], plan.epochs, plan.seeds[0]))


def _others(plan: Plan, rate: float, seeds: tuple[int, ...]) -> list[dict[str, Any]]:
    """PEFT at one rate with some seeds."""
    return [peft(plan.task, rate, plan.epochs, seed) for seed in seeds]


def _row(plan: Plan, theirs: list[dict[str, Any]], readout: Readout, what: str) -> Row:
    """Ours with each seed to the accuracy that PEFT had with it."""
    ours = [to_accuracy(plan.task, item["best"], readout, item["seed"]) for item in theirs]
    ratio = Spread.of([their["seconds"] / our["seconds"] for their, our in zip(theirs, ours, strict=True)])
    reached = all(item["reached"] for item in ours)
    limits = "the forward and backward pass through the layers above the prompt"
    if not reached:
        limits = "the accuracy was not reached with every seed; the time is that of the whole training"
    elif all(item["epoch"] == 0 for item in ours):
        limits = "reading the texts once with the frozen model: the ground alone reaches the accuracy"
    best = statistics.mean(item["best"] for item in theirs)
    return Row.of(
        ratio,
        f"{what}: {plan.name} (dev accuracy {best:.3f})",
        f"PEFT prompt tuning in Trainer, rate {theirs[0]['rate']}, {plan.epochs} epochs",
        "at least 3 times less wall time",
        reached and ratio.median >= 3,
        limits=limits,
        details={"theirs": theirs, "ours": ours},
        n="1 seed" if len(theirs) == 1 else f"{len(theirs)} seeds",
    )


def peft(task: Task, rate: float, epochs: int, seed: int) -> dict[str, Any]:
    """Prompt tuning with PEFT: accuracy on dev after each epoch, and the time of a step."""
    declare_missing_operators()
    import peft
    from transformers import DataCollatorWithPadding, Trainer, TrainerCallback, TrainingArguments

    torch.manual_seed(seed)
    encoder = material.encoder()
    model = _classifier(len(task.labels))
    config = peft.PromptTuningConfig(task_type=peft.TaskType.SEQ_CLS, num_virtual_tokens=LENGTH)
    model = peft.get_peft_model(model, config)
    splits = {}
    for part in ("train", "dev"):
        split = getattr(task, part)
        encoded = encoder.tokenizer(list(split["text"]), truncation=True, max_length=encoder.max_length)
        splits[part] = [
            {"input_ids": ids, "attention_mask": mask, "labels": label}
            for ids, mask, label in zip(encoded["input_ids"], encoded["attention_mask"], split["label"], strict=True)
        ]

    class Clock(TrainerCallback):
        """Notes when steps end."""

        def __init__(self) -> None:
            self.steps: list[float] = []

        def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
            self.begun = time.perf_counter()

        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            self.steps.append(time.perf_counter() - self.begun)

    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            per_device_train_batch_size=BATCH,
            per_device_eval_batch_size=64,
            num_train_epochs=epochs,
            learning_rate=rate,
            eval_strategy="epoch",
            save_strategy="no",
            report_to=[],
            use_cpu=True,
            disable_tqdm=True,
            logging_strategy="no",
            seed=seed,
        )
        trainer = Trainer(
            model,
            arguments,
            train_dataset=splits["train"],
            eval_dataset=splits["dev"],
            data_collator=DataCollatorWithPadding(encoder.tokenizer),
            compute_metrics=lambda found: {"accuracy": float(np.mean(found.predictions.argmax(1) == found.label_ids))},
            callbacks=[clock],
        )
        trainer.train()
    curve = [entry["eval_accuracy"] for entry in trainer.state.log_history if "eval_accuracy" in entry]
    per_epoch = -(-len(splits["train"]) // BATCH)
    step = Spread.of(clock.steps)
    best = max(curve)
    return {
        "rate": rate,
        "seed": seed,
        "curve": curve,
        "best": best,
        "step": step.to_json(),
        "seconds": step.median * per_epoch * (1 + curve.index(best)),
    }


def _classifier(labels: int) -> torch.nn.Module:
    """The backbone with the pooler of its checkpoint and a fresh classifier, as a user of PEFT would load it."""
    from transformers import AutoModelForSequenceClassification

    folder = material.encoder().tokenizer.name_or_path
    model, report = AutoModelForSequenceClassification.from_pretrained(
        folder, num_labels=labels, dtype="float32", output_loading_info=True
    )
    assert all(name.startswith("classifier.") for name in report["missing_keys"]), report["missing_keys"]
    return model


class _Reached(Exception):
    """The wanted accuracy is there."""


class _Until(Silent):
    """Ends a training with the first epoch that has the wanted accuracy."""

    def __init__(self, accuracy: float) -> None:
        self.accuracy, self.epoch_reached = accuracy, None

    def epoch(self, stage: str, number: int, scores: Any) -> None:
        if scores["dev_accuracy"] >= self.accuracy:
            self.epoch_reached = number
            raise _Reached


def to_accuracy(task: Task, accuracy: float, readout: Readout, seed: int) -> dict[str, Any]:
    """Wall time of `Learner.learn` until an epoch ends with the accuracy: reading, ground and training included."""
    from continual import Learner, LearnerSettings

    tuning = {"name": "deep", "length": LENGTH, "layer": 4}
    settings = LearnerSettings(method={"name": "scratch"}, tuning=tuning, readout=readout, seed=seed)
    watchers: list[_Until] = []

    def learn() -> None:
        watchers.append(_Until(accuracy))
        with tempfile.TemporaryDirectory() as folder:
            learner = Learner(f"{folder}/pool", material.encoder(), settings)
            with contextlib.suppress(_Reached):
                learner.learn(task, watcher=watchers[-1])

    first = seconds_of(learn)
    # Minutes vary little, so a long training is not repeated.
    timing = timed(learn, REPEATS if first < 10 else 2, warmup=0) if first < 40 else Spread.of([first])
    return {
        "seconds": timing.median,
        "timing": timing.to_json(),
        "epoch": watchers[-1].epoch_reached,
        "reached": watchers[-1].epoch_reached is not None,
    }


if __name__ == "__main__":
    main()
