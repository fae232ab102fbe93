"""What each saving of training is worth alone: on against off, everything else equal.

The default prompt is trained on PHEME's largest event in batches of 16. What kind of prompt is trained is no saving but
another prompt, so the kinds are compared apart.
"""

import functools
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.measure import Row, Spread, alternately
from benchmarks.speed import PROMPT, SAVING, material
from benchmarks.speed.step_row import DEEP, EVENT, training
from continual.backbone.frozen import FrozenCache
from continual.backbone.readout import Readout
from continual.distillation.logits import logit_mse
from continual.training.config import TrainingConfig
from continual.training.examples import Examples
from continual.training.ground import lay_ground
from continual.training.loop import Objective, Training, cross_entropy, fit
from continual.training.model import PromptModel
from continual.tuning import build_tuning

TEXTS, EPOCHS = 256, 4
"""How much is measured at a time; a training with the default patience has at least as many epochs."""


def rows(quick: bool = False) -> list[Row]:
    """One row for each saving, and one for each other kind of prompt."""
    texts, repeats = (64, 1) if quick else (TEXTS, 5)
    return [
        _like_length(texts, repeats),
        _lower_layers(texts, repeats),
        _teachers(texts, repeats),
        _early_stopping(2 * texts, 1 if quick else 3),
        *_prompts(texts, repeats),
    ]


def _like_length(texts: int, repeats: int) -> Row:
    """Batches of texts of like length against random ones, which are padded."""
    running = training(DEEP, texts=texts)
    found = alternately(
        {
            "off": lambda: _steps(running, _random_batches(running.train)),
            "on": lambda: _steps(running, _batches(running.train)),
        },
        repeats,
    )
    padded = {"off": _padding(running, _random_batches), "on": _padding(running, _batches)}
    return _saving("batches of texts of like length", "random batches, padded", found, {"share of padding": padded})


def _lower_layers(texts: int, repeats: int) -> Row:
    """States below the prompt, kept from the frozen pass that learning needs anyway, against computing them again."""
    kept, computed = (training(DEEP, keep=keep, texts=texts) for keep in (True, False))
    found = alternately(
        {"off": lambda: _steps(computed, _batches(computed.train)), "on": lambda: _steps(kept, _batches(kept.train))},
        repeats,
    )
    return _saving("lower layers computed once", "computed again in each step", found)


def _teachers(texts: int, repeats: int) -> Row:
    """A student of PANDA whose teacher answers all texts once, against a teacher that answers every batch."""
    teacher = training(DEEP, texts=texts)
    _steps(teacher, _batches(teacher.train))
    student = training(DEEP, texts=texts)

    def run(objective: Callable[[], Objective]) -> None:
        student.objective = objective()
        for _ in range(EPOCHS):
            _steps(student, _batches(student.train))

    found = alternately(
        {
            "off": lambda: run(lambda: _taught(functools.partial(_answers, teacher.model, teacher.train))),
            "on": lambda: run(lambda: _taught(teacher.model.logits(teacher.train).__getitem__)),
        },
        repeats,
    )
    return _saving(
        f"a teacher's logits computed once, in a training of {EPOCHS} epochs",
        "computed again in each step",
        found,
    )


def _taught(answers: Callable[[torch.Tensor], torch.Tensor]) -> Objective:
    hard = cross_entropy()
    return lambda logits, labels, rows, progress: (
        hard(logits, labels, rows, progress) + logit_mse(logits, answers(rows))
    )


@torch.no_grad()
def _answers(model: PromptModel, examples: Examples, rows: torch.Tensor) -> torch.Tensor:
    return model.answers(examples, rows)[0]


def _early_stopping(texts: int, repeats: int) -> Row:
    """Whole trainings on the ground, with and without patience."""
    task, kind = material.task("pheme", EVENT, max_train=texts, max_dev=texts), build_tuning(DEEP)
    encoder, readout = material.encoder(), Readout()
    cache = FrozenCache(encoder)
    parts = []
    for split in (task.train, task.dev):
        view = cache.view(encoder.tokenize(list(split["text"])), kind.entry(encoder), readout)
        parts.append(Examples.bare(view, torch.tensor(list(split["label"])), len(task.labels)))
    ground = lay_ground(*parts, len(task.labels), 0, cache)
    results: dict[str, Any] = {}

    def train(name: str, patience: int) -> None:
        tensors = kind.initial(encoder, ground.train.view.states, torch.Generator().manual_seed(0))
        model = PromptModel.begin(encoder, kind, tensors, len(task.labels), ground.train.view)
        config = TrainingConfig(patience=patience)
        result = fit(model, ground.train, ground.dev, config, torch.Generator().manual_seed(0))
        results[name] = {
            "epochs": len(result.curve) - 1,
            "best epoch": result.best_epoch,
            "dev accuracy": result.dev_accuracy,
            "dev loss": result.dev_loss,
        }

    patience = TrainingConfig().patience
    found = alternately({"off": lambda: train("off", 0), "on": lambda: train("on", patience)}, repeats, warmup=0)
    return _saving(
        f"early stopping, patience {patience}: {results['on']['epochs']} epochs on the ground, "
        f"dev accuracy {results['on']['dev accuracy']:.3f}",
        f"all {results['off']['epochs']} epochs, dev accuracy {results['off']['dev accuracy']:.3f}",
        found,
        {"results": results},
    )


def _prompts(texts: int, repeats: int) -> list[Row]:
    """Other prompts than the default, with all savings that they allow."""
    kinds = {
        "soft tokens at the input": {"name": "input", "length": 16},
        "soft tokens before layer 4": {"name": "late", "length": 16, "layer": 4},
        "key/value prefixes from layer 4 on (default)": DEEP,
    }
    ready = {name: training(tuning, texts=texts) for name, tuning in kinds.items()}
    found = alternately(
        {name: (lambda item=item: _steps(item, _batches(item.train))) for name, item in ready.items()}, repeats
    )
    default = found[list(kinds)[-1]]
    return [
        Row.of(
            seconds.over(default),
            f"{PROMPT}{name}",
            "the default",
            details={"epoch": seconds.to_json(), "texts": texts},
            unit="times the time",
        )
        for name, seconds in found.items()
    ]


def _saving(what: str, against: str, found: dict[str, Spread], more: dict[str, Any] | None = None) -> Row:
    details = {name: seconds.to_json() for name, seconds in found.items()}
    return Row.of(
        found["off"].over(found["on"]), f"{SAVING}{what}", against, unit="times faster", details=details | (more or {})
    )


def _steps(running: Training, batches: list[torch.Tensor]) -> None:
    running.step = 0  # the schedule begins anew, so that all passes do the same
    for rows in batches:
        running.take_step(rows)


def _batches(examples: Examples) -> list[torch.Tensor]:
    return list(examples.shuffled(16, torch.Generator().manual_seed(1)))


def _random_batches(examples: Examples) -> list[torch.Tensor]:
    return list(torch.randperm(len(examples), generator=torch.Generator().manual_seed(1)).split(16))


def _padding(running: Training, batches: Callable[[Examples], list[torch.Tensor]]) -> float:
    """The share of positions of an epoch that hold no token."""
    lengths = running.train.view.states.lengths
    places = sum(len(rows) * int(lengths[rows].max()) for rows in batches(running.train))
    return 1 - int(lengths.sum()) / places
