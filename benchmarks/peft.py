"""Training a task to the same dev accuracy, against PEFT prompt tuning in a Hugging Face Trainer.

    CONTINUAL_DATA=... python -m benchmarks.peft

Both use the same frozen backbone, batch, prompt length and texts. PEFT's classifier is a linear layer on the pooled
output of the checkpoint, trained with the prompt, as PEFT does by default; its learning rate is the best of three on
the dev texts of PHEME's event. The accuracy that ours has to reach is PEFT's best over its epochs; its time is the
number of steps to the end of the first epoch that has it, times their median time.
"""

import contextlib
import os
import tempfile
from typing import Any

import numpy as np
import torch

from benchmarks.common import save
from benchmarks.measure import REPEATS, Row, Timing, seconds_of, show, timed
from benchmarks.speed import material
from continual._torchvision import declare_missing_operators
from continual.backbone.readout import Readout
from continual.training.watch import Silent
from streams.task import Task

LENGTH, BATCH = 16, 16
RATES = (0.003, 0.01, 0.03)


def main() -> None:
    """PHEME's largest event and 4,000 texts of AG News, with the ground and by the prompt alone."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    event = material.task("pheme", "charliehebdo")
    news = material.task("cl5", "agnews", max_train=4000, max_test=500)
    tried = [peft(event, rate, epochs=5) for rate in RATES]
    best = max(tried, key=lambda item: (item["best"], -item["seconds"]))
    rows = _rows("pheme's largest event", event, best)
    rows += _rows("agnews, 4,000 texts", news, peft(news, best["rate"], epochs=1))
    show(rows)
    save("peft", {"groups": {"peft": [row.to_json() for row in rows]}, "tried on pheme's event": tried})


def _rows(name: str, task: Task, theirs: dict[str, Any]) -> list[Row]:
    alone = f"training a prompt alone, without ground, to the same dev accuracy: {name}"
    return [
        _row(f"learning a task to the same dev accuracy: {name}", task, theirs, Readout()),
        _row(alone, task, theirs, Readout("none", terms=0)),
    ]


def _row(name: str, task: Task, theirs: dict[str, Any], readout: Readout) -> Row:
    ours = to_accuracy(task, theirs["best"], readout)
    ratio = theirs["seconds"] / ours["seconds"]
    limits = "the forward and backward pass through the layers above the prompt"
    if not ours["reached"]:
        limits = "the accuracy was not reached; the time is that of the whole training"
    elif ours["epoch"] == 0:
        limits = "reading the texts once with the frozen model: the ground alone reaches the accuracy"
    return Row(
        what=name,
        against="PEFT prompt tuning in Trainer",
        goal="at least 3 times less wall time",
        measured=ratio,
        met=ours["reached"] and ratio >= 3,
        limits=limits,
        details={"theirs": theirs, "ours": ours},
    )


def peft(task: Task, rate: float, epochs: int) -> dict[str, Any]:
    """Prompt tuning with PEFT: accuracy on dev after each epoch, and the time of a step."""
    declare_missing_operators()
    import peft
    from transformers import DataCollatorWithPadding, Trainer, TrainerCallback, TrainingArguments

    torch.manual_seed(0)
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
            import time

            self.now, self.steps = time.perf_counter, []

        def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
            self.begun = self.now()

        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            self.steps.append(self.now() - self.begun)

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
            seed=0,
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
    step = Timing.of(clock.steps)
    best = max(curve)
    return {
        "rate": rate,
        "curve": curve,
        "best": best,
        "step": vars(step),
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


def to_accuracy(task: Task, accuracy: float, readout: Readout) -> dict[str, Any]:
    """Wall time of `Learner.learn` until an epoch ends with the accuracy: reading, ground and training included."""
    from continual import Learner, LearnerSettings

    tuning = {"name": "deep", "length": LENGTH, "layer": 4}
    settings = LearnerSettings(method={"name": "scratch"}, tuning=tuning, readout=readout)
    watchers: list[_Until] = []

    def learn() -> None:
        watchers.append(_Until(accuracy))
        with tempfile.TemporaryDirectory() as folder:
            learner = Learner(f"{folder}/pool", material.encoder(), settings)
            with contextlib.suppress(_Reached):
                learner.learn(task, watcher=watchers[-1])

    first = seconds_of(learn)
    # Minutes vary little, so a long training is not repeated.
    timing = timed(learn, REPEATS if first < 15 else 2, warmup=0) if first < 60 else Timing.of([first])
    return {
        "seconds": timing.median,
        "timing": vars(timing),
        "epoch": watchers[-1].epoch_reached,
        "reached": watchers[-1].epoch_reached is not None,
    }


if __name__ == "__main__":
    main()
