"""The two baselines with a model of its own for each task: fine-tuned copies, and probes of the frozen backbone."""

from dataclasses import asdict
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from continual.backbone.frozen import FrozenView
from continual.baselines._avalanche import quiet
from continual.baselines.base import Bench
from continual.baselines.export import experiences_of, split_dataset
from continual.baselines.methods import LinearProbe, PerTask
from continual.baselines.model import Classifier, classifier
from continual.baselines.records import fine_tuned
from continual.baselines.separate import ModelForEachTask
from continual.baselines.training import Assignment, FineTuning
from continual.evaluation.summary import Stage
from continual.participant import LearnedTask
from continual.training.checkpoint import Checkpoints
from continual.training.watch import Watcher
from continual.tuning.dictionary import Bags, Dictionary
from continual.tuning.head import Evidence, fit_head

if TYPE_CHECKING:
    from streams import Task

STRENGTHS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
"""Inverse strengths of a probe's penalty, rising; dev chooses."""


class FineTunedModels(ModelForEachTask):
    """A fine-tuned copy of the backbone for each task; see `methods.PerTask`."""

    def __init__(self, baseline: PerTask, bench: Bench) -> None:
        super().__init__(baseline, bench)
        self._rates = baseline.rates

    def _fit(
        self, task: "Task", train: FrozenView, dev: FrozenView, checkpoints: Checkpoints, watcher: Watcher
    ) -> tuple[dict[str, Tensor], LearnedTask]:
        settings, encoder = self._bench.settings, self._bench.encoder
        units = {label: unit for unit, label in enumerate(task.labels)}
        model = classifier(encoder, settings)
        assignment = Assignment(
            task=task.name,
            dev=dev.texts,
            targets=torch.tensor(list(task.dev["label"])),
            config=settings.training,
            rates=self._rates,
            seed=settings.seed,
            checkpoints=checkpoints,
            watcher=watcher,
        )
        with quiet():
            strategy = FineTuning(model=model, assignment=assignment)
            strategy.train(experiences_of([split_dataset(task, "train", encoder, units)]), eval_streams=[])
        assert strategy.result is not None  # train() has gone through all epochs
        return model.weights(), fine_tuned(strategy.result, model, 0.0, len(task.train), len(task.dev), task.name)

    def _logits(self, tensors: dict[str, Tensor], view: FrozenView) -> Tensor:
        model = Classifier(self._bench.encoder, seed=self._bench.settings.seed)
        model.load(tensors)
        return model.logits(view.texts)


class LinearProbes(ModelForEachTask):
    """A linear classifier on the frozen model's vectors for each task; see `methods.LinearProbe`."""

    def __init__(self, baseline: LinearProbe, bench: Bench) -> None:
        super().__init__(baseline, bench)

    def _fit(
        self, task: "Task", train: FrozenView, dev: FrozenView, checkpoints: Checkpoints, watcher: Watcher
    ) -> tuple[dict[str, Tensor], LearnedTask]:
        seen, held_out = (Evidence(view.features, Bags.empty(len(view))) for view in (train, dev))
        targets, truth = (torch.tensor(list(split["label"])) for split in (task.train, task.dev))
        head = fit_head(seen, targets, len(task.labels), held_out, truth, Dictionary.empty(), STRENGTHS)
        weight, bias = head.scaling.fold(head.weights.features, head.weights.bias)
        logits = dev.features @ weight.T + bias
        accuracy, loss = float((logits.argmax(1) == truth).float().mean()), float(F.cross_entropy(logits, truth))
        stage = asdict(Stage("classifier", steps=0, best_epoch=0))
        stage["curve"] = [{"epoch": 0, "train_loss": None, "dev_accuracy": accuracy, "dev_loss": loss}]
        return {"weight": weight, "bias": bias}, LearnedTask(
            train_examples=len(task.train),
            dev_examples=len(task.dev),
            seconds=0.0,
            examples_seen=len(task.train),
            trained_parameters=weight.numel() + bias.numel(),
            dev_accuracy=accuracy,
            stages=[stage],
            prompt=task.name,
        )

    def _logits(self, tensors: dict[str, Tensor], view: FrozenView) -> Tensor:
        return view.features @ tensors["weight"].T + tensors["bias"]
