"""A school: lessons of small tasks on one tiny encoder, and methods that take them."""

from dataclasses import dataclass

import torch
from small_tasks import examples
from torch.nn import functional as F

from continual.backbone.frozen import FrozenCache
from continual.construction import construct
from continual.methods import METHODS
from continual.methods.base import Learned, Lesson, Method, Source
from continual.training.checkpoint import NoCheckpoints
from continual.training.config import TrainingConfig
from continual.training.ground import lay_ground
from continual.training.watch import Silent
from continual.transfer.ranking import Ranked
from continual.transfer.signature import Prober
from continual.tuning import build_tuning

TRAINING = TrainingConfig(epochs=3, min_steps=0, batch_size=8, patience=0, learning_rate=0.01, average=0.9)


@dataclass
class School:
    """Makes lessons on one tiny encoder."""

    encoder: object
    tuning: object

    def __post_init__(self):
        self.prober = Prober(self.encoder)
        self.grounds = {}

    def ground(self, labels: int, pairs: bool):
        if (labels, pairs) not in self.grounds:
            second = "weather" if pairs else None
            train, dev = (examples(self.encoder, self.tuning, labels, 24, seed, second=second) for seed in (0, 5))
            self.grounds[labels, pairs] = lay_ground(train, dev, labels, 0, FrozenCache(self.encoder))
        return self.grounds[labels, pairs]

    def source(self, number: int) -> Source:
        """A stored prompt of another task; nothing of it depends on how many labels that task had."""
        initial, tensors = (
            self.tuning.initial(self.encoder, None, torch.Generator().manual_seed(seed)) for seed in (99, 100 + number)
        )
        keys = F.normalize(torch.randn(4, self.encoder.width, generator=torch.Generator().manual_seed(number)), dim=1)
        signature = self.prober.signature(self.tuning, tensors, initial, keys)
        return Source(f"other-v{number}", tensors, signature, train_examples=1000)

    def lesson(
        self,
        sources: int | list[Source] = 2,
        labels: int = 2,
        seed: int = 0,
        metric: str = "panda",
        name: str = "scratch",
        **changes,
    ) -> Lesson:
        ground = self.ground(labels, METHODS.load(name).pairs)
        train, dev = ground.train, ground.dev
        given = {
            "task": "weather",
            "labels": tuple(f"label {number}" for number in range(labels)),
            "train": train,
            "dev": dev,
            "encoder": self.encoder,
            "tuning": self.tuning,
            "training": TRAINING,
            "metric": metric,
            "sources": sources if isinstance(sources, list) else [self.source(number) for number in range(sources)],
            "keys": F.normalize(train.view.embedding[:4], dim=1),
            "prober": self.prober,
            "seed": seed,
            "checkpoints": NoCheckpoints(),
            "watcher": Silent(),
        }
        if name == "olora":  # the one method that is of one tuning only
            given["tuning"] = build_tuning({"name": "lora", "layer": self.tuning.entry(self.encoder)})
        return Lesson(**given | changes)


def method(name: str, **options) -> Method:
    return construct(METHODS, name, options, section="method")


def tensors(learned: Learned) -> dict[str, torch.Tensor]:
    return learned.model.trained()


def same_tensors(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


def same(first: Learned, second: Learned) -> bool:
    return same_tensors(tensors(first), tensors(second))


def rate(school: School, monkeypatch, scores: list[float | None]) -> None:
    """Gives the sources these scores instead of measured ones, so that stages can be foretold."""
    ranked = [Ranked(f"other-v{number}", score, {"panda": score}) for number, score in enumerate(scores)]
    monkeypatch.setattr(Lesson, "rank", lambda lesson, model: ranked)
