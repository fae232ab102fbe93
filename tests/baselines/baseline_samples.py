"""Small learnable streams for baselines on the tiny encoders."""

from pathlib import Path

import torch
from datasets import Dataset

from continual.backbone.encoder import Encoder
from continual.baselines import BASELINES
from continual.baselines.base import Bench
from continual.construction import construct
from continual.participant import LearnedTask, Participant, TaskScores
from continual.settings import LearnerSettings, RoutingConfig
from continual.training.checkpoint import FolderCheckpoints
from continual.training.config import TrainingConfig
from continual.training.watch import Silent, Watcher
from streams import StreamManager, Task

CUES = {
    "crime": ("police", "suspect", "injured"),
    "food": ("soup", "waiter", "coffee"),
    "weather": ("rain", "north", "weekend"),
    "music": ("album", "sound", "piano"),
    "sport": ("striker", "penalty", "coach"),
    "money": ("prices", "oil", "bank"),
    "science": ("vaccine", "virus", "frog"),
}
FILLER = ("the", "was", "and", "that", "in", "a", "of", "to", "he", "it")

TASKS = {
    "town": {"bad": "crime", "good": "food"},
    "coast": {"bad": "weather", "good": "music"},
    "topics": {"sport": "sport", "money": "money", "science": "science"},
}
"""For each task its labels and their themes. The second has the labels of the first, the third its own."""

SIZES = {"train": 30, "dev": 12, "test": 18}
TRAINING = TrainingConfig(epochs=8, min_steps=0, batch_size=6, patience=0, dropout=0.0)
RATE = 3e-3


class Cues:
    """Every text has three cue words of its label's theme among words of no meaning."""

    name = "cues"

    def __init__(self, tasks: tuple[str, ...] = tuple(TASKS), sizes: dict[str, int] = SIZES) -> None:
        self.task_names, self.sizes = list(tasks), sizes

    def load(self, task_name: str) -> Task:
        labels = TASKS[task_name]
        splits = {
            split: Dataset.from_dict(_rows(list(labels.values()), size, f"{task_name}/{split}"))
            for split, size in self.sizes.items()
        }
        return Task(name=task_name, labels=tuple(labels), **splits)


def _rows(themes: list[str], count: int, seed: str) -> dict[str, list]:
    generator = torch.Generator().manual_seed(sum(map(ord, seed)))

    def draw(limit: int) -> int:
        return int(torch.randint(limit, (), generator=generator))

    texts = []
    for number in range(count):
        cues = CUES[themes[number % len(themes)]]
        words = [FILLER[draw(len(FILLER))] for _ in range(draw(5))]
        for _ in range(3):
            words.insert(draw(len(words) + 1), cues[draw(len(cues))])
        texts.append(" ".join(words))
    return {"text": texts, "label": [number % len(themes) for number in range(count)]}


def stream(*tasks: str, **sizes: int) -> StreamManager:
    return StreamManager(Cues(tasks or tuple(TASKS), SIZES | sizes))


def opened(
    name: str, folder: Path, encoder: Encoder, tasks: StreamManager | None = None, seed: int = 0, **options: object
) -> Participant:
    """A baseline at work in `folder`; `options` may hold settings of the training too."""
    fields = TrainingConfig.__dataclass_fields__.keys() - {"learning_rate", "head_learning_rate"}
    training = {key: options.pop(key) for key in list(options) if key in fields}
    if name != "linear_probe":
        options = {"learning_rate": RATE} | options
    settings = LearnerSettings(
        method={"name": name, **options},
        training=TrainingConfig(**{**vars(TRAINING), **training}),
        routing=RoutingConfig(keys=4),
        seed=seed,
    )
    baseline = construct(BASELINES, name, options, "method")
    return baseline.open(Bench(folder, encoder, settings, tasks or stream()))


Row = dict[str, TaskScores]


def learn(participant: Participant, tasks: StreamManager, folder: Path, stop: int | None = None) -> list[tuple]:
    """Learns tasks as a run does: for each how it was learned, how it was met, and the row of scores after it."""
    found = []
    for position, name in enumerate(tasks.names[:stop]):
        task = tasks.task(name)
        met = participant.unseen(task, position)
        learned = step(participant, task, position, folder)
        scores = {other: participant.scores(tasks.task(other), position + 1) for other in tasks.names[: position + 1]}
        found.append((learned, met, scores))
    return found


def step(
    participant: Participant, task: Task, position: int, folder: Path, watcher: Watcher | None = None
) -> LearnedTask:
    """Learns one task with its checkpoints in the folder."""
    checkpoints = FolderCheckpoints(folder / "checkpoint" / f"{position:04d}")
    return participant.learn(task, position, checkpoints, watcher or Silent())
